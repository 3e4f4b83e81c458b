"""Class maximisation: the image whose score is largest (Simonyan, Vedaldi & Zisserman 2014, section 2).

    argmax_I  S_c(I) - decay ||I - m||^2,     m the mean pixel

by gradient ascent from m with a little noise, which breaks ties among dead units. Three things make it look like something:
steps are of a given size (the gradient over its root mean square), the image is shifted at random before each of them
("jitter", Mordvintsev et al. 2015), and blurred a little every few (Yosinski et al. 2015, section 4).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

Pixels = Float[Array, "b h w c"]
Gradient = Callable[[Array, Array], tuple[Array, Array]]

SHARP = 10  # steps at the end that are not blurred


class Ascent(NamedTuple):
    """How to climb.

    steps: how many. rate: of a pixel, per step, as root mean square. decay: of ||I - m||^2. jitter: largest shift in pixels.
    blur: weight of the four neighbours in a step of smoothing, taken every `blur_every` steps; 0 takes none.
    """

    steps: int = 60
    rate: float = 0.02
    decay: float = 1e-4
    jitter: int = 8
    blur: float = 0.1
    blur_every: int = 2


def maximise(
    gradient: Gradient,
    labels: Int[Array, " b"],
    shape: tuple[int, int, int],
    mean: Float[Array, " c"],
    key: Array,
    settings: Ascent,
    tell: Callable[[str], None] = lambda line: None,
) -> tuple[Pixels, Float[Array, " b"]]:
    """The images, and their scores S_c.

    Args:
        gradient: images, labels -> scores, and the derivative of each image's score of its label by its pixels.
        labels: the classes.
        shape: (H, W, C) of the images.
        mean: the pixel m, where the ascent starts, with noise of deviation 0.02.
        key: random key of the noise and the shifts.
        settings: settings of the gradient ascent.
        tell: is told how far it is.
    """
    noise, moves = jax.random.split(key)
    shifts = jax.random.randint(moves, (settings.steps, 2), -settings.jitter, settings.jitter + 1).tolist()
    images = jnp.clip(mean + 0.02 * jax.random.normal(noise, (len(labels), *shape)), 0, 1)
    for number, (down, right) in enumerate(shifts):
        if number % 20 == 0:
            tell(f"class maximisation, step {number} of {settings.steps}")
        _, upward = gradient(jnp.roll(images, (down, right), (1, 2)), labels)
        upward = jnp.roll(upward, (-down, -right), (1, 2)) - 2 * settings.decay * (images - mean)
        images += settings.rate * upward / jnp.maximum(jnp.sqrt(jnp.square(upward).mean((1, 2, 3), keepdims=True)), 1e-12)
        if number % settings.blur_every == 0 and number < settings.steps - SHARP:
            images = _blurred(images, settings.blur)
        images = jnp.clip(images, 0, 1)
    return images, jnp.take_along_axis(gradient(images, labels)[0], labels[:, None], axis=1)[:, 0]


def _blurred(images: Pixels, weight: float) -> Pixels:
    around = sum(jnp.roll(images, shift, axis=axis) for axis in (1, 2) for shift in (-1, 1))
    return (1 - 4 * weight) * images + weight * around
