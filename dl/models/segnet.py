"""SegNet (Badrinarayanan, Kendall & Cipolla 2017): the decoder puts each value back where the max-pooling found it.

    of H x W x 3                              output                    parameters, 11 classes
    encoder: VGG-16's 13 convolutions, each with BatchNorm and ReLU, 2x2 max-pooling after each block, which
             remembers the places of the maxima    H/32 x W/32 x 512        14,723,136
    block 5  unpooling, 3 x conv 3x3               H/16 x W/16 x 512         7,082,496
    block 4  unpooling, 3 x conv 3x3               H/8 x W/8 x 256           5,902,080
    block 3  unpooling, 3 x conv 3x3               H/4 x W/4 x 128           1,476,480
    block 2  unpooling, 2 x conv 3x3               H/2 x W/2 x 64              221,760
    block 1  unpooling, conv 3x3                   H x W x 64                   37,056
    scores   conv 3x3                              H x W x classes               6,347
                                                                            29,449,355

Each convolution of the decoder has BatchNorm and ReLU too, except the scores. The 29.45 M parameters count the biases before
BatchNorm, which published weights of VGG with BatchNorm have; here they are kept with `biased` and do not move.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dl.errors import UserError
from dl.layers.convolution import Conv
from dl.layers.upsampling import cut, padded_to, unpool
from dl.models.image_encoders import convolution, encoder


class SegNet(nn.Module):
    """The network; images [B, H, W, C] to scores [B, H, W, num_classes] float32.

    Attributes:
        widths, depths: channels and convolutions of the encoder's blocks; the decoder has them in the other direction.
        biased: whether convolutions have biases before BatchNorm.
        dtype: data type of the computation; parameters and running statistics are float32.
    """

    num_classes: int
    widths: tuple[int, ...] = (64, 128, 256, 512, 512)
    depths: tuple[int, ...] = (2, 2, 3, 3, 3)
    biased: bool = True
    backbone: str = "plain"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b h w k"]:
        vgg = self.backbone == "vgg16_bn"  # the same layers, said so that its weights fill them
        if not vgg and self.backbone != "plain":
            raise UserError(f"model.backbone={self.backbone!r}: segnet takes 'plain' or 'vgg16_bn', whose maxima have places.")
        more = {} if vgg else {"biased": self.biased}
        x, window = padded_to(x, 2 ** len(self.widths))
        maps, places = encoder(self.backbone, self.widths, self.depths, places=True, dtype=self.dtype, **more)(x, train)
        x = maps[max(maps)]
        bias = {"use_bias": True, "still_bias": train} if self.biased else {}
        for block in range(len(self.widths), 0, -1):
            x = unpool(x, places[block - 1])
            for number in range(self.depths[block - 1], 0, -1):
                if (block, number) == (1, 1):
                    break
                width = self.widths[block - 1] if number > 1 else self.widths[block - 2]
                name = f"up{block}_{number}"
                x = convolution(x, width, name, f"{name}_norm", train, self.dtype, **bias)
        init = nn.initializers.he_normal()
        return cut(
            Conv(self.num_classes, (3, 3), padding=1, dtype=self.dtype, kernel_init=init, name="scores")(x), window
        ).astype(jnp.float32)


PUBLIC = {"segnet": SegNet}
