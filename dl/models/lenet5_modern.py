"""LeNet-5 as it is usually built today (after LeCun, Bottou, Bengio & Haffner 1998; compare `lenet5`).

    layer   operation                              output        parameters
    input   28 x 28 padded by 2, or 32 x 32        32 x 32 x 1
    conv1   convolution 5x5, valid                 28 x 28 x 6          156
            max-pooling 2x2, ReLU                  14 x 14 x 6
    conv2   convolution 5x5, valid                 10 x 10 x 16       2,416
            max-pooling 2x2, ReLU                   5 x 5 x 16
    dense1  fully connected, ReLU                          120       48,120
    dense2  fully connected, ReLU                           84       10,164
    dense3  fully connected                                 10          850
                                                                     61,706

Deviations from the paper: max-pooling for trainable subsampling, ReLU for the scaled tanh, all connections in the second
convolution, logits (for a softmax) instead of distances to bitmaps. ReLU comes after the pooling, which gives the same as
before it for a quarter of the work.
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


class LeNet5Modern(nn.Module):
    """LeNet-5 with max-pooling and ReLU. x [B, 28 or 32, the same, C]; returns logits [B, num_classes] float32.

    Attributes:
        activation: a name of `dl.layers.activations`.
        pooling: "max" or "average".
        kernel_init: of all the weights, a name of `dl.layers.initializers`; biases start at zero.
        dropout: the part of the units of dense1 and dense2 that is dropped in training.

    Raises:
        UserError: images of another size; an unknown activation, pooling or initializer.
    """

    num_classes: int = 10
    activation: str = "relu"
    pooling: str = "max"
    kernel_init: str = "glorot"
    dropout: float = 0.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b k"]:
        if x.shape[1:3] not in ((28, 28), (32, 32)):
            got = "x".join(map(str, x.shape[1:]))
            raise UserError(f"lenet5_modern takes 28x28 or 32x32 images, got {got}: set --config.dataset.size=(32,32).")
        init = initializer(self.kernel_init)
        for i, (features, padding) in enumerate(((6, (32 - x.shape[1]) // 2), (16, 0)), 1):
            x = Conv(features, (5, 5), padding=padding, dtype=self.dtype, kernel_init=init, name=f"conv{i}")(x)
            x = Activation(self.activation, name=f"activation{i}")(pool(self.pooling)(x, (2, 2)), train)
        x = x.reshape(len(x), -1)
        for i, width in enumerate((120, 84), 1):
            x = nn.Dense(width, dtype=self.dtype, kernel_init=init, name=f"dense{i}")(x)
            x = Activation(self.activation, name=f"activation{i + 2}")(x, train)
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.num_classes, dtype=self.dtype, kernel_init=init, name="dense3")(x).astype(jnp.float32)


PUBLIC = {"lenet5_modern": LeNet5Modern}
