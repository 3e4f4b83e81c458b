"""Generative adversarial nets of fully connected layers (Goodfellow et al. 2014; the settings of its code, mnist.yaml).

    generator      z ~ N(0, 1), 100 numbers       100
                   fully connected, ReLU        1,200     121,200
                   fully connected, ReLU        1,200   1,441,200
                   fully connected, sigmoid       784     941,584
                                                        2,503,984
    discriminator  image, 20 % dropped            784
                   maxout of 5 pieces             240     942,000
                   50 % dropped, maxout of 5      240     289,200
                   50 % dropped, score              1         241
                                                        1,231,441

The score is the logit of D(x): D(x) = sigmoid(score). Conditional on the class (Mirza & Osindero 2014), both players see the
label as a one-hot vector beside their input. With `pieces=1` the discriminator's hidden layers are leaky rectifiers of 0.2.

Deviations: the generator's last bias starts at zero, not at the pixels' marginals; a label joins at the input, where Mirza &
Osindero give it a hidden layer of its own.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from dl.errors import UserError, unknown

OUTPUTS = {"sigmoid": nn.sigmoid, "tanh": jnp.tanh, "identity": lambda x: x}
PRIORS = {
    "normal": lambda key, shape: jax.random.normal(key, shape),
    "uniform": lambda key, shape: jax.random.uniform(key, shape, minval=-1.0, maxval=1.0),
}


class Players(NamedTuple):
    """The two players of a game, Linen modules.

    generator: `(z [B, latent], label [B] int32 or None, train) -> examples [B, ...]` in float32.
    discriminator: `(examples [B, ...], label or None, train) -> scores [B]` in float32, the logits of D.
    latent: number of inputs of the generator.
    prior: their distribution: "normal", N(0, 1), or "uniform" on -1 .. 1.
    conditional: whether the players look at the label.
    """

    generator: nn.Module
    discriminator: nn.Module
    latent: int
    prior: str = "normal"
    conditional: bool = False

    def draw(self, key: Array, count: int) -> Float[Array, "b latent"]:
        """So many points of the latent space from the prior."""
        return PRIORS[self.prior](key, (count, self.latent))


class Generator(nn.Module):
    """Rectified layers, then one of the example's size. `init_scale`: weights start uniform in +- this."""

    shape: tuple[int, ...]
    hidden: tuple[int, ...]
    output: str
    init_scale: float
    num_classes: int
    conditional: bool
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self, z: Float[Array, "b latent"], label: Int[Array, " b"] | None = None, train: bool = False
    ) -> Float[Array, "b ..."]:
        init = symmetric(self.init_scale)
        x = beside_label(z, label, self.num_classes) if self.conditional else z
        for i, width in enumerate(self.hidden, 1):
            x = nn.relu(nn.Dense(width, dtype=self.dtype, kernel_init=init, name=f"dense{i}")(x))
        x = nn.Dense(math.prod(self.shape), dtype=self.dtype, kernel_init=init, name=f"dense{len(self.hidden) + 1}")(x)
        return OUTPUTS[self.output](x.astype(jnp.float32)).reshape(-1, *self.shape)


class Discriminator(nn.Module):
    """Maxout layers (Goodfellow et al. 2013) of `pieces`, dropout before each; the score is a logit."""

    hidden: tuple[int, ...]
    pieces: int
    dropout: float
    input_dropout: float
    init_scale: float
    num_classes: int
    conditional: bool
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self, x: Float[Array, "b ..."], label: Int[Array, " b"] | None = None, train: bool = False
    ) -> Float[Array, " b"]:
        init = symmetric(self.init_scale)
        x = x.reshape(len(x), -1)
        x = beside_label(x, label, self.num_classes) if self.conditional else x
        for i, width in enumerate(self.hidden, 1):
            x = nn.Dropout(self.dropout if i > 1 else self.input_dropout, deterministic=not train)(x)
            x = nn.Dense(width * self.pieces, dtype=self.dtype, kernel_init=init, name=f"dense{i}")(x)
            x = x.reshape(len(x), width, self.pieces).max(-1) if self.pieces > 1 else nn.leaky_relu(x, 0.2)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(1, dtype=self.dtype, kernel_init=init, name="score")(x)[:, 0].astype(jnp.float32)


def symmetric(scale: float) -> nn.initializers.Initializer:
    """U(-scale, scale); with 0 Glorot's."""
    if not scale:
        return nn.initializers.glorot_uniform()

    def init(key: Array, shape: Sequence[int], dtype: DTypeLike = jnp.float32) -> Array:
        return jax.random.uniform(key, shape, dtype, -scale, scale)

    return init


def beside_label(x: Float[Array, "b n"], label: Int[Array, " b"] | None, num_classes: int) -> Float[Array, "b m"]:
    """The one-hot label beside x."""
    if label is None:
        raise ValueError("a conditional player needs labels")
    return jnp.concatenate([x, jax.nn.one_hot(label, num_classes, dtype=x.dtype)], axis=-1)


def gan_mlp(
    shape: tuple[int, ...],
    num_classes: int = 0,
    dtype: DTypeLike = jnp.float32,
    latent: int = 100,
    prior: str = "normal",
    generator: tuple[int, ...] = (1200, 1200),
    discriminator: tuple[int, ...] = (240, 240),
    pieces: int = 5,
    dropout: float = 0.5,
    input_dropout: float = 0.2,
    output: str = "sigmoid",
    generator_scale: float = 0.05,
    discriminator_scale: float = 0.005,
    conditional: bool = False,
) -> Players:
    """The two nets for examples of any shape.

    Args:
        shape: shape of an example, images or points.
        num_classes: number of classes of the labels.
        dtype: data type of the computation.
        latent: numbers that the generator starts from.
        prior: their distribution, "normal" or "uniform".
        generator: the widths of its hidden layers.
        discriminator: the widths of its hidden layers.
        pieces: linear pieces of a maxout unit; 1: leaky rectifiers.
        dropout: the part of the discriminator's hidden units that is dropped.
        input_dropout: dropout rate of the discriminator's inputs.
        output: activation of the generator's output, "sigmoid", "tanh" or "identity".
        generator_scale: its weights start uniform in +- this; 0: Glorot's initialisation.
        discriminator_scale: likewise.
        conditional: on the class.

    Raises:
        UserError: an unknown output or prior, or no classes to be conditional on.
    """
    if output not in OUTPUTS:
        raise unknown("output of the generator", output, OUTPUTS)
    check(prior, conditional, num_classes)
    generator_net = Generator(tuple(shape), tuple(generator), output, generator_scale, num_classes, conditional, dtype)
    discriminator_net = Discriminator(
        tuple(discriminator), pieces, dropout, input_dropout, discriminator_scale, num_classes, conditional, dtype
    )
    return Players(generator_net, discriminator_net, latent, prior, conditional)


def check(prior: str, conditional: bool, num_classes: int) -> None:
    """Raises UserError where the prior is unknown, or the data have no classes to be conditional on."""
    if prior not in PRIORS:
        raise unknown("prior", prior, PRIORS)
    if conditional and not num_classes:
        raise UserError("a conditional GAN needs labelled data: give another dataset, or set config.model.conditional=False.")


PUBLIC = {"gan_mlp": gan_mlp}
