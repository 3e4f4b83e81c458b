"""PilotNet (Bojarski et al. 2016, "End to end learning for self-driving cars", section 4 and figure 4): steering from a camera.

    layer   operation, ReLU after each   output (of 66 x 200)   parameters
            RGB to YUV, fixed              66 x 200 x 3
    conv1   5x5 / 2                        31 x 98 x 24              1,824
    conv2   5x5 / 2                        14 x 47 x 36             21,636
    conv3   5x5 / 2                         5 x 22 x 48             43,248
    conv4   3x3                             3 x 20 x 64             27,712
    conv5   3x3                             1 x 18 x 64             36,928
    dense1                                         100             115,300   1,152 x 100 + 100
    dense2                                          50               5,050
    dense3                                          10                 510
    output  no activation                            1                  11
                                                                   252,219

The paper counts "about 250 thousand parameters"; the 1,164 that its figure gives for the flattened maps are 1,152.
Deviations: the activation is not said there, and is ReLU; its normalisation is `dataset.mean` and `dataset.std`.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dl.errors import UserError
from dl.layers.convolution import Conv
from dl.layers.initializers import initializer

# Of red, green and blue, each around 0 (ITU-R BT.601).
YUV = ((0.299, 0.587, 0.114), (-0.14713, -0.28886, 0.436), (0.615, -0.51499, -0.10001))
CONVOLUTIONS = ((24, 5, 2), (36, 5, 2), (48, 5, 2), (64, 3, 1), (64, 3, 1))  # maps, side of the kernel, stride
HIDDEN = (100, 50, 10)
SMALLEST = 61  # pixels in each direction that leave one place to conv5


class PilotNet(nn.Module):
    """Images [B, H, W, 3], standardised, to [B, num_classes] float32: one number, the steering.

    Attributes:
        yuv: whether the colours are brought to YUV first; a grey image never is.

    Raises:
        UserError: images that are too small.
    """

    num_classes: int = 1
    yuv: bool = True
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b k"]:
        if min(x.shape[1:3]) < SMALLEST:
            raise UserError(
                f"PilotNet needs images of at least {SMALLEST}x{SMALLEST}, and these are {x.shape[1]}x{x.shape[2]}."
            )
        x = x.astype(self.dtype)
        if self.yuv and x.shape[-1] == 3:
            x = x @ jnp.asarray(YUV, self.dtype).T
        init = initializer("he")
        for number, (maps, side, stride) in enumerate(CONVOLUTIONS, 1):
            conv = Conv(maps, (side, side), stride, padding="VALID", dtype=self.dtype, kernel_init=init, name=f"conv{number}")
            x = nn.relu(conv(x))
        x = x.reshape(len(x), -1)
        for number, units in enumerate(HIDDEN, 1):
            x = nn.relu(nn.Dense(units, dtype=self.dtype, kernel_init=init, name=f"dense{number}")(x))
        return nn.Dense(self.num_classes, dtype=self.dtype, name="output")(x).astype(jnp.float32)


PUBLIC = {"pilotnet": PilotNet}
