"""The convolutional tower of the Siamese net of Koch, Zemel & Salakhutdinov 2015 (sections 3.1 and 3.3, figure 4).

    layer   operation                        output           parameters
    input                                    105 x 105 x 1
    conv1   convolution 10x10, valid, ReLU    96 x 96 x 64         6,464
            max-pooling 2x2                   48 x 48 x 64
    conv2   convolution 7x7, valid, ReLU      42 x 42 x 128      401,536
            max-pooling 2x2                   21 x 21 x 128
    conv3   convolution 4x4, valid, ReLU      18 x 18 x 128      262,272
            max-pooling 2x2                     9 x 9 x 128
    conv4   convolution 4x4, valid, ReLU        6 x 6 x 256      524,544
    dense   fully connected, logistic                 4,096   37,752,832
                                                              38,947,648

With the weighted L1 comparison of two towers (`dl.layers.weighted_l1`: 4,096 weights and a bias) the net has 38,951,745
parameters. The paper's formula for the output shows no bias; it is what makes up that number.

Convolution weights are drawn from N(0, 0.01^2), those of the dense layer from N(0, 0.2^2), biases from N(0.5, 0.01^2).

Deviations: ReLU is taken after the pooling, which gives the same as before it for a quarter of the work.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dl.errors import UserError
from dl.layers.convolution import Conv
from dl.layers.pooling import max_pool
from dl.layers.weighted_l1 import shifted_normal

LAYERS = ((64, 10), (128, 7), (128, 4), (256, 4))  # maps, side of the kernel
SMALLEST = 65  # for which conv4 has one output


class Koch(nn.Module):
    """One tower. x [B, H, W, C], 105x105 as published, 65x65 at least; returns [B, num_classes] in 0..1, float32.

    Attributes:
        num_classes: D, the size of the embedding, 4,096 as published.

    Raises:
        UserError: smaller images.
    """

    num_classes: int = 4096
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b d"]:
        if min(x.shape[1:3]) < SMALLEST:
            got = "x".join(map(str, x.shape[1:3]))
            least = f"{SMALLEST}x{SMALLEST}"
            raise UserError(
                f"koch takes 105x105 images, or at least {least}, got {got}: set dataset.size, or take small_tower."
            )
        bias_init = shifted_normal(0.5, 0.01)
        for i, (maps, side) in enumerate(LAYERS, 1):
            conv = Conv(
                maps,
                (side, side),
                padding="VALID",
                dtype=self.dtype,
                kernel_init=nn.initializers.normal(0.01),
                bias_init=bias_init,
                name=f"conv{i}",
            )
            x = conv(x)
            x = nn.relu(max_pool(x, (2, 2)) if i < len(LAYERS) else x)
        init = nn.initializers.normal(0.2)
        dense = nn.Dense(self.num_classes, dtype=self.dtype, kernel_init=init, bias_init=bias_init, name="dense")
        return nn.sigmoid(dense(x.reshape(len(x), -1)).astype(jnp.float32))


PUBLIC = {"koch": Koch}
