"""SRCNN, the first convolutional net for super-resolution (Dong, Loy, He & Tang 2014; 2016).

    layer       operation                          output      9-1-5    9-5-5      weights, one channel
    (bicubic enlargement)                      H x W x 1
    patches     9x9, ReLU                      H x W x 64      5,184    5,184
    mapping     1x1 or 5x5, ReLU               H x W x 32      2,048   51,200
    output      5x5                            H x W x 1         800      800
                                                               8,032   57,184      and 97 biases (paper, section 4.3.1)

In training convolutions are not padded, so that what is made is smaller than the original by 12 (9-1-5) or 16 (9-5-5) pixels.
Afterwards every layer's input goes on beyond the image's rim as its outermost pixels, as in the authors' code, and nothing is
lost.

Deviations: He's initialisation in place of N(0, 0.001), which Adam would need long to leave.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from dl.layers.bicubic import continued, enlarged
from dl.layers.convolution import Conv


class SRCNN(nn.Module):
    """Small images [B, h, w, C] to enlarged ones [B, scale * h, scale * w, C], float32; in training without their rim.

    Attributes:
        channels: C, of the images.
        scale: how many pixels one becomes, down and right.
        kernels: sides of the three kernels, odd.
        features: channels of the first two layers.
        dtype: of the computation.
    """

    channels: int = 1
    scale: int = 4
    kernels: tuple[int, int, int] = (9, 5, 5)
    features: tuple[int, int] = (64, 32)
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, low: Float[Array, "b h w c"], size: Int[Array, "b 2"] | None = None, train: bool = False
    ) -> Float[Array, "b y x c"]:
        """`size` [B, 2] is height and width of each image in `low`, where they differ; what comes of the rest is to be cut."""
        x = enlarged(low, self.scale, size).astype(self.dtype)
        full = None if size is None else self.scale * size
        names, widths = ("patches", "mapping", "output"), (*self.features, self.channels)
        for name, side, width in zip(names, self.kernels, widths, strict=True):
            if not train:
                x = continued(x, full, side // 2, mirror=False)
            init = nn.initializers.he_normal()
            x = Conv(width, (side, side), padding="VALID", dtype=self.dtype, kernel_init=init, name=name)(x)
            x = x if name == "output" else nn.relu(x)
        return x.astype(jnp.float32)


PUBLIC = {"srcnn": SRCNN}
