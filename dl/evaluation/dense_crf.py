"""A conditional random field over all pixels that sharpens a label map: mean field inference in a window.

Energy of a labelling x (Krahenbuhl & Koltun 2011, eq. 1-3): the sum of -log P(x_i), as a network gives it, and for each pair of
pixels with different labels of

    colour exp(-|p_i - p_j|^2 / (2 near^2) - |I_i - I_j|^2 / (2 alike^2)) + smooth exp(-|p_i - p_j|^2 / (2 close^2))

with places p in pixels and colours I in 0..255. As in the convolutional form (Teichmann & Cipolla 2018, section 3), pairs count
within a window alone, and inference is a sum over its shifts; a window that reaches over the whole image makes it dense.
Each kernel is divided by its sum over the window, so that pixels at the rim of the image count as much.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dl.errors import UserError


class Settings(NamedTuple):
    """`config.task.crf`.

    iterations: steps of the mean field; 0 is no CRF.
    window: side of the window, an odd number of pixels.
    colour, smooth: weights of the two kernels.
    near, alike, close: their deviations, in pixels, in levels of 0..255, and in pixels.
    """

    iterations: int = 0
    window: int = 11
    colour: float = 10.0
    smooth: float = 3.0
    near: float = 80.0
    alike: float = 13.0
    close: float = 3.0


def check(settings: Settings) -> None:
    """Raises UserError where the settings make no sense."""
    if settings.window < 3 or settings.window % 2 == 0 or settings.iterations < 0:
        raise UserError(
            f"task.crf: window={settings.window} must be odd, 3 or more, and iterations={settings.iterations} not negative."
        )
    if min(settings.near, settings.alike, settings.close) <= 0:
        raise UserError("task.crf: near, alike and close are deviations, which must be above 0.")


def refined(scores: Float[Array, "h w k"], image: Float[Array, "h w c"], settings: Settings) -> Float[Array, "h w k"]:
    """Log probabilities after mean field inference (Krahenbuhl & Koltun 2011, algorithm 1).

    Args:
        scores: log probabilities, up to a constant for each pixel.
        image: 0..255.
        settings: of the field.
    """
    shifts, kernels = _kernels(image, settings)
    reach = settings.window // 2

    def message(q: jax.Array) -> jax.Array:
        """Sum over the window of the kernels times what the neighbours believe."""
        around = jnp.pad(q, ((reach, reach), (reach, reach), (0, 0)))

        def add(total: jax.Array, one: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
            shift, kernel = one
            seen = jax.lax.dynamic_slice(around, (shift[0] + reach, shift[1] + reach, 0), q.shape)
            return total + kernel[..., None] * seen, None

        return jax.lax.scan(add, jnp.zeros_like(q), (shifts, kernels))[0]

    start = jax.nn.log_softmax(scores.astype(jnp.float32))
    return jax.lax.fori_loop(
        0, settings.iterations, lambda _, log_q: jax.nn.log_softmax(start + message(jnp.exp(log_q))), start
    )


def _kernels(image: jax.Array, settings: Settings) -> tuple[jax.Array, jax.Array]:
    """The shifts of the window [S, 2], and the weight of the pixel at each of them [S, h, w], 0 outside of the image."""
    reach, (height, width) = settings.window // 2, image.shape[:2]
    side = range(-reach, reach + 1)
    shifts = jnp.array([(a, b) for a in side for b in side if (a, b) != (0, 0)], jnp.int32).reshape(-1, 2)
    pads = ((reach, reach), (reach, reach), (0, 0))
    around, inside = jnp.pad(image, pads), jnp.pad(jnp.ones((height, width, 1)), pads)

    def one(shift: jax.Array) -> tuple[jax.Array, jax.Array]:
        start = (shift[0] + reach, shift[1] + reach, 0)
        there = jax.lax.dynamic_slice(inside, start, (height, width, 1))[..., 0]
        apart = jnp.square(jax.lax.dynamic_slice(around, start, image.shape) - image).sum(-1)
        far = jnp.square(shift.astype(jnp.float32)).sum()
        colour = there * jnp.exp(-far / (2 * settings.near**2) - apart / (2 * settings.alike**2))
        return colour, there * jnp.exp(-far / (2 * settings.close**2))

    colour, smooth = jax.lax.map(one, shifts)
    floor = jnp.finfo(jnp.float32).tiny
    return shifts, settings.colour * colour / jnp.maximum(colour.sum(0), floor) + settings.smooth * smooth / jnp.maximum(
        smooth.sum(0), floor
    )
