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
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dl.errors import UserError, unknown
from dl.layers.ceil_pooling import ceil_pool
from dl.layers.convolution import Conv
from dl.layers.residual import batch_norm, dropped, kernel_init, survival
from dl.layers.sequence import walk

VERSIONS = ("1", "1.5", "2")
WIDTHS = (64, 128, 256, 512)
EXPANSION = 4  # of a bottleneck
BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


def check(version: str, zero_last_scale: bool) -> None:
    """Refuses settings that do not go together.

    Raises:
        UserError: an unknown version, or zero scales in version 2.
    """
    if version not in VERSIONS:
        raise unknown("version of a residual net", version, VERSIONS)
    if version == "2" and zero_last_scale:
        raise UserError(
            "zero_last_scale needs version 1 or 1.5: in version 2 a ReLU follows each BatchNorm, and would stay at zero."
        )


class Block(nn.Module):
    """A residual block: x [B, H, W, C] to [B, ceil(H / stride), ceil(W / stride), width], four times the width of a bottleneck.

    Attributes:
        width: of its 3x3 convolutions.
        stride: of the block.
        bottleneck: 1x1, 3x3, 1x1 in place of 3x3, 3x3.
        version: "1", "1.5" or "2".
        activated: version 2's first block, whose input conv1's activation has made.
        shortcut: where the shape changes: "projection", or "padding" (every stride-th pixel, and zeros for new channels).
        zero_last_scale: the last BatchNorm starts with scales of 0, so that the block starts as the identity.
        survival: the probability with which it is kept in training.
        per_example: whether that is drawn for each example, or once for a batch.
    """

    width: int
    stride: int = 1
    bottleneck: bool = False
    version: str = "1.5"
    activated: bool = False
    shortcut: str = "projection"
    zero_last_scale: bool = False
    survival: float = 1.0
    per_example: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w i"], train: bool = False) -> Float[Array, "b y x o"]:
        before = self.version == "2"
        convolutions = self._convolutions()
        y = x
        for number, (features, side, stride) in enumerate(convolutions, 1):
            last = number == len(convolutions)
            if before and not (number == 1 and self.activated):
                y = nn.relu(batch_norm(train, self.dtype, f"norm{number}")(y))
            if before and number == 1 and self._changes(x):
                x = y
            y = self._conv(features, side, stride, f"conv{number}")(y)
            if not before:
                zero = last and self.zero_last_scale
                init = nn.initializers.zeros if zero else nn.initializers.ones
                y = batch_norm(train, self.dtype, f"norm{number}", init)(y)
                y = y if last else nn.relu(y)
        key = self.make_rng("dropout") if train and self.survival < 1 else None
        total = self._shortcut(x, y.shape[-1], train) + dropped(y, self.survival, key, self.per_example)
        return total if before else nn.relu(total)

    def _convolutions(self) -> tuple[tuple[int, int, int], ...]:
        """Features, side of the kernel and stride of each."""
        if not self.bottleneck:
            return (self.width, 3, self.stride), (self.width, 3, 1)
        first, second = (self.stride, 1) if self.version == "1" else (1, self.stride)
        return (self.width, 1, first), (self.width, 3, second), (EXPANSION * self.width, 1, 1)

    def _changes(self, x: Array) -> bool:
        return self.stride > 1 or x.shape[-1] != self._convolutions()[-1][0]

    def _conv(self, features: int, side: int, stride: int, name: str) -> Conv:
        return Conv(
            features,
            (side, side),
            stride,
            padding=side // 2,
            use_bias=False,
            dtype=self.dtype,
            kernel_init=kernel_init,
            name=name,
        )

    def _shortcut(self, x: Array, features: int, train: bool) -> Array:
        if not self._changes(x):
            return x
        if self.shortcut == "padding":
            surplus = features - x.shape[-1]
            return jnp.pad(x[:, :: self.stride, :: self.stride], ((0, 0), (0, 0), (0, 0), (0, surplus)))
        y = self._conv(features, 1, self.stride, "shortcut_conv")(x)
        return y if self.version == "2" else batch_norm(train, self.dtype, "shortcut_norm")(y)


class ResNet(nn.Module):
    """The network; x [B, H, W, C], of any size, to scores [B, num_classes] float32.

    Attributes:
        depth: 18, 34, 50, 101 or 152.
        version: see the module.
        zero_last_scale: the last BatchNorm of each block starts with scales of 0 (Goyal et al. 2017, section 5.1).
        stochastic_depth: the drop rate of the last block, from 0 at the first on (Huang et al. 2016); key "dropout".
        per_example: whether blocks are dropped for each example, or once for a batch as in the paper.
        dtype: of the computation; parameters and running statistics are float32.

    Raises:
        UserError: an unknown version; settings that do not go together.
    """

    depth: int
    num_classes: int = 1000
    version: str = "1.5"
    zero_last_scale: bool = False
    stochastic_depth: float = 0.0
    per_example: bool = False
    dtype: DTypeLike = jnp.float32

    @property
    def layers(self) -> tuple[str, ...]:
        """stem, maxpool, layer1_0, ..., pool, fc; version 2's last activation, `norm`, is before pool."""
        blocks = [f"layer{stage}_{i}" for stage, count in enumerate(BLOCKS[self.depth], 1) for i in range(count)]
        return ("stem", "maxpool", *blocks, *(["norm"] if self.version == "2" else []), "pool", "fc")

    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b k"]:
        return self.features(x, ("fc",), train)["fc"].astype(jnp.float32)

    @nn.compact
    def features(self, x: Float[Array, "b h w c"], wanted: Sequence[str], train: bool = False) -> dict[str, jax.Array]:
        """What the layers `wanted` give, [B, h, w, c] or [B, c], after their ReLU; nothing is computed after the last of them.

        Raises:
            UserError: an unknown layer.
        """
        check(self.version, self.zero_last_scale)
        return walk(f"resnet{self.depth}", self.layers, wanted, x, lambda name, x: self._layer(name, x, train))

    def _layer(self, name: str, x: Float[Array, "b *n i"], train: bool) -> Float[Array, "b *m o"]:
        if name == "stem":
            conv = Conv(64, (7, 7), 2, padding=3, use_bias=False, dtype=self.dtype, kernel_init=kernel_init, name="conv1")
            return nn.relu(batch_norm(train, self.dtype, "norm1")(conv(x)))
        if name == "maxpool":
            # PyTorch's padding of 1: zeros are below no ReLU, and ceil mode reaches as far as the padding on the other side.
            return ceil_pool(jnp.pad(x, ((0, 0), (1, 0), (1, 0), (0, 0))))
        if name == "norm":
            return nn.relu(batch_norm(train, self.dtype, "norm")(x))
        if name == "pool":
            return x.mean(axis=(1, 2))
        if name == "fc":
            init = nn.initializers.normal(0.01)
            return nn.Dense(self.num_classes, dtype=self.dtype, kernel_init=init, name="fc")(x)
        return self._block(name)(x, train)

    def _block(self, name: str) -> Block:
        stage, number = map(int, name.removeprefix("layer").split("_"))
        before = sum(BLOCKS[self.depth][: stage - 1]) + number
        return Block(
            WIDTHS[stage - 1],
            stride=2 if stage > 1 and number == 0 else 1,
            bottleneck=self.depth >= 50,
            version=self.version,
            activated=before == 0,
            zero_last_scale=self.zero_last_scale,
            survival=survival(before + 1, sum(BLOCKS[self.depth]), self.stochastic_depth),
            per_example=self.per_example,
            dtype=self.dtype,
            name=name,
        )


PUBLIC = {f"resnet{depth}": functools.partial(ResNet, depth) for depth in BLOCKS}
