"""The encoders of segmentation networks: an image to maps of features, coarser and coarser.

    name         layers                                            maps: stride x channels
    "plain"      blocks of 3x3 convolutions, BatchNorm, ReLU       1 x widths[0], 2 x widths[1], ...
    "vgg16"      VGG-16's convolutions (dl/models/vgg.py)          1 x 64, 2 x 128, 4 x 256, 8 x 512, 16 x 512
    "vgg16_bn"   the same with BatchNorm                           likewise
    "squeezenet" SqueezeNet 1.0 up to fire9                        2 x 96, 4 x 256, 8 x 512, 16 x 512

Layers have the names that they have in the classifiers, so that weights published for those fill an encoder
(`config.task.weights`). SqueezeNet's first convolution is padded here by 3 pixels, so that the maps of an image whose sides are
multiples of 16 divide it exactly.

Atrous encoders (Chen et al. 2018, DeepLab, section 3.1) stop at stride 8: the poolings after that have stride 1, and the
convolutions behind them see places that are twice as far apart.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dl.errors import UserError, unknown
from dl.layers.ceil_pooling import ceil_pool
from dl.layers.convolution import Conv
from dl.layers.pooling import max_pool
from dl.layers.residual import batch_norm
from dl.layers.upsampling import pool_with_places
from dl.models import vgg
from dl.models.squeezenet import WIDTHS, Fire

FINEST_ATROUS = 8  # the stride at which atrous encoders stop


class Encoded(NamedTuple):
    """maps: stride -> [B, H / stride, W / stride, C], the last of that size. places: of the maxima, see `Stages.places`."""

    maps: dict[int, jax.Array]
    places: list[jax.Array]


def convolution(
    x: Float[Array, "b h w i"], features: int, name: str, norm: str, train: bool, dtype: DTypeLike, **more: Any
) -> Float[Array, "b y x o"]:
    """A 3x3 convolution and ReLU; with BatchNorm between them where `norm` names one. Started as He et al. 2015 have it.

    Args:
        x: images.
        features: output channels.
        name: of the convolution.
        norm: name of the BatchNorm; "" is none.
        train: whether BatchNorm takes the batch's own statistics.
        dtype: of the computation.
        more: fields of `Conv`: `kernel_size`, `padding`, `kernel_dilation`, `use_bias`.
    """
    fields: dict[str, Any] = {"kernel_size": (3, 3), "padding": 1, "use_bias": not norm, **more}
    x = Conv(features, dtype=dtype, kernel_init=nn.initializers.he_normal(), name=name, **fields)(x)
    return nn.relu(batch_norm(train, dtype, norm)(x) if norm else x)


class Stages(nn.Module):
    """Blocks of 3x3 convolutions, each block after the first on pooled maps; layers conv1_1, norm1_1, ..., as of VGG.

    Attributes:
        widths: channels of each block.
        depths: convolutions of each block.
        norm: whether there is BatchNorm after each.
        biased: whether convolutions before BatchNorm have biases, as those of published weights.
        padding: 1, or 0 as in the first U-Net.
        places: whether the poolings remember where the maxima were, the last block being pooled too (SegNet).
        atrous: whether to stop at stride 8.
    """

    widths: Sequence[int]
    depths: Sequence[int]
    norm: bool = True
    biased: bool = False
    padding: int = 1
    places: bool = False
    atrous: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Encoded:
        found: dict[int, jax.Array] = {}
        places: list[jax.Array] = []
        stride, dilation = 1, 1
        for block, (width, depth) in enumerate(zip(self.widths, self.depths, strict=True), start=1):
            if block > 1 and self.atrous and stride == FINEST_ATROUS:
                x, dilation = max_pool(x, (3, 3), (1, 1), "SAME"), 2 * dilation
            elif block > 1:
                x, stride = self._pooled(x, places), 2 * stride
            for number in range(1, depth + 1):
                norm = f"norm{block}_{number}" if self.norm else ""
                more: dict[str, Any] = {"padding": self.padding * dilation, "kernel_dilation": dilation}
                if norm and self.biased:
                    more |= {"use_bias": True, "still_bias": train}
                x = convolution(x, width, f"conv{block}_{number}", norm, train, self.dtype, **more)
            found[stride] = x
        if self.places:
            found[2 * stride] = self._pooled(x, places)
        return Encoded(found, places)

    def _pooled(self, x: jax.Array, places: list[jax.Array]) -> jax.Array:
        if not self.places:
            return max_pool(x, (2, 2))
        x, place = pool_with_places(x)
        places.append(place)
        return x


class Squeeze(nn.Module):
    """SqueezeNet 1.0 up to fire9; with `atrous`, pool8 has stride 1 and fire9 a dilation of 2."""

    atrous: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Encoded:
        init = nn.initializers.glorot_uniform()
        x = nn.relu(Conv(96, (7, 7), 2, padding=3, dtype=self.dtype, kernel_init=init, name="conv1")(x))
        found, stride = {2: x}, 2
        for number in WIDTHS:
            dilation = 1
            if number == 9 and self.atrous:
                x, dilation = max_pool(x, (3, 3), (1, 1), "SAME"), 2
            elif number in (2, 5, 9):
                x, stride = ceil_pool(x), 2 * stride
            x = Fire(WIDTHS[number], self.dtype, dilation, name=f"fire{number}")(x)
            found[stride] = x
        return Encoded(found, [])


def _vgg(norm: bool) -> Callable[..., nn.Module]:
    def make(widths: Sequence[int], depths: Sequence[int], **more: Any) -> nn.Module:
        return Stages(vgg.WIDTHS, vgg.DEPTHS[16], norm, biased=norm, **more)

    return make


ENCODERS: Mapping[str, Callable[..., nn.Module]] = {
    "plain": lambda widths, depths, **more: Stages(tuple(widths), tuple(depths), **more),
    "vgg16": _vgg(norm=False),
    "vgg16_bn": _vgg(norm=True),
    "squeezenet": lambda widths, depths, **more: Squeeze(**more),
}
# Of encoders with published weights: the classifier that they are of, with its settings.
PUBLISHED: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "vgg16": ("vgg16", {}),
    "vgg16_bn": ("vgg16_bn", {}),
    "squeezenet": ("squeezenet", {"version": "1.0"}),
}


def encoder(name: str, widths: Sequence[int], depths: Sequence[int] = (), **more: Any) -> nn.Module:
    """The encoder of that name, as the layer `encoder`; called with images and `train` it gives `Encoded`.

    Args:
        name: a name of `ENCODERS`.
        widths: of "plain", channels of each block.
        depths: of "plain", convolutions of each block; () is two each.
        more: `atrous`, `dtype`; `places`, `padding` of blocks.

    Raises:
        UserError: an unknown name; widths and depths of different lengths.
    """
    if name not in ENCODERS:
        raise unknown("encoder", name, ENCODERS)
    depths = tuple(depths) or (2,) * len(widths)
    if name == "plain" and (len(depths) != len(widths) or not widths or 0 in (*widths, *depths)):
        raise UserError(f"model.widths={tuple(widths)} and model.depths={depths} must name as many blocks, each of 1 or more.")
    return ENCODERS[name](widths, depths, name="encoder", **more)
