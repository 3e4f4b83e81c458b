"""VGG-16 and VGG-19 (Simonyan & Zisserman 2015, table 1, configurations D and E), classifiers of ImageNet.

    of 224 x 224                          VGG-16         VGG-19        parameters
    conv1_1, conv1_2            64             2              2            38,720
    conv2_1, conv2_2           128             2              2           221,440
    conv3_1 ...                256             3              4         1,475,328      2,065,408
    conv4_1 ...                512             3              4         5,899,776      8,259,584
    conv5_1 ...                512             3              4         7,079,424      9,439,232
    fc6 (of 7 x 7 x 512)      4096                                    102,764,544
    fc7                       4096                                     16,781,312
    fc8                       1000                                      4,097,000
                                     138,357,544    143,667,240

Convolutions are 3x3 with padding 1, each with a ReLU; 2x2 pooling (pool1, ..., pool5) after each block; dropout after fc6, fc7.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dl.errors import UserError, unknown
from dl.layers.convolution import Conv
from dl.layers.pooling import pool

WIDTHS = (64, 128, 256, 512, 512)
DEPTHS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
HIDDEN = 4096


def layer_names(depth: int) -> tuple[str, ...]:
    """The layers in their order: conv1_1, conv1_2, pool1, conv2_1, ..., pool5, fc6, fc7, fc8."""
    names: list[str] = []
    for block, count in enumerate(DEPTHS[depth], 1):
        names += [f"conv{block}_{number}" for number in range(1, count + 1)] + [f"pool{block}"]
    return (*names, "fc6", "fc7", "fc8")


class VGG(nn.Module):
    """The network; x [B, H, W, C] to scores [B, num_classes] float32.

    Attributes:
        depth: 16 or 19.
        pooling: "max", or "average", which makes for smoother pictures (Gatys et al. 2016, section 2).
        dropout: of fc6 and fc7, in training.

    Raises:
        UserError: an unknown pooling; images too small.
    """

    depth: int
    num_classes: int = 1000
    pooling: str = "max"
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
        for name in wanted:
            if name not in self.layers:
                raise unknown(f"layer of vgg{self.depth}", name, self.layers)
        found: dict[str, jax.Array] = {}
        for name in self.layers[: max(self.layers.index(name) for name in wanted) + 1]:
            x = self._layer(name, x, train)
            found[name] = x
        return {name: found[name] for name in wanted}

    def _layer(self, name: str, x: Float[Array, "b *n i"], train: bool) -> Float[Array, "b *m o"]:
        if name.startswith("conv"):
            width = WIDTHS[int(name[4]) - 1]
            init = nn.initializers.he_normal()
            return nn.relu(Conv(width, (3, 3), padding=1, dtype=self.dtype, kernel_init=init, name=name)(x))
        if name.startswith("pool"):
            if min(x.shape[1:3]) < 2:
                raise UserError(f"the image is too small for {name} of vgg{self.depth}: give a larger one.")
            return pool(self.pooling)(x, (2, 2))
        if name == "fc8":
            return nn.Dense(self.num_classes, dtype=self.dtype, name=name)(x)
        hidden = nn.relu(nn.Dense(HIDDEN, dtype=self.dtype, name=name)(x.reshape(len(x), -1)))
        return nn.Dropout(self.dropout, deterministic=not train)(hidden)


def vgg16(num_classes: int = 1000, pooling: str = "max", dropout: float = 0.5, dtype: DTypeLike = jnp.float32) -> VGG:
    """Configuration D."""
    return VGG(16, num_classes, pooling, dropout, dtype)


def vgg19(num_classes: int = 1000, pooling: str = "max", dropout: float = 0.5, dtype: DTypeLike = jnp.float32) -> VGG:
    """Configuration E."""
    return VGG(19, num_classes, pooling, dropout, dtype)


PUBLIC = {"vgg16": vgg16, "vgg19": vgg19}
