"""SqueezeNet (Iandola et al. 2016), a classifier of ImageNet as good as AlexNet with a fiftieth of its parameters.

    version 1.0            output (of 227 x 227)   parameters    version 1.1                          parameters
    conv1   7x7 / 2, ReLU     111 x 111 x 96           14,208    conv1   3x3 / 2, 64, ReLU                 1,792
    pool1   max 3x3 / 2         55 x 55 x 96                     pool1
    fire2   16, 64 + 64        55 x 55 x 128           11,920    fire2                                    11,408
    fire3   16, 64 + 64        55 x 55 x 128           12,432    fire3                                    12,432
    fire4   32, 128 + 128      55 x 55 x 256           45,344    pool3
    pool4   max 3x3 / 2        27 x 27 x 256                     fire4                                    45,344
    fire5   32, 128 + 128      27 x 27 x 256           49,440    fire5                                    49,440
    fire6   48, 192 + 192      27 x 27 x 384          104,880    pool5
    fire7   48, 192 + 192      27 x 27 x 384          111,024    fire6                                   104,880
    fire8   64, 256 + 256      27 x 27 x 512          188,992    fire7                                   111,024
    pool8   max 3x3 / 2        13 x 13 x 512                     fire8                                   188,992
    fire9   64, 256 + 256      13 x 13 x 512          197,184    fire9                                   197,184
    conv10  1x1, 1000, ReLU   13 x 13 x 1000          513,000    conv10                                  513,000
            global average              1000        1,248,424                                          1,235,496

A fire module is a 1x1 convolution ("squeeze"), then a 1x1 and a 3x3 convolution beside each other ("expand"), each with ReLU.
Version 1.1 (the authors' repository) makes the images small earlier: 2.4 times less work, no worse. Pooling is in ceil mode.
The paper's table 1 says 224 x 224; the published Caffe model takes 227 x 227, which fits its sizes. Any from 25 x 25 will do.

`padding` of the last convolution is 0, or 1 as in the first published Caffe model, which averages 15 x 15 outputs, the rim of
them made of the bias alone.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dl.errors import UserError, unknown
from dl.layers.ceil_pooling import ceil_pool
from dl.layers.convolution import Conv
from dl.layers.sequence import walk

WIDTHS = {
    2: 16,
    3: 16,
    4: 32,
    5: 32,
    6: 48,
    7: 48,
    8: 64,
    9: 64,
}  # of a fire module's squeeze; each expand has four times as many
POOLED = {"1.0": ("conv1", "fire4", "fire8"), "1.1": ("conv1", "fire3", "fire5")}  # what is pooled after


def layer_names(version: str) -> tuple[str, ...]:
    """The layers in their order.

    Raises:
        UserError: an unknown version.
    """
    if version not in POOLED:
        raise unknown("version of squeezenet", version, POOLED)
    names = ["conv1", *(f"fire{number}" for number in WIDTHS), "conv10"]
    for name in POOLED[version]:
        names.insert(names.index(name) + 1, "pool" + name[-1])
    return tuple(names)


class Fire(nn.Module):
    """A fire module: x [B, H, W, C] to [B, H, W, 8 * width]; `dilation` is that of its 3x3 convolution."""

    width: int
    dtype: DTypeLike = jnp.float32
    dilation: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b h w o"]:
        init = nn.initializers.glorot_uniform()
        x = nn.relu(Conv(self.width, (1, 1), dtype=self.dtype, kernel_init=init, name="squeeze")(x))
        one = Conv(4 * self.width, (1, 1), dtype=self.dtype, kernel_init=init, name="expand1")(x)
        three = Conv(
            4 * self.width,
            (3, 3),
            padding=self.dilation,
            kernel_dilation=self.dilation,
            dtype=self.dtype,
            kernel_init=init,
            name="expand3",
        )(x)
        return nn.relu(jnp.concatenate([one, three], axis=-1))


class SqueezeNet(nn.Module):
    """The network; x [B, H, W, C] to scores [B, num_classes] float32, which are averages of ReLUs, never negative.

    Attributes:
        version: "1.0" or "1.1".
        pooling: "max", or "average", which makes for smoother images (Gatys et al. 2016, section 2).
        padding: padding of the last convolution.
        dropout: dropout rate of fire9's outputs, in training.

    Raises:
        UserError: an unknown version or pooling; images too small.
    """

    num_classes: int = 1000
    version: str = "1.0"
    pooling: str = "max"
    padding: int = 0
    dropout: float = 0.5
    dtype: DTypeLike = jnp.float32

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers, in their order."""
        return layer_names(self.version)

    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b k"]:
        maps = self.features(x, ("conv10",), train)["conv10"]
        return maps.mean(axis=(1, 2)).astype(jnp.float32)

    @nn.compact
    def features(self, x: Float[Array, "b h w c"], wanted: Sequence[str], train: bool = False) -> dict[str, jax.Array]:
        """What the layers `wanted` give, [B, h, w, c] each, after their ReLU; nothing is computed after the last of them.

        Raises:
            UserError: an unknown layer.
        """
        return walk("squeezenet", self.layers, wanted, x, lambda name, x: self._layer(name, x, train))

    def _layer(self, name: str, x: Float[Array, "b h w i"], train: bool) -> Float[Array, "b y x o"]:
        if min(x.shape[1:3]) < 1:
            raise UserError("the image is too small for squeezenet: give one of at least 20x20.")
        if name.startswith("pool"):
            return ceil_pool(x, self.pooling)
        if name.startswith("fire"):
            return Fire(WIDTHS[int(name[4:])], self.dtype, name=name)(x)
        if name == "conv1":
            size, count = ((7, 7), 96) if self.version == "1.0" else ((3, 3), 64)
            init = nn.initializers.glorot_uniform()
            conv = Conv(count, size, 2, padding="VALID", dtype=self.dtype, kernel_init=init, name="conv1")
        else:
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
            init = nn.initializers.normal(0.01)
            conv = Conv(self.num_classes, (1, 1), padding=self.padding, dtype=self.dtype, kernel_init=init, name="conv10")
        return nn.relu(conv(x))


PUBLIC = {"squeezenet": SqueezeNet}
