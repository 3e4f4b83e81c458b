"""DeepLab (Chen, Papandreou, Kokkinos, Murphy & Yuille 2018): atrous convolutions, and atrous spatial pyramid pooling (ASPP).

    of H x W x 3                                 output                 parameters, VGG-16, 21 classes
    VGG-16, atrous from pool4 on                 H/8 x W/8 x 512        14,714,688
    for each rate r of 6, 12, 18 and 24:
      fc6  conv 3x3, dilation r, ReLU, dropout   H/8 x W/8 x 1024        4,719,616
      fc7  conv 1x1, ReLU, dropout               H/8 x W/8 x 1024        1,049,600
      fc8  conv 1x1                              H/8 x W/8 x classes        21,525
    sum of the branches, bilinear                H x W x classes        37,877,652    DeepLab-ASPP-L (section 4.1.2)
                                                 with the rate 12 alone 20,505,429    DeepLab-LargeFOV, "20.5 M"

The rates are for the stride 8 of VGG-16 on images of 500 pixels; smaller images take smaller ones. The dense CRF that follows
is dl/evaluation/dense_crf.py, `config.task.crf`.

With the backbone "squeezenet", pool8 has stride 1 and fire9 a dilation of 2. `skip` adds what later versions have (Chen et al.
2018b, "DeepLabv3+", figure 2): the branches' features are enlarged and joined with the encoder's map of that stride before they
are scored; 0 is none.

Deviations: poolings are 2x2 where the paper's are 3x3, but for those with stride 1.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dl.errors import UserError
from dl.layers.convolution import Conv
from dl.layers.upsampling import cut, padded_to, resized
from dl.models.image_encoders import FINEST_ATROUS, convolution, encoder

SKIPPED = 48  # channels of the encoder's map that is joined, as in DeepLabv3+


class DeepLab(nn.Module):
    """The network; images [B, H, W, C] to scores [B, H, W, num_classes] float32.

    Attributes:
        backbone: what the encoder is, see dl/models/image_encoders.py.
        widths: of the backbone "plain", channels of its blocks.
        rates: dilations of the branches.
        hidden: channels of fc6 and fc7.
        norm: BatchNorm after fc6 and fc7, which is not in the paper; a net that starts from scratch needs it.
        skip: stride of the encoder's map that refines the scores; 0 is none.
        dropout: dropout rate of fc6 and fc7, in training.
        dtype: data type of the computation; parameters and running statistics are float32.

    Raises:
        UserError: no rates, or no map of the stride `skip`.
    """

    num_classes: int
    backbone: str = "vgg16"
    widths: tuple[int, ...] = (64, 128, 256, 512, 512)
    rates: tuple[int, ...] = (6, 12, 18, 24)
    hidden: int = 1024
    norm: bool = False
    skip: int = 0
    dropout: float = 0.5
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b h w k"]:
        if not self.rates or min(self.rates) < 1:
            raise UserError(f"model.rates={self.rates} must be dilations, at least one, each of 1 or more.")
        x, window = padded_to(x, 2 * FINEST_ATROUS)
        sides = (x.shape[1], x.shape[2])
        maps = encoder(self.backbone, self.widths, atrous=True, dtype=self.dtype)(x, train).maps
        if self.skip and self.skip not in maps:
            raise UserError(f"model.skip={self.skip}: {self.backbone} has the strides {sorted(maps)}; 0 is none.")
        branches = [self._branch(maps[max(maps)], rate, train) for rate in self.rates]
        if self.skip:
            scores = self._joined(branches, maps[self.skip], train)
        else:
            each = [self._score(y, f"fc8_{rate}") for rate, y in zip(self.rates, branches, strict=True)]
            scores = jnp.sum(jnp.stack(each), axis=0)
        return cut(resized(scores.astype(jnp.float32), sides), window)

    def _branch(self, x: jax.Array, rate: int, train: bool) -> jax.Array:
        wide = {"kernel_size": (3, 3), "padding": rate, "kernel_dilation": rate}
        narrow = {"kernel_size": (1, 1), "padding": 0}
        for name, more in ((f"fc6_{rate}", wide), (f"fc7_{rate}", narrow)):
            x = convolution(x, self.hidden, name, f"{name}_norm" if self.norm else "", train, self.dtype, **more)
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return x

    def _joined(self, branches: list[jax.Array], skip: jax.Array, train: bool) -> jax.Array:
        """Scores of the sum of the branches, enlarged, beside a map of the encoder."""
        size, one = (skip.shape[1], skip.shape[2]), {"kernel_size": (1, 1), "padding": 0}
        fine = convolution(skip, min(SKIPPED, self.hidden), "skip", "skip_norm" if self.norm else "", train, self.dtype, **one)
        x = jnp.concatenate([resized(jnp.sum(jnp.stack(branches), axis=0), size), fine], axis=-1)
        return self._score(
            convolution(x, self.hidden, "joined", "joined_norm" if self.norm else "", train, self.dtype), "scores"
        )

    def _score(self, x: jax.Array, name: str) -> jax.Array:
        return Conv(self.num_classes, (1, 1), dtype=self.dtype, kernel_init=nn.initializers.he_normal(), name=name)(x)


PUBLIC = {"deeplab": DeepLab}
