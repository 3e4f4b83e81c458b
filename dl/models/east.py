"""EAST, an efficient and accurate scene text detector (Zhou et al. 2017, figure 3): a score and a turned box at every place.

    layer        operation                                               output of S x S      channels, width 16
    stem         3x3, every second pixel                                     S/2                    16
    stage1 to 4  3x3 every second pixel, then 3x3                 S/4, S/8, S/16, S/32     16, 32, 64, 128
    merge3       twice as large, beside stage3; 1x1, 3x3                     S/16                   64
    merge2       twice as large, beside stage2; 1x1, 3x3                     S/8                    32
    merge1       twice as large, beside stage1; 1x1, 3x3                     S/4                    32
    merge0       3x3                                                         S/4                    32
    output       1x1: score; four distances; angle                           S/4                     6

BatchNorm and ReLU follow each convolution but the last. With width 16: 378,230 parameters.

The distances are those of a place from the upper, right, lower and left side of the box that it is in, as the box is turned, in
pixels; the angle is in radians, from -pi/4 to pi/4 (the paper's RBOX).

Deviations: a small stem in place of PVANet or VGG16, which are pretrained on ImageNet; nearest neighbours where the paper's
unpooling is bilinear.
"""

import math
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dl.errors import UserError
from dl.layers.convolution import Conv
from dl.layers.residual import batch_norm, kernel_init

STRIDE = 4  # pixels of the image between two places of the output
MERGED = (4, 2, 2, 2)  # channels of merge3 to merge0, in widths


class EAST(nn.Module):
    """Images [B, H, W, C] to [B, H/4, W/4, 6]: a logit, four distances in pixels, an angle in radians.

    Attributes:
        width: channels of the stem and of stage1; the others are multiples of it.
        reach: pixels, the largest distance.
        stages: how many; what they see is the larger, the more there are.
    """

    width: int = 16
    reach: float = 128.0
    stages: int = 4
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b y x 6"]:
        if not 1 <= self.stages <= 4:
            raise UserError(f"model.stages={self.stages}: east has 1 to 4.")
        whole = 2 << self.stages
        if x.shape[1] % whole or x.shape[2] % whole:
            raise UserError(f"the model east halves an image: {x.shape[1]}x{x.shape[2]} must be multiples of {whole}.")

        def conv(x: Array, channels: int, name: str, size: int = 3, stride: int = 1) -> Array:
            options: dict[str, Any] = {"use_bias": False, "dtype": self.dtype, "kernel_init": kernel_init}
            x = Conv(channels, (size, size), stride, padding=size // 2, name=name, **options)(x)
            return nn.relu(batch_norm(train, self.dtype, f"{name}_norm")(x))

        x = conv(x.astype(self.dtype), self.width, "stem", stride=2)
        stages = []
        for number in range(self.stages):
            channels = self.width << number
            x = conv(conv(x, channels, f"stage{number + 1}a", stride=2), channels, f"stage{number + 1}b")
            stages.append(x)
        for number in range(self.stages - 1, 0, -1):
            times = MERGED[3 - number]
            x = jnp.concatenate([jnp.repeat(jnp.repeat(x, 2, 1), 2, 2), stages[number - 1]], axis=-1)
            x = conv(conv(x, times * self.width, f"merge{number}a", size=1), times * self.width, f"merge{number}b")
        x = conv(x, MERGED[-1] * self.width, "merge0")
        out = Conv(6, (1, 1), dtype=self.dtype, name="output")(x).astype(jnp.float32)
        score, distances, angle = jnp.split(out, [1, 5], axis=-1)
        return jnp.concatenate([score, self.reach * nn.sigmoid(distances), (nn.sigmoid(angle) - 0.5) * math.pi / 2], axis=-1)


PUBLIC = {"east": EAST}
