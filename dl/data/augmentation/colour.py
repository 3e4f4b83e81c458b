"""Colour and noise. The formulas are those of `tf.image` and dm-pix; the results are clipped to 0..1, noise excepted."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dl.data.augmentation.checks import at_least, interval
from dl.errors import UserError

Image = Float[Array, "h w c"]
Transform = Callable[[jax.Array, Image], Image]


def brightness(delta: float = 0.2) -> Transform:
    """Adds U(-delta, delta), one draw for all pixels and channels."""
    import dm_pix

    at_least("brightness.delta", delta, 0.0)
    return lambda key, image: jnp.clip(dm_pix.random_brightness(key, image, delta), 0.0, 1.0)


def contrast(factor: Sequence[float] = (0.8, 1.2)) -> Transform:
    """`mean + U(factor) * (image - mean)` with the mean of each channel over the image."""
    import dm_pix

    low, high = interval("contrast.factor", factor)
    return lambda key, image: jnp.clip(dm_pix.random_contrast(key, image, low, high), 0.0, 1.0)


def saturation(factor: Sequence[float] = (0.8, 1.2)) -> Transform:
    """The saturation of each pixel in HSV times U(factor), at most 1. Grey images have none and stay.

    Saturation is range / value, so with value and hue kept, every channel's distance from value is scaled by one number.
    """
    low, high = interval("saturation.factor", factor)

    def apply(key: jax.Array, image: Image) -> Image:
        value, span = _value_and_span(image)
        drawn = jax.random.uniform(key, (), minval=low, maxval=high)
        return value - (value - image) * jnp.minimum(drawn, value / jnp.where(span > 0.0, span, 1.0))

    return _of_colours("saturation", apply)


def hue(delta: float = 0.05) -> Transform:
    """The hue of each pixel in HSV plus U(-delta, delta), in turns: 1 is the whole circle. Grey images have none and stay."""
    import dm_pix

    at_least("hue.delta", delta, 0.0)

    def apply(key: jax.Array, image: Image) -> Image:
        red, green, blue = jnp.moveaxis(image, -1, 0)
        value, span = _value_and_span(image)
        over = 1.0 / jnp.where(span > 0.0, span, 1.0)[..., 0]
        # dm-pix (`rgb_to_hsv`) asks which channel equals the largest. Compiled, none need be: a channel may be computed twice
        # and rounded differently, and the pixel gets another colour. Here both sides of a near tie give about the same angle.
        angle = jnp.where(green >= blue, 2.0 + (blue - red) * over, 4.0 + (red - green) * over)
        angle = jnp.where((red >= green) & (red >= blue), (green - blue) * over, angle)
        turned = angle / 6.0 + jax.random.uniform(key, (), minval=-delta, maxval=delta)
        amount = span / jnp.where(value > 0.0, value, 1.0)
        return dm_pix.hsv_to_rgb(jnp.concatenate([turned[..., None], amount, value], axis=-1))

    return _of_colours("hue", apply)


def _value_and_span(image: Image) -> tuple[Float[Array, "h w 1"], Float[Array, "h w 1"]]:
    """The largest channel of each pixel, which is its value in HSV, and how far the smallest lies below it."""
    value = image.max(axis=-1, keepdims=True)
    return value, value - image.min(axis=-1, keepdims=True)


def _of_colours(name: str, transform: Transform) -> Transform:
    """`transform` for RGB images, the identity for those of one channel."""

    def apply(key: jax.Array, image: Image) -> Image:
        if image.shape[-1] == 1:
            return image
        if image.shape[-1] != 3:
            raise UserError(
                f"augmentation {name!r} needs images of 1 or 3 channels; these have {image.shape[-1]}: leave it out."
            )
        # HSV is defined within 0..1; what a source holds beyond it would come back as another colour.
        return jnp.clip(transform(key, jnp.clip(image, 0.0, 1.0)), 0.0, 1.0)

    return apply


def gaussian_noise(std: float = 0.05) -> Transform:
    """Adds independent N(0, std^2) to every pixel and channel; not clipped, which would make dark images lighter on average."""
    at_least("gaussian_noise.std", std, 0.0)
    return lambda key, image: image + std * jax.random.normal(key, image.shape, image.dtype)
