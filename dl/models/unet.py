"""U-Net (Ronneberger, Fischer & Brox 2015, figure 1): an encoder, and a decoder that sees the maps of the encoder again.

    of 572 x 572 x 1          output         parameters     as published, with 2 classes
    block 1  2 x conv 3x3     568 x 568 x 64         37,568
    block 2  2 x conv 3x3     280 x 280 x 128       221,440
    block 3  2 x conv 3x3     136 x 136 x 256       885,248
    block 4  2 x conv 3x3      64 x 64 x 512      3,539,968
    block 5  2 x conv 3x3      28 x 28 x 1024    14,157,824
    up 4     up-conv 2x2, concatenation with block 4, 2 x conv 3x3      52 x 52 x 512     9,176,576
    up 3                                                               100 x 100 x 256    2,294,528
    up 2                                                               196 x 196 x 128      573,824
    up 1                                                               388 x 388 x 64       143,552
    scores   conv 1x1                                                  388 x 388 x 2            130
                                                                                         31,030,658

Each 3x3 convolution is followed by a ReLU, each block but the last by 2x2 max-pooling; dropout at the end of the encoder. The
published convolutions are not padded: the image is mirrored at its rims, so that the scores cover it (`padded=False`; "overlap-
tile", figure 2). RGB images and one class make 31,031,745 parameters, the number that is often quoted.

Deviations: `padded` convolutions unless it is False; BatchNorm unless `norm` is False, as nearly all later uses have it. With
the backbone "squeezenet" (dl/models/image_encoders.py) the decoder starts from its maps, and the finest concatenation is with a
block of convolutions on the image itself.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dl.errors import UserError
from dl.layers.convolution import Conv
from dl.layers.transposed_convolution import ConvTranspose
from dl.layers.upsampling import Window, cut, padded_to
from dl.models.image_encoders import convolution, encoder


class UNet(nn.Module):
    """The network; images [B, H, W, C] to scores [B, H, W, num_classes] float32.

    Attributes:
        widths: channels of the encoder's blocks, and of the decoder's in the other direction. With another backbone than
            "plain", of the decoder's blocks, the finest first, one for each halving.
        backbone: what the encoder is, see dl/models/image_encoders.py.
        norm: BatchNorm after each convolution of the blocks.
        padded: False is as published.
        dropout: dropout rate of the coarsest map, in training.
        dtype: data type of the computation; parameters and running statistics are float32.
    """

    num_classes: int
    widths: tuple[int, ...] = (64, 128, 256, 512, 1024)
    backbone: str = "plain"
    norm: bool = True
    padded: bool = True
    dropout: float = 0.5
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b h w k"]:
        if self.backbone != "plain":
            return self._on_encoder(x, train)
        padding = int(self.padded)
        x, window = padded_to(x, 2 ** (len(self.widths) - 1)) if self.padded else self._mirrored(x)
        blocks = encoder("plain", self.widths, norm=self.norm, padding=padding, dtype=self.dtype)
        maps = blocks(x, train).maps
        coarsest, *finer = [maps[stride] for stride in sorted(maps, reverse=True)]
        scores = self._decoded(coarsest, finer, self.widths[-2::-1], train)
        return cut(scores, window)

    def _on_encoder(self, x: jax.Array, train: bool) -> jax.Array:
        x, window = padded_to(x, 16)
        maps = encoder(self.backbone, (), dtype=self.dtype)(x, train).maps
        if 1 not in maps:
            maps[1] = convolution(x, self.widths[0], "image", self._norm_name("image"), train, self.dtype)
        coarsest, *finer = [maps[stride] for stride in sorted(maps, reverse=True)]
        if len(self.widths) != len(finer):
            raise UserError(f"model.widths must be {len(finer)} numbers with the backbone {self.backbone}, one a halving.")
        return cut(self._decoded(coarsest, finer, self.widths[::-1], train), window)

    def _decoded(self, x: jax.Array, finer: list[jax.Array], widths: Sequence[int], train: bool) -> jax.Array:
        """Scores of the expanding path; `finer` are the encoder's maps, the coarsest first."""
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        init = nn.initializers.he_normal()
        for level, skip, width in zip(range(len(finer), 0, -1), finer, widths, strict=True):
            x = ConvTranspose(width, (2, 2), dtype=self.dtype, kernel_init=init, name=f"up{level}")(x)
            beside = [(n - m) // 2 for n, m in zip(skip.shape[1:3], x.shape[1:3], strict=True)]
            rows, columns = ((low, low + n) for low, n in zip(beside, x.shape[1:3], strict=True))
            x = jnp.concatenate([cut(skip, (rows, columns)), x], axis=-1)
            for number in (1, 2):
                name = f"up{level}_conv{number}"
                x = convolution(x, width, name, self._norm_name(name), train, self.dtype, padding=int(self.padded))
        return Conv(self.num_classes, (1, 1), dtype=self.dtype, kernel_init=init, name="scores")(x).astype(jnp.float32)

    def _norm_name(self, layer: str) -> str:
        return f"{layer}_norm" if self.norm else ""

    def _mirrored(self, x: jax.Array) -> tuple[jax.Array, Window]:
        """The image with its mirror image around it, so large that the scores cover it, and where in the scores it lies.

        With L levels, smallest map s and t = 4 (2^(L-1) - 1), the input has 2^(L-1) s + t pixels and the scores
        2^(L-1) (s - 4) - t (572 and 388 of s = 32).
        """
        coarse = 2 ** (len(self.widths) - 1)
        rim = 4 * (coarse - 1)
        pads = []
        for side in x.shape[1:3]:
            smallest = -(-(side + rim) // coarse) + 4
            more = coarse * smallest + rim - side
            before = rim + 2 * coarse  # what the convolutions take off the upper and the left side
            pads.append((before, more - before))
        return jnp.pad(x, ((0, 0), *pads, (0, 0)), mode="symmetric"), ((0, x.shape[1]), (0, x.shape[2]))


PUBLIC = {"unet": UNet}
