"""Multilayer perceptron (Rumelhart, Hinton & Williams 1986), with one hidden layer or more.

    layer   operation                     output   parameters   for 28 x 28 images, hidden = (512,)
    dense1  fully connected, activation      512      401,920   784 x 512 + 512
    dense2  fully connected                   10        5,130   512 x 10 + 10
                                                      407,050

Deviations: ReLU, Glorot's initialisation and dropout (Srivastava et al. 2014) are of later years; all three are settings.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dl.layers.activations import Activation
from dl.layers.initializers import initializer


class MLP(nn.Module):
    """Fully connected layers on the flattened input. x [B, ...]; returns logits [B, num_classes] float32.

    Attributes:
        hidden: the width of each hidden layer, e.g. `(512,)` or `(800, 800)`.
        activation: activation of the hidden layers, a name of `dl.layers.activations`.
        output: activation of the last layer; none, for scores of classes.
        kernel_init: initializer of the weights, a name of `dl.layers.initializers`; biases start at zero.
        dropout: the part of the hidden units that is dropped in training.
        input_dropout: the part of the inputs that is dropped in training.

    Raises:
        UserError: an unknown activation or initializer.
    """

    num_classes: int = 10
    hidden: tuple[int, ...] = (512,)
    activation: str = "relu"
    kernel_init: str = "glorot"
    dropout: float = 0.0
    input_dropout: float = 0.0
    output: str = "identity"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b ..."], train: bool = False) -> Float[Array, "b k"]:
        x = x.reshape(len(x), -1)
        x = nn.Dropout(self.input_dropout, deterministic=not train)(x)
        for i, width in enumerate(self.hidden, 1):
            x = self.dense(width, f"dense{i}")(x)
            x = Activation(self.activation, name=f"activation{i}")(x, train)
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        x = self.dense(self.num_classes, f"dense{len(self.hidden) + 1}")(x)
        return Activation(self.output, name="output")(x, train).astype(jnp.float32)

    def dense(self, width: int, name: str) -> nn.Dense:
        return nn.Dense(width, dtype=self.dtype, kernel_init=initializer(self.kernel_init), name=name)


PUBLIC = {"mlp": MLP}
