"""Deep convolutional generative adversarial nets (Radford, Metz & Chintala 2016, sections 3 and 4, figure 1).

For 64 x 64 x 3 images and width 64 (the paper: 128; biases nowhere, so the parameters are those of PyTorch's example):

    generator      z                                          100
                   projected, BatchNorm, ReLU       4 x 4 x 512       820,224
                   transposed 4x4 / 2, BatchNorm    8 x 8 x 256     2,097,664
                   ReLU, the same                 16 x 16 x 128       524,544
                   ReLU, the same                  32 x 32 x 64       131,200
                   ReLU, transposed 4x4 / 2, tanh   64 x 64 x 3         3,072
                                                                    3,576,704
    discriminator  convolution 4x4 / 2, leaky ReLU 32 x 32 x 64         3,072
                   the same with BatchNorm        16 x 16 x 128       131,328
                   the same                         8 x 8 x 256       524,800
                   the same                         4 x 4 x 512     2,098,176
                   fully connected, the score                 1         8,192
                                                                    2,765,568

Other sides: halved as long as they are even and more than 7, so 28 has two stages, 7 x 7 x 2 width and 14 x 14 x width. Weights
start as N(0, 0.02), BatchNorm's scales as N(1, 0.02); leaky rectifiers have the slope 0.2; there is no BatchNorm at the
generator's output and the discriminator's input. In BatchNorm epsilon is 1e-5 and a batch counts 0.1 in the running statistics.

With `spectral_norm` the discriminator has, in place of BatchNorm, every kernel divided by its largest singular value, found by
one step of power iteration each time that it is trained (Miyato et al. 2018, algorithm 1); biases come in, as BatchNorm's go.
Its kernels start divided by a first estimate of that value, as Linen's SpectralNorm makes them.

Deviations: kernels of 4x4, which tile with the stride of 2, in place of 5x5; normal noise (`prior="uniform"` is the paper's).
Conditional on the class, the one-hot label stands beside z, and as constant planes beside the image.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from dl.errors import UserError
from dl.layers.convolution import Conv
from dl.layers.transposed_convolution import ConvTranspose
from dl.models.gan_mlp import Players, beside_label, check

SLOPE = 0.2
LARGEST_SEED = 7  # the side from which the generator doubles
weight_init = nn.initializers.normal(0.02)


def scale_init(key: Array, shape: Sequence[int], dtype: DTypeLike = jnp.float32) -> Array:
    """N(1, 0.02)."""
    return 1 + 0.02 * jax.random.normal(key, shape, dtype)


def stages(side: int) -> int:
    """How often a side is halved: while it is even and more than 7."""
    count = 0
    while side > LARGEST_SEED and side % 2 == 0:
        side, count = side // 2, count + 1
    return count


def batch_norm(x: Float[Array, "b ..."], train: bool, dtype: DTypeLike, name: str) -> Float[Array, "b ..."]:
    """To be called inside a compact method."""
    norm = nn.BatchNorm(
        use_running_average=not train, momentum=0.9, epsilon=1e-5, dtype=dtype, scale_init=scale_init, name=name
    )
    return norm(x)


class Generator(nn.Module):
    """z [B, latent] to images [B, *shape] in -1 .. 1."""

    shape: tuple[int, int, int]
    width: int
    num_classes: int
    conditional: bool
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self, z: Float[Array, "b latent"], label: Int[Array, " b"] | None = None, train: bool = False
    ) -> Float[Array, "b h w c"]:
        count = stages(self.shape[0])
        seed, features = self.shape[0] >> count, self.width << (count - 1)
        x = beside_label(z, label, self.num_classes) if self.conditional else z
        x = nn.Dense(seed * seed * features, use_bias=False, dtype=self.dtype, kernel_init=weight_init, name="project")(x)
        x = nn.relu(batch_norm(x.reshape(-1, seed, seed, features), train, self.dtype, "norm0"))
        for i in range(1, count):
            x = self.enlarge(self.width << (count - 1 - i), f"conv{i}")(x)
            x = nn.relu(batch_norm(x, train, self.dtype, f"norm{i}"))
        return jnp.tanh(self.enlarge(self.shape[2], f"conv{count}")(x).astype(jnp.float32))

    def enlarge(self, features: int, name: str) -> ConvTranspose:
        return ConvTranspose(features, (4, 4), 2, use_bias=False, dtype=self.dtype, kernel_init=weight_init, name=name)


class Discriminator(nn.Module):
    """Images [B, H, W, C] to scores [B], the logits of D."""

    width: int
    spectral_norm: bool
    num_classes: int
    conditional: bool
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], label: Int[Array, " b"] | None = None, train: bool = False
    ) -> Float[Array, " b"]:
        count = stages(x.shape[1])
        if self.conditional:
            planes = beside_label(jnp.zeros((len(x), 0)), label, self.num_classes)[:, None, None]
            x = jnp.concatenate([x, jnp.broadcast_to(planes, (*x.shape[:3], planes.shape[-1]))], axis=-1)
        for i in range(1, count + 1):
            conv = Conv(
                self.width << (i - 1),
                (4, 4),
                2,
                use_bias=self.spectral_norm,
                dtype=self.dtype,
                kernel_init=weight_init,
                name=f"conv{i}",
            )
            x = self.normalised(conv, x, train)
            if i > 1 and not self.spectral_norm:
                x = batch_norm(x, train, self.dtype, f"norm{i}")
            x = nn.leaky_relu(x, SLOPE)
        score = nn.Dense(1, use_bias=self.spectral_norm, dtype=self.dtype, kernel_init=weight_init, name="score")
        return self.normalised(score, x.reshape(len(x), -1), train)[:, 0].astype(jnp.float32)

    def normalised(self, layer: nn.Module, x: Array, train: bool) -> Array:
        """The layer, with its kernel divided by the largest singular value where that is asked for."""
        if not self.spectral_norm:
            return layer(x)
        return nn.SpectralNorm(layer, name=f"{layer.name}_norm")(x, update_stats=train)


def dcgan(
    shape: tuple[int, ...],
    num_classes: int = 0,
    dtype: DTypeLike = jnp.float32,
    latent: int = 100,
    prior: str = "normal",
    width: int = 64,
    spectral_norm: bool = False,
    conditional: bool = False,
) -> Players:
    """The two nets for square images whose side is 4, 5, 6 or 7 times a power of two.

    Args:
        shape: shape of an image, H, W, C.
        num_classes: number of classes of the labels.
        dtype: data type of the computation.
        latent: numbers that the generator starts from.
        prior: their distribution, "normal" or "uniform".
        width: channels of the stage next to the image; each further one has twice as many.
        spectral_norm: in the discriminator, in place of BatchNorm.
        conditional: on the class.

    Raises:
        UserError: images that don't fit, an unknown prior, or no classes to be conditional on.
    """
    count = stages(shape[0]) if len(shape) == 3 else 0
    if len(shape) != 3 or shape[0] != shape[1] or not count or shape[0] >> count > LARGEST_SEED:
        got = "x".join(map(str, shape))
        raise UserError(
            f"dcgan takes square images with a side of 4 to 7 times a power of two (28, 32, 64, ...), got {got}: "
            "set --config.dataset.size=(32,32)."
        )
    check(prior, conditional, num_classes)
    made = Generator((shape[0], shape[1], shape[2]), width, num_classes, conditional, dtype)
    return Players(made, Discriminator(width, spectral_norm, num_classes, conditional, dtype), latent, prior, conditional)


PUBLIC = {"dcgan": dcgan}
