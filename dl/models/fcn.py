"""Fully convolutional networks (Long, Shelhamer & Darrell 2015): FCN-32s, FCN-16s and FCN-8s.

    of H x W x 3                      output                   parameters, VGG-16, 21 classes
    VGG-16 up to pool5                H/32 x W/32 x 512        14,714,688
    fc6     conv 7x7, ReLU, dropout   H/32 x W/32 x 4096      102,764,544
    fc7     conv 1x1, ReLU, dropout   H/32 x W/32 x 4096       16,781,312
    score32 conv 1x1                  H/32 x W/32 x classes        86,037
    up32    transposed 4x4 / 2        H/16 x W/16 x classes         7,056    FCN-16s and FCN-8s
    score16 conv 1x1 of pool4, added                               10,773
    up16    transposed 4x4 / 2        H/8 x W/8 x classes           7,056    FCN-8s
    score8  conv 1x1 of pool3, added                                5,397
            bilinear                  H x W x classes                        FCN-8s: 134,376,863

The published file of FCN-8s has the last enlargement, a fixed bilinear kernel of 16x16x21x21, among its weights: 134,489,759.
Transposed convolutions start as bilinear interpolation and learn. `stride` is 32, 16 or 8; smaller ones go on likewise.

With the backbone "squeezenet" the coarsest map is fire9's, H/16 x W/16, so that strides 16, 8 and 4 take the places of 32, 16
and 8; "plain" pools after its last block, as VGG does.

Deviations: convolutions are padded to keep the size, where the paper pads the image by 100 pixels and crops; the three nets
are trained at once and not one from the other; scores of skips start as He et al. 2015 have it, not at zero.
"""

from typing import cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dl.errors import UserError
from dl.layers.convolution import Conv
from dl.layers.pooling import max_pool
from dl.layers.transposed_convolution import ConvTranspose
from dl.layers.upsampling import bilinear_kernel, cut, padded_to, resized
from dl.models.image_encoders import convolution, encoder


class FCN(nn.Module):
    """The network; images [B, H, W, C] to scores [B, H, W, num_classes] float32.

    Attributes:
        stride: of the finest map that is scored.
        backbone: what the encoder is, see dl/models/image_encoders.py.
        widths: of the backbone "plain", channels of its blocks.
        hidden: channels of fc6 and fc7.
        window: side of fc6.
        norm: BatchNorm after fc6 and fc7, which is not in the paper; a net that starts from scratch needs it.
        dropout: dropout rate of fc6 and fc7, in training.
        dtype: data type of the computation; parameters and running statistics are float32.

    Raises:
        UserError: a stride that the backbone does not have.
    """

    num_classes: int
    stride: int = 8
    backbone: str = "vgg16"
    widths: tuple[int, ...] = (64, 128, 256, 512, 512)
    hidden: int = 4096
    window: int = 7
    norm: bool = False
    dropout: float = 0.5
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b h w k"]:
        x, window = padded_to(x, 2 ** len(self.widths) if self.backbone == "plain" else 32)
        sides = (x.shape[1], x.shape[2])
        maps = encoder(self.backbone, self.widths, dtype=self.dtype)(x, train).maps
        if self.backbone != "squeezenet":  # scores are of what each pooling gives
            maps = {2 * stride: max_pool(found, (2, 2)) for stride, found in maps.items()}
        if self.stride not in maps:
            raise UserError(f"model.stride={self.stride}: the backbone {self.backbone} has maps of strides {sorted(maps)}.")
        coarsest = max(maps)
        scores, stride = self._score(self._hidden(maps[coarsest], train), f"score{coarsest}"), coarsest
        while stride > self.stride:
            start = cast(Initializer, bilinear_kernel)
            up = ConvTranspose(
                self.num_classes, (4, 4), use_bias=False, dtype=self.dtype, kernel_init=start, name=f"up{stride}"
            )
            stride //= 2
            scores = up(scores) + self._score(maps[stride], f"score{stride}")
        return cut(resized(scores.astype(jnp.float32), sides), window)

    def _hidden(self, x: jax.Array, train: bool) -> jax.Array:
        for name, side in (("fc6", self.window), ("fc7", 1)):
            more = {"kernel_size": (side, side), "padding": side // 2}
            x = convolution(x, self.hidden, name, f"{name}_norm" if self.norm else "", train, self.dtype, **more)
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return x

    def _score(self, x: jax.Array, name: str) -> jax.Array:
        return Conv(self.num_classes, (1, 1), dtype=self.dtype, kernel_init=nn.initializers.he_normal(), name=name)(x)


PUBLIC = {"fcn": FCN}
