"""Crops and flips: geometry that moves whole pixels, and the crop that sets the size."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dl.data.augmentation.checks import Fill, above_zero, at_least, filling, interval
from dl.data.augmentation.geometry import Geometry, Image, Shape, grid
from dl.errors import UserError

Resized = Float[Array, "height width c"]
Window = tuple[Float[Array, " 2"], Float[Array, " 2"]]  # first row and column, and height and width
Turned = tuple[jax.Array, jax.Array]  # bool: left and right exchanged, top and bottom exchanged


def random_resized_crop(
    size: int | Sequence[int] = 0,
    scale: Sequence[float] = (0.08, 1.0),
    ratio: Sequence[float] = (3 / 4, 4 / 3),
    antialias: bool = True,
) -> Geometry:
    """A random window of the image, resized (Szegedy et al. 2015, section 6).

    As in torchvision: the first of ten draws that fits is taken, or else the largest central window of an allowed ratio;
    windows lie on whole pixels. Pixels at the window's rim are interpolated with their neighbours beyond it.
    """
    height, width = size if isinstance(size, Sequence) else (size, size)
    for value in (height, width):
        at_least("random_resized_crop.size", value, 0)
    interval("random_resized_crop.scale", scale)
    above_zero("random_resized_crop.ratio's low end", interval("random_resized_crop.ratio", ratio)[0])

    def size_of(shape: Shape) -> Shape:
        return height or shape[0], width or shape[1]

    def zoomed(extent: jax.Array, shape: Shape) -> jax.Array:
        return jnp.asarray(size_of(shape), jnp.float32) / extent

    def draw(key: jax.Array, shape: Shape) -> Window:
        return random_window(key, shape, scale, ratio)

    def change(window: Window, image: Image) -> Resized:
        start, extent = window
        zoom = zoomed(extent, (image.shape[0], image.shape[1]))
        shape = (*size_of((image.shape[0], image.shape[1])), image.shape[2])
        return jax.image.scale_and_translate(image, shape, (0, 1), zoom, -start * zoom, method="linear", antialias=antialias)

    def sources(window: Window, shape: Shape) -> Float[Array, "2 y x"]:
        start, zoom = window[0][:, None, None], zoomed(window[1], shape)[:, None, None]
        return start + (grid(size_of(shape)) + 0.5) / zoom - 0.5

    def targets(window: Window, places: Float[Array, "2 n"], shape: Shape) -> Float[Array, "2 n"]:
        return (places + 0.5 - window[0][:, None]) * zoomed(window[1], shape)[:, None] - 0.5

    return Geometry(draw, change, sources, targets, size_of)


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


def pad_and_crop(pad: int = 4, fill: Fill = 0.0) -> Geometry:
    """A random window of the image's size out of the image with `pad` pixels of `fill` on each side (He et al. 2016, 4.2).

    The draws are those of `dm_pix.random_crop`.
    """
    if not isinstance(pad, int) or pad < 0:
        raise UserError(f"augmentation setting pad_and_crop.pad must be a whole number of pixels, 0 or more, not {pad!r}.")
    filling("pad_and_crop.fill", fill)

    def draw(key: jax.Array, shape: Shape) -> tuple[jax.Array, jax.Array]:
        rows, columns, _ = jax.random.split(key, 3)
        return jax.random.randint(rows, (), 0, 2 * pad + 1), jax.random.randint(columns, (), 0, 2 * pad + 1)

    def change(start: tuple[jax.Array, jax.Array], image: Image) -> Image:
        height, width, channels = image.shape
        if isinstance(fill, str):
            padded = jnp.pad(image, ((pad, pad), (pad, pad), (0, 0)), mode=fill)
        else:
            outside = jnp.broadcast_to(jnp.asarray(fill, image.dtype), (height + 2 * pad, width + 2 * pad, channels))
            padded = outside.at[pad : pad + height, pad : pad + width].set(image)
        return jax.lax.dynamic_slice(padded, (*start, 0), image.shape)

    def offset(start: tuple[jax.Array, jax.Array]) -> Float[Array, "2 1"]:
        return jnp.stack(start).astype(jnp.float32)[:, None] - pad

    return Geometry(
        draw,
        change,
        lambda start, shape: grid(shape) + offset(start)[..., None],
        lambda start, places, shape: places - offset(start),
    )


def flip(horizontal: bool = True, vertical: bool = False) -> Geometry:
    """Left and right exchanged, and top and bottom, each with probability 1/2 where it is asked for."""

    def draw(key: jax.Array, shape: Shape) -> Turned:
        horizontal_key, vertical_key = jax.random.split(key)
        return (
            jax.random.bernoulli(horizontal_key) if horizontal else jnp.bool_(False),
            jax.random.bernoulli(vertical_key) if vertical else jnp.bool_(False),
        )

    def change(turned: Turned, image: Image) -> Image:
        if horizontal:
            image = jnp.where(turned[0], image[:, ::-1], image)
        return jnp.where(turned[1], image[::-1], image) if vertical else image

    def exchanged(turned: Turned, places: Float[Array, "2 *n"], shape: Shape) -> Float[Array, "2 *n"]:
        row, column = places
        return jnp.stack([jnp.where(turned[1], shape[0] - 1 - row, row), jnp.where(turned[0], shape[1] - 1 - column, column)])

    return Geometry(draw, change, lambda turned, shape: exchanged(turned, grid(shape), shape), exchanged)


def alternating_flip() -> Geometry:
    """Left and right exchanged in the examples for which the batch's `mirror` [B] is True; nothing is drawn."""
    return flip()
