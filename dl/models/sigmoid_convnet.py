"""The lectures' ConvNet of logistic units: two convolutions, two fully connected layers.

    layer   operation                          output         parameters   for 28 x 28 images
    conv1   convolution 5x5, same, logistic    28 x 28 x 32          832
            max-pooling 2x2                    14 x 14 x 32
    conv2   convolution 5x5, same, logistic    14 x 14 x 64       51,264
            max-pooling 2x2                     7 x 7 x 64
    dense1  fully connected, logistic                 100        313,700
    dense2  fully connected                            10          1,010
                                                                 366,806

Deviations: the logistic function is taken after the pooling, which is the same for the maximum, since it is increasing, and a
quarter of the work; with `pooling = "average"` it is taken before. An odd row or column is left out by the pooling.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dl.errors import UserError
from dl.layers.activations import Activation
from dl.layers.convolution import Conv
from dl.layers.initializers import initializer
from dl.layers.pooling import pool


class SigmoidConvNet(nn.Module):
    """Convolutions of 32 and 64 maps, then 100 hidden units. x [B, H, W, C]; returns logits [B, num_classes] float32.

    Attributes:
        activation: a name of `dl.layers.activations`.
        pooling: "max" or "average".
        kernel_init: of all the weights, a name of `dl.layers.initializers`; biases start at zero.
        dropout: the part of the units of dense1 that is dropped in training.

    Raises:
        UserError: images smaller than 4x4; an unknown activation, pooling or initializer.
    """

    num_classes: int = 10
    activation: str = "logistic"
    pooling: str = "max"
    kernel_init: str = "glorot"
    dropout: float = 0.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b k"]:
        if min(x.shape[1:3]) < 4:
            raise UserError(f"sigmoid_convnet takes images of at least 4x4, got {x.shape[1]}x{x.shape[2]}.")
        init, reduce = initializer(self.kernel_init), pool(self.pooling)
        for i, features in enumerate((32, 64), 1):
            x = Conv(features, (5, 5), dtype=self.dtype, kernel_init=init, name=f"conv{i}")(x)
            activate = Activation(self.activation, name=f"activation{i}")
            x = activate(reduce(x, (2, 2)), train) if self.pooling == "max" else reduce(activate(x, train), (2, 2))
        x = nn.Dense(100, dtype=self.dtype, kernel_init=init, name="dense1")(x.reshape(len(x), -1))
        x = Activation(self.activation, name="activation3")(x, train)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.num_classes, dtype=self.dtype, kernel_init=init, name="dense2")(x).astype(jnp.float32)


PUBLIC = {"sigmoid_convnet": SigmoidConvNet}
