"""VGG (Simonyan & Zisserman 2015, table 1, configurations A, B, D and E), classifiers of ImageNet, with and without BatchNorm.

    of 224 x 224                       VGG-11       VGG-13       VGG-16       VGG-19
    conv1_1 ...                 64   1        1,792   2       38,720   2       38,720   2       38,720 parameters
    conv2_1 ...                128   1       73,856   2      221,440   2      221,440   2      221,440
    conv3_1 ...                256   2      885,248   2      885,248   3    1,475,328   4    2,065,408
    conv4_1 ...                512   2    3,539,968   2    3,539,968   3    5,899,776   4    8,259,584
    conv5_1 ...                512   2    4,719,616   2    4,719,616   3    7,079,424   4    9,439,232
    fc6 (of 7 x 7 x 512)      4096      102,764,544  102,764,544  102,764,544  102,764,544
    fc7                       4096       16,781,312   16,781,312   16,781,312   16,781,312
    fc8                       1000        4,097,000    4,097,000    4,097,000    4,097,000
                                        132,863,336  133,047,848  138,357,544  143,667,240
    with BatchNorm                      132,868,840  133,053,736  138,365,992  143,678,248

Convolutions are 3x3 with padding 1, each with a ReLU; 2x2 pooling (pool1, ..., pool5) after each block; dropout after fc6, fc7.

The forms with BatchNorm (`vgg16_bn`) are torchvision's: norm1_1 ... between each convolution and its ReLU. Their convolutions
keep the biases that the published weights have. BatchNorm subtracts them again, so their gradient in training is zero, here
exactly (see `dl.layers.convolution.Conv`): no optimizer moves them.

Deviations: what fc6 reads is averaged to 7 x 7, as torchvision has it, so any image from 32 x 32 on will do; of 224 x 224 it is
that already. Convolutions start as He et al. 2015 have it, biases at 0, where the paper starts deep nets from trained shallow
ones; the dense layers start as the paper's N(0, 0.01^2). One scale and one crop, in training and evaluation.
"""

import functools
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dl.errors import UserError
from dl.layers.convolution import Conv
from dl.layers.pooling import Pool, adaptive_avg_pool, pool
from dl.layers.residual import batch_norm
from dl.layers.sequence import walk

WIDTHS = (64, 128, 256, 512, 512)
DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
GRID = (7, 7)  # what fc6 reads


def layer_names(depth: int) -> tuple[str, ...]:
    """The layers in their order: conv1_1, conv1_2, pool1, conv2_1, ..., pool5, fc6, fc7, fc8."""
    names: list[str] = []
    for block, count in enumerate(DEPTHS[depth], 1):
        names += [f"conv{block}_{number}" for number in range(1, count + 1)] + [f"pool{block}"]
    return (*names, "fc6", "fc7", "fc8")


class VGG(nn.Module):
    """The network; x [B, H, W, C] to scores [B, num_classes] float32.

    Attributes:
        depth: 11, 13, 16 or 19.
        batch_norm: BatchNorm after each convolution.
        pooling: "max", or "average", which makes for smoother images (Gatys et al. 2016, section 2).
        hidden: units of fc6 and fc7.
        dropout: dropout rate of fc6 and fc7, in training.
        dtype: data type of the computation; parameters and running statistics are float32.

    Raises:
        UserError: an unknown pooling; images too small.
    """

    depth: int
    batch_norm: bool = False
    num_classes: int = 1000
    pooling: str = "max"
    hidden: int = 4096
    dropout: float = 0.5
    dtype: DTypeLike = jnp.float32

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers, in their order."""
        return layer_names(self.depth)

    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b k"]:
        return self.features(x, ("fc8",), train)["fc8"].astype(jnp.float32)

    @nn.compact
    def features(self, x: Float[Array, "b h w c"], wanted: Sequence[str], train: bool = False) -> dict[str, jax.Array]:
        """What the layers `wanted` give, [B, h, w, c] or [B, c], after their ReLU; nothing is computed after the last of them.

        Raises:
            UserError: an unknown layer.
        """
        return walk(f"vgg{self.depth}", self.layers, wanted, x, lambda name, x: self._layer(name, x, train))

    def _layer(self, name: str, x: Float[Array, "b *n i"], train: bool) -> Float[Array, "b *m o"]:
        if name.startswith("conv"):
            return self._convolution(name, x, train)
        if name.startswith("pool"):
            if min(x.shape[1:3]) < 2:
                raise UserError(f"the image is too small for {name} of vgg{self.depth}: give one of at least 32x32.")
            return Pool(functools.partial(pool(self.pooling), window=(2, 2)), name=name)(x)
        if x.ndim == 4:
            x = adaptive_avg_pool(x, GRID).reshape(len(x), -1)
        units, init = self.num_classes if name == "fc8" else self.hidden, nn.initializers.normal(0.01)
        scores = nn.Dense(units, dtype=self.dtype, kernel_init=init, name=name)(x)
        return scores if name == "fc8" else nn.Dropout(self.dropout, deterministic=not train)(nn.relu(scores))

    def _convolution(self, name: str, x: Float[Array, "b h w i"], train: bool) -> Float[Array, "b h w o"]:
        width, still = WIDTHS[int(name[4]) - 1], self.batch_norm and train
        init = nn.initializers.he_normal()
        x = Conv(width, (3, 3), padding=1, still_bias=still, dtype=self.dtype, kernel_init=init, name=name)(x)
        return nn.relu(batch_norm(train, self.dtype, name.replace("conv", "norm"))(x) if self.batch_norm else x)


PUBLIC = {
    f"vgg{depth}{'_bn' * with_norm}": functools.partial(VGG, depth, with_norm)
    for depth in DEPTHS
    for with_norm in (False, True)
}
