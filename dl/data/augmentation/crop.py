"""Crops and flips: geometry that moves whole pixels, and the crop that sets the size."""

import math
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dl.data.augmentation.checks import Fill, above_zero, at_least, filling, interval
from dl.errors import UserError

Image = Float[Array, "h w c"]
Resized = Float[Array, "height width c"]
Transform = Callable[[jax.Array, Image], Image]


def random_resized_crop(
    size: int | Sequence[int] = 0,
    scale: Sequence[float] = (0.08, 1.0),
    ratio: Sequence[float] = (3 / 4, 4 / 3),
    antialias: bool = True,
) -> Callable[[jax.Array, Image], Resized]:
    """A random window of the image, resized (Szegedy et al. 2015, section 6).

    As in torchvision: the first of ten draws that fits is taken, or else the largest central window of an allowed ratio;
    windows lie on whole pixels. Pixels at the window's rim are interpolated with their neighbours beyond it.
    """
    height, width = size if isinstance(size, Sequence) else (size, size)
    for value in (height, width):
        at_least("random_resized_crop.size", value, 0)
    interval("random_resized_crop.scale", scale)
    above_zero("random_resized_crop.ratio's low end", interval("random_resized_crop.ratio", ratio)[0])

    def apply(key: jax.Array, image: Image) -> Resized:
        shape = (height or image.shape[0], width or image.shape[1], image.shape[2])
        start, extent = random_window(key, (image.shape[0], image.shape[1]), scale, ratio)
        zoom = jnp.asarray(shape[:2], jnp.float32) / extent
        return jax.image.scale_and_translate(image, shape, (0, 1), zoom, -start * zoom, method="linear", antialias=antialias)

    return apply


def random_window(
    key: jax.Array, shape: tuple[int, int], scale: Sequence[float], ratio: Sequence[float], draws: int = 10
) -> tuple[Float[Array, " 2"], Float[Array, " 2"]]:
    """The first row and column, and the height and width, of a random window of an image of `shape`; whole, but float32."""
    area_key, ratio_key, place_key = jax.random.split(key, 3)
    area = shape[0] * shape[1] * jax.random.uniform(area_key, (draws,), minval=scale[0], maxval=scale[1])
    aspect = jnp.exp(jax.random.uniform(ratio_key, (draws,), minval=math.log(ratio[0]), maxval=math.log(ratio[1])))
    extents = jnp.round(jnp.sqrt(jnp.stack([area / aspect, area * aspect], axis=1)))
    limit = jnp.asarray(shape, jnp.float32)
    fits = jnp.all((extents > 0) & (extents <= limit), axis=1)
    nearest = min(max(shape[1] / shape[0], ratio[0]), ratio[1])  # the allowed ratio that is nearest to the image's own
    central = jnp.asarray([min(shape[0], round(shape[1] / nearest)), min(shape[1], round(shape[0] * nearest))], jnp.float32)
    found = jnp.any(fits)
    extent = jnp.where(found, extents[jnp.argmax(fits)], central)
    room = limit - extent
    start = jnp.minimum(jnp.floor(jax.random.uniform(place_key, (2,)) * (room + 1)), room)
    return jnp.where(found, start, jnp.floor(room / 2)), extent


def pad_and_crop(pad: int = 4, fill: Fill = 0.0) -> Transform:
    """A random window of the image's size out of the image with `pad` pixels of `fill` on each side (He et al. 2016, 4.2)."""
    import dm_pix

    if not isinstance(pad, int) or pad < 0:
        raise UserError(f"augmentation setting pad_and_crop.pad must be a whole number of pixels, 0 or more, not {pad!r}.")
    filling("pad_and_crop.fill", fill)

    def apply(key: jax.Array, image: Image) -> Image:
        height, width, channels = image.shape
        if isinstance(fill, str):
            padded = jnp.pad(image, ((pad, pad), (pad, pad), (0, 0)), mode=fill)
        else:
            outside = jnp.broadcast_to(jnp.asarray(fill, image.dtype), (height + 2 * pad, width + 2 * pad, channels))
            padded = outside.at[pad : pad + height, pad : pad + width].set(image)
        return dm_pix.random_crop(key, padded, image.shape)

    return apply


def alternating_flip() -> Callable[[jax.Array, Mapping[str, jax.Array]], dict[str, jax.Array]]:
    """Left and right exchanged in the images [B, H, W, C] for which the batch's `mirror` [B] is True; nothing is drawn."""

    def apply(key: jax.Array, batch: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        if "mirror" not in batch:
            raise UserError("the augmentation alternating_flip needs dataset.batches='alternating', which says what to mirror.")
        image = batch["image"]
        return {**batch, "image": jnp.where(batch["mirror"][:, None, None, None], image[:, :, ::-1], image)}

    return apply


def flip(horizontal: bool = True, vertical: bool = False) -> Transform:
    """Left and right exchanged, and top and bottom, each with probability 1/2 where it is asked for."""
    import dm_pix

    def apply(key: jax.Array, image: Image) -> Image:
        horizontal_key, vertical_key = jax.random.split(key)
        if horizontal:
            image = dm_pix.random_flip_left_right(horizontal_key, image)
        return dm_pix.random_flip_up_down(vertical_key, image) if vertical else image

    return apply
