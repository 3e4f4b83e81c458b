"""Residual nets for ImageNet (He, Zhang, Ren & Sun 2016a, table 1), with 18, 34, 50, 101 and 152 layers.

    of 224 x 224                         18        34           50          101          152
    conv1    7x7 / 2, 64     112 x 112
    maxpool  3x3 / 2           56 x 56
    layer1   width 64          56 x 56    2         3            3            3            3   blocks
    layer2   width 128 / 2     28 x 28    2         4            4            4            8
    layer3   width 256 / 2     14 x 14    2         6            6           23           36
    layer4   width 512 / 2       7 x 7    2         3            3            3            3
    average, fc              1000
                                 11,689,512  21,797,672  25,557,032   44,549,160   60,192,808 parameters

A block of 18 and 34 ("basic") is two 3x3 convolutions of its width; of 50 and more ("bottleneck") 1x1, 3x3 and 1x1, the last
with four times the width. Every convolution is followed by BatchNorm and has no bias. Shortcuts are identities, and 1x1
projections where the shape changes (option B).

`version`
    "1"    the paper's: a bottleneck that halves the image has its stride in the first 1x1
    "1.5"  it has it in the 3x3, about 0.5 points better for 5 % of time; torchvision's weights are of this one
    "2"    pre-activation (He et al. 2016b): BatchNorm and ReLU before each convolution and nothing after the sum; the first
           activation follows conv1, the last stands after the last sum, projections read the activated input (their appendix);
           the stride is in the 3x3
Basic blocks are the same in "1" and "1.5".

Deviations: with stochastic depth a dropped block is computed all the same, so no time is saved, and the running statistics of
its BatchNorm see every batch. The dense layer starts as N(0, 0.01^2) (Goyal et al. 2017, section 5.1), and the running variance
is the mean of biased ones (see `dl.layers.residual`).
"""

import functools
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array

from dl.layers.ceil_pooling import ceil_pool
from dl.layers.convolution import Conv
from dl.layers.residual import batch_norm, kernel_init
from dl.models.residual_net import ResidualNet

WIDTHS = (64, 128, 256, 512)
BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


class ResNet(ResidualNet):
    """The network; x [B, H, W, C], of any size, to scores [B, num_classes] float32. `depth` is 18, 34, 50, 101 or 152."""

    depth: int

    @property
    def network(self) -> str:
        return f"resnet{self.depth}"

    @property
    def entry(self) -> tuple[str, ...]:
        return "stem", "maxpool"

    @property
    def stages(self) -> tuple[tuple[int, int], ...]:
        return tuple(zip(WIDTHS, BLOCKS[self.depth], strict=True))

    @property
    def of_blocks(self) -> dict[str, Any]:
        return {"bottleneck": self.depth >= 50}

    def enter(self, name: str, x: Array, train: bool) -> Array:
        if name == "stem":
            conv = Conv(64, (7, 7), 2, padding=3, use_bias=False, dtype=self.dtype, kernel_init=kernel_init, name="conv1")
            return nn.relu(batch_norm(train, self.dtype, "norm1")(conv(x)))
        # PyTorch's padding of 1: zeros are below no ReLU, and ceil mode reaches as far as the padding on the other side.
        return ceil_pool(jnp.pad(x, ((0, 0), (1, 0), (1, 0), (0, 0))))

    def dense(self) -> nn.Dense:
        return nn.Dense(self.num_classes, dtype=self.dtype, kernel_init=nn.initializers.normal(0.01), name="fc")


PUBLIC = {f"resnet{depth}": functools.partial(ResNet, depth) for depth in BLOCKS}
