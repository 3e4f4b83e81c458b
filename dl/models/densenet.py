"""Densely connected nets (Huang, Liu, van der Maaten & Weinberger 2017, table 1), with bottlenecks and compression ("BC").

    of 224 x 224                              121         169         201         161
    growth rate k                              32          32          32          48
    stem         7x7 / 2, 2k     112 x 112
    maxpool      3x3 / 2           56 x 56
    block1                         56 x 56      6           6           6           6   layers
    transition1  1x1, 2x2 / 2      28 x 28
    block2                         28 x 28     12          12          12          12
    transition2                    14 x 14
    block3                         14 x 14     24          32          48          36
    transition3                      7 x 7
    block4                           7 x 7     16          32          32          24
    average, fc          1000
                                    7,978,856  14,149,480  20,013,928  28,681,000 parameters

A layer takes all the maps before it in its block and adds k: BatchNorm, ReLU, 1x1 to 4k, BatchNorm, ReLU, 3x3 to k. A
transition is BatchNorm, ReLU, a 1x1 convolution to half of the maps, and average pooling. BatchNorm and ReLU follow the last
block.

For CIFAR (section 3, "Implementation details"): three blocks of (depth - 4) / 6 such layers, the first convolution 3x3 with 2k
maps and neither BatchNorm nor pooling. Depth 100 with k = 12, 10 classes: 769,162 parameters (table 2: 0.8 million). Without
`bottleneck` a layer is BatchNorm, ReLU and 3x3, (depth - 4) / 3 of them a block, transitions keep all maps, and the first
convolution has 16: depth 40, k = 12 has 1,019,722 (1.0 million).

Deviations: the running variance of BatchNorm (see `dl.layers.residual`); biases start at 0, which the paper does not say.
"""

import functools
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dl.errors import UserError
from dl.layers.ceil_pooling import ceil_pool
from dl.layers.convolution import Conv
from dl.layers.pooling import avg_pool
from dl.layers.residual import batch_norm
from dl.layers.sequence import walk

BLOCKS = {
    "densenet121": ((6, 12, 24, 16), 32),
    "densenet161": ((6, 12, 36, 24), 48),
    "densenet169": ((6, 12, 32, 32), 32),
    "densenet201": ((6, 12, 48, 32), 32),
}  # layers of each block, growth rate
BOTTLENECK = 4  # maps of the 1x1 convolution, in growth rates
kernel_init = nn.initializers.variance_scaling(2.0, "fan_in", "normal")  # He et al. 2015


class Layer(nn.Module):
    """x [B, H, W, C] to [B, H, W, C + growth]: what it was given, then its own maps."""

    growth: int
    bottleneck: bool = True
    dropout: float = 0.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w i"], train: bool = False) -> Float[Array, "b h w o"]:
        y = x
        convolutions = ((BOTTLENECK * self.growth, 1), (self.growth, 3)) if self.bottleneck else ((self.growth, 3),)
        for number, (features, side) in enumerate(convolutions, 1):
            y = nn.relu(batch_norm(train, self.dtype, f"norm{number}")(y))
            y = convolution(features, side, self.dtype, f"conv{number}")(y)
        y = nn.Dropout(self.dropout, deterministic=not train)(y)
        return jnp.concatenate([x, y], axis=-1)


class Transition(nn.Module):
    """x [B, H, W, C] to [B, H // 2, W // 2, features].

    Raises:
        UserError: x is a single row or column.
    """

    features: int
    dropout: float = 0.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w i"], train: bool = False) -> Float[Array, "b y x o"]:
        if min(x.shape[1:3]) < 2:
            raise UserError(f"the image is too small for {self.name} of the densenet: give a larger one.")
        y = nn.relu(batch_norm(train, self.dtype, "norm")(x))
        y = convolution(self.features, 1, self.dtype, "conv")(y)
        return avg_pool(nn.Dropout(self.dropout, deterministic=not train)(y), (2, 2))


class DenseNet(nn.Module):
    """The network; x [B, H, W, C] to scores [B, num_classes] float32.

    Attributes:
        blocks: number of layers of each block.
        growth: k, the maps that a layer adds.
        stem: maps of the first convolution.
        small: for CIFAR's images: the first convolution is 3x3, without stride, BatchNorm and pooling.
        bottleneck: layers have a 1x1 convolution before the 3x3.
        compression: the part of the maps that a transition keeps.
        dropout: after each convolution but the first, in training.
        dtype: data type of the computation; parameters and running statistics are float32.

    Raises:
        UserError: images too small.
    """

    blocks: tuple[int, ...]
    growth: int
    stem: int
    small: bool = False
    num_classes: int = 1000
    bottleneck: bool = True
    compression: float = 0.5
    dropout: float = 0.0
    dtype: DTypeLike = jnp.float32

    @property
    def layers(self) -> tuple[str, ...]:
        """stem, maxpool, block1_1, ..., transition1, block2_1, ..., norm, pool, fc. block1_2 is all maps up to that layer's."""
        names = ["stem"] if self.small else ["stem", "maxpool"]
        for block, count in enumerate(self.blocks, 1):
            names += [f"block{block}_{number}" for number in range(1, count + 1)]
            names += [f"transition{block}"] if block < len(self.blocks) else []
        return (*names, "norm", "pool", "fc")

    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b k"]:
        return self.features(x, ("fc",), train)["fc"].astype(jnp.float32)

    @nn.compact
    def features(self, x: Float[Array, "b h w c"], wanted: Sequence[str], train: bool = False) -> dict[str, jax.Array]:
        """What the layers `wanted` give, [B, h, w, c] or [B, c]; nothing is computed after the last of them.

        `stem` and `norm` are after their ReLU; the maps of blocks and transitions have none, it is the next layer's.

        Raises:
            UserError: an unknown layer.
        """
        return walk("this densenet", self.layers, wanted, x, lambda name, x: self._layer(name, x, train))

    def _layer(self, name: str, x: Float[Array, "b *n i"], train: bool) -> Float[Array, "b *m o"]:
        if name == "stem":
            if self.small:
                return convolution(self.stem, 3, self.dtype, "conv1")(x)
            x = convolution(self.stem, 7, self.dtype, "conv1", stride=2)(x)
            return nn.relu(batch_norm(train, self.dtype, "norm1")(x))
        if name == "maxpool":
            # PyTorch's padding of 1: zeros are below no ReLU, and ceil mode reaches as far as the padding on the other side.
            return ceil_pool(jnp.pad(x, ((0, 0), (1, 0), (1, 0), (0, 0))))
        if name.startswith("block"):
            return Layer(self.growth, self.bottleneck, self.dropout, self.dtype, name=name)(x, train)
        if name.startswith("transition"):
            kept = int(x.shape[-1] * self.compression)
            return Transition(kept, self.dropout, self.dtype, name=name)(x, train)
        if name == "norm":
            return nn.relu(batch_norm(train, self.dtype, "norm")(x))
        if name == "pool":
            return x.mean(axis=(1, 2))
        return nn.Dense(self.num_classes, dtype=self.dtype, kernel_init=nn.initializers.lecun_normal(), name="fc")(x)


def convolution(features: int, side: int, dtype: DTypeLike, name: str, stride: int = 1) -> Conv:
    """Padded so that without a stride the image keeps its size; without a bias."""
    return Conv(
        features, (side, side), stride, padding=side // 2, use_bias=False, dtype=dtype, kernel_init=kernel_init, name=name
    )


def imagenet(name: str, num_classes: int = 1000, dropout: float = 0.0, dtype: DTypeLike = jnp.float32) -> DenseNet:
    """One of table 1."""
    blocks, growth = BLOCKS[name]
    return DenseNet(blocks, growth, 2 * growth, num_classes=num_classes, dropout=dropout, dtype=dtype)


def cifar(
    num_classes: int = 10,
    depth: int = 100,
    growth: int = 12,
    bottleneck: bool = True,
    dropout: float = 0.0,
    dtype: DTypeLike = jnp.float32,
) -> DenseNet:
    """For images of 32x32.

    Args:
        num_classes: number of classes of the data.
        depth: layers with weights; 100, 250 and 190 with bottlenecks in the paper, 40 and 100 without.
        growth: k.
        bottleneck: with bottlenecks and compression ("BC"), or without both.
        dropout: see `DenseNet`; the paper has 0.2 where the images are not augmented.
        dtype: data type of the computation.

    Raises:
        UserError: a depth that three equal blocks can't have.
    """
    step = 6 if bottleneck else 3
    if depth < 4 + step or (depth - 4) % step:
        raise UserError(f"densenet_cifar has {step}n + 4 layers (with this bottleneck={bottleneck}); depth is {depth}.")
    blocks, stem = (depth - 4) // step, 2 * growth if bottleneck else 16
    compression = 0.5 if bottleneck else 1.0
    return DenseNet((blocks,) * 3, growth, stem, True, num_classes, bottleneck, compression, dropout, dtype)


PUBLIC = {**{name: functools.partial(imagenet, name) for name in BLOCKS}, "densenet_cifar": cifar}
