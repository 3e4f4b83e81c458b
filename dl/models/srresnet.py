"""SRResNet, the generator of SRGAN, and SRGAN's discriminator (Ledig et al. 2017, figure 4).

    generator       9x9, PReLU                                       h x w x 64        15,680
                    16 blocks: 3x3, BatchNorm, PReLU,                h x w x 64     1,184,768
                      3x3, BatchNorm, added to their input
                    3x3, BatchNorm, added to the first layer         h x w x 64        36,992
                    3x3, pixels shuffled, PReLU                    2h x 2w x 64       147,776
                    the same                                       4h x 4w x 64       147,776
                    9x9                                            4h x 4w x 3         15,555
                                                                                    1,548,547
    discriminator   3x3, leaky ReLU                              96 x 96 x 64           1,792
                    3x3 / 2, BatchNorm, leaky ReLU               48 x 48 x 64          36,992
                    3x3, the same, then 3x3 / 2, the same        24 x 24 x 128        221,696
                    the same                                     12 x 12 x 256        885,760
                    the same                                       6 x 6 x 512      3,540,992
                    fully connected, leaky ReLU                        1,024       18,875,392
                    fully connected, the score                             1            1,025
                                                                                   23,563,649

Shuffling makes an image s times as high and wide of s^2 times as many channels (Shi et al. 2016, eq. 4). PReLU has a slope a
channel. There is no bias before BatchNorm. Images beside larger ones in a batch are zero beyond their rim at every layer, as if
each were alone.

For two cores there are, away from the paper: `width` and `blocks`; `norm=False`, no BatchNorm (Lim et al. 2017); `direct`,
all pixels of the output by one 3x3 convolution and one shuffle (Shi et al. 2016), whose work is done at the small size;
`skip`, the net's output is added to the bicubic enlargement (Kim et al. 2016) and begins as 0.
"""

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from dl.errors import UserError
from dl.layers.activations import Activation
from dl.layers.bicubic import enlarged
from dl.layers.convolution import Conv

SLOPE = 0.2
STAGES = {2: (2,), 3: (3,), 4: (2, 2)}


def shuffled(x: Float[Array, "b h w c"], scale: int) -> Float[Array, "b y x k"]:
    """[B, h, w, s * s * C] to [B, s * h, s * w, C]: channel (c, a, b) is row a, column b of a pixel's square."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height, width, channels // scale**2, scale, scale)
    return x.transpose(0, 1, 4, 2, 5, 3).reshape(batch, scale * height, scale * width, channels // scale**2)


class SRResNet(nn.Module):
    """Small images [B, h, w, C] to enlarged ones [B, scale * h, scale * w, C], float32; see the module.

    Attributes:
        channels: C, of the images.
        scale: 2, 3 or 4.
        width: channels of the layers.
        blocks: residual blocks.
        norm: BatchNorm.
        direct: one shuffle to the output.
        skip: added to the bicubic enlargement.
        dtype: of the computation.
    """

    channels: int = 3
    scale: int = 4
    width: int = 64
    blocks: int = 16
    norm: bool = True
    direct: bool = False
    skip: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, low: Float[Array, "b h w c"], size: Int[Array, "b 2"] | None = None, train: bool = False
    ) -> Float[Array, "b y x c"]:
        """`size` [B, 2] is height and width of each image in `low`, where they differ; what comes of the rest is to be cut."""
        first = x = Activation("prelu", name="prelu0")(self.conv(low.astype(self.dtype), "conv0", self.width, 9, size))
        for i in range(1, self.blocks + 1):
            y = self.normed(self.conv(x, f"block{i}_conv1", self.width, 3, size, bias=not self.norm), f"block{i}_norm1", train)
            y = Activation("prelu", name=f"block{i}_prelu")(y)
            y = self.conv(y, f"block{i}_conv2", self.width, 3, size, bias=not self.norm)
            x = x + self.normed(y, f"block{i}_norm2", train)
        x = first + self.normed(self.conv(x, "conv1", self.width, 3, size, bias=not self.norm), "norm1", train)
        made = self.output(x, size).astype(jnp.float32)
        return made + enlarged(low, self.scale, size) if self.skip else made

    def output(self, x: Float[Array, "b h w f"], size: Int[Array, "b 2"] | None) -> Float[Array, "b y x c"]:
        """The layers that enlarge."""
        if self.direct:
            return shuffled(self.conv(x, "output", self.scale**2 * self.channels, 3, size, last=True), self.scale)
        for i, factor in enumerate(STAGES[self.scale], 2):
            x = shuffled(self.conv(x, f"conv{i}", factor**2 * self.width, 3, size), factor)
            x = Activation("prelu", name=f"prelu{i}")(x)
            size = None if size is None else factor * size
        return self.conv(x, "output", self.channels, 9, size, last=True)

    def conv(
        self,
        x: Float[Array, "b h w i"],
        name: str,
        features: int,
        side: int,
        size: Int[Array, "b 2"] | None,
        bias: bool = True,
        last: bool = False,
    ) -> Float[Array, "b h w o"]:
        """A convolution of images that are zero beyond their rim."""
        if size is not None:
            rows, columns = (jnp.arange(n) < size[:, axis, None] for axis, n in enumerate(x.shape[1:3]))
            x = jnp.where((rows[:, :, None] & columns[:, None])[..., None], x, 0)
        init = nn.initializers.zeros if last and self.skip else nn.initializers.lecun_normal()
        return Conv(features, (side, side), use_bias=bias, dtype=self.dtype, kernel_init=init, name=name)(x)

    def normed(self, x: Float[Array, "b h w f"], name: str, train: bool) -> Float[Array, "b h w f"]:
        """BatchNorm, where there is any."""
        return batch_norm(x, train, self.dtype, name) if self.norm else x


def batch_norm(x: Float[Array, "b h w f"], train: bool, dtype: DTypeLike, name: str) -> Float[Array, "b h w f"]:
    """To be called inside a compact method."""
    return nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5, dtype=dtype, name=name)(x)


class Discriminator(nn.Module):
    """Images [B, P, P, C] to scores [B], float32, the logits of D.

    Attributes:
        width: channels of the first layer; every second of the others has twice as many as the one before.
        stages: pairs of convolutions, each of which halves the image.
        dense: units of the layer before the score.
        dtype: of the computation.
    """

    width: int = 64
    stages: int = 4
    dense: int = 1024
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], label: Int[Array, " b"] | None = None, train: bool = False
    ) -> Float[Array, " b"]:
        """Nothing has a `label` here, which other players look at."""
        x = x.astype(self.dtype)
        for i in range(2 * self.stages):
            bias = i == 0
            conv = Conv(
                self.width << i // 2, (3, 3), 1 + i % 2, padding=1, use_bias=bias, dtype=self.dtype, name=f"conv{i + 1}"
            )
            x = conv(x)
            x = x if bias else batch_norm(x, train, self.dtype, f"norm{i + 1}")
            x = nn.leaky_relu(x, SLOPE)
        x = nn.leaky_relu(nn.Dense(self.dense, dtype=self.dtype, name="dense")(x.reshape(len(x), -1)), SLOPE)
        return nn.Dense(1, dtype=self.dtype, name="score")(x)[:, 0].astype(jnp.float32)


class Opponents(NamedTuple):
    """The net that enlarges, and the one that tells what it makes from originals."""

    generator: nn.Module
    discriminator: nn.Module


def srgan(
    channels: int = 3,
    scale: int = 4,
    width: int = 64,
    blocks: int = 16,
    norm: bool = True,
    direct: bool = False,
    skip: bool = False,
    discriminator_width: int = 64,
    discriminator_stages: int = 4,
    dense: int = 1024,
    dtype: DTypeLike = jnp.float32,
) -> Opponents:
    """Both nets; see `SRResNet` and `Discriminator`.

    Raises:
        UserError: a width that is none.
    """
    if min(width, blocks, discriminator_width, discriminator_stages, dense) < 1:
        raise UserError("srgan needs numbers of at least 1: width, blocks, discriminator_width, discriminator_stages, dense.")
    made = SRResNet(channels, scale, width, blocks, norm, direct, skip, dtype)
    return Opponents(made, Discriminator(discriminator_width, discriminator_stages, dense, dtype))


PUBLIC = {"srresnet": SRResNet, "srgan": srgan}
