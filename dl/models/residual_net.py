"""What residual nets have in common: the block, the way through its stages, version 2's last activation and the dense layer.

The nets themselves: `dl.models.resnet` for ImageNet, `dl.models.resnet_cifar` for CIFAR-10. The versions are told in the first.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dl.errors import UserError, unknown
from dl.layers.convolution import Conv
from dl.layers.residual import batch_norm, dropped, kernel_init, survival
from dl.layers.sequence import walk

VERSIONS = ("1", "1.5", "2")
EXPANSION = 4  # of a bottleneck


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


class ResidualBlock(nn.Module):
    """A residual block: x [B, H, W, C] to [B, ceil(H / stride), ceil(W / stride), width], four times the width of a bottleneck.

    Attributes:
        width: number of channels of its 3x3 convolutions.
        stride: stride of the block.
        bottleneck: 1x1, 3x3, 1x1 in place of 3x3, 3x3.
        version: "1", "1.5" or "2".
        activated: version 2's first block, whose input conv1's activation has made.
        shortcut: where the shape changes: "projection", or "padding" (every stride-th pixel, and zeros for new channels).
        zero_last_scale: the last BatchNorm starts with scales of 0, so that the block starts as the identity.
        survival: probability with which it is kept in training.
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


class ResidualNet(nn.Module, kw_only=True):
    """A residual net; x [B, H, W, C], of any size, to scores [B, num_classes] float32. What a net has of its own, it overrides.

    Attributes:
        num_classes: number of scores.
        version: see `dl.models.resnet`.
        zero_last_scale: the last BatchNorm of each block starts with scales of 0 (Goyal et al. 2017, section 5.1).
        stochastic_depth: the drop rate of the last block, from 0 at the first on (Huang et al. 2016); key "dropout".
        per_example: whether blocks are dropped for each example, or once for a batch as in the paper.
        dtype: data type of the computation; parameters and running statistics are float32.

    Raises:
        UserError: an unknown version; settings that do not go together.
    """

    num_classes: int = 1000
    version: str = "1.5"
    zero_last_scale: bool = False
    stochastic_depth: float = 0.0
    per_example: bool = False
    dtype: DTypeLike = jnp.float32

    @property
    def network(self) -> str:
        """What errors call it."""
        raise NotImplementedError

    @property
    def entry(self) -> tuple[str, ...]:
        """Names of the layers before the blocks."""
        return ("stem",)

    @property
    def stages(self) -> tuple[tuple[int, int], ...]:
        """Width and number of blocks of each stage; all but the first begin by halving the image."""
        raise NotImplementedError

    @property
    def of_blocks(self) -> dict[str, Any]:
        """Further attributes of the blocks."""
        raise NotImplementedError

    def enter(self, name: str, x: Array, train: bool) -> Array:
        """The layer `name` of `entry`."""
        raise NotImplementedError

    def dense(self) -> nn.Dense:
        """The layer `fc`."""
        raise NotImplementedError

    @property
    def layers(self) -> tuple[str, ...]:
        """stem, layer1_0, ..., pool, fc; version 2's last activation, `norm`, is before pool."""
        blocks = [f"layer{stage}_{i}" for stage, (_, count) in enumerate(self.stages, 1) for i in range(count)]
        return (*self.entry, *blocks, *(["norm"] if self.version == "2" else []), "pool", "fc")

    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b k"]:
        return self.features(x, ("fc",), train)["fc"].astype(jnp.float32)

    @nn.compact
    def features(self, x: Float[Array, "b h w c"], wanted: Sequence[str], train: bool = False) -> dict[str, jax.Array]:
        """What the layers `wanted` give, [B, h, w, c] or [B, c], after their ReLU; nothing is computed after the last of them.

        Raises:
            UserError: an unknown layer.
        """
        check(self.version, self.zero_last_scale)
        return walk(self.network, self.layers, wanted, x, lambda name, x: self._layer(name, x, train))

    def _layer(self, name: str, x: Float[Array, "b *n i"], train: bool) -> Float[Array, "b *m o"]:
        if name in self.entry:
            return self.enter(name, x, train)
        if name == "norm":
            return nn.relu(batch_norm(train, self.dtype, "norm")(x))
        if name == "pool":
            return x.mean(axis=(1, 2))
        if name == "fc":
            return self.dense()(x)
        return self._block(name)(x, train)

    def _block(self, name: str) -> ResidualBlock:
        stage, number = map(int, name.removeprefix("layer").split("_"))
        counts = [count for _, count in self.stages]
        before = sum(counts[: stage - 1]) + number
        return ResidualBlock(
            self.stages[stage - 1][0],
            stride=2 if stage > 1 and number == 0 else 1,
            version=self.version,
            activated=before == 0,
            zero_last_scale=self.zero_last_scale,
            survival=survival(before + 1, sum(counts), self.stochastic_depth),
            per_example=self.per_example,
            dtype=self.dtype,
            name=name,
            **self.of_blocks,
        )
