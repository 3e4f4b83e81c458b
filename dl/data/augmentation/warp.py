"""Affine and elastic distortion as one resampling of the image.

A map takes the places of the output's pixels to the places in the input that they show (`back`), and places in the input to
where they lie in the output (`forth`); maps are composed, and the image is then interpolated once. The interpolation is our own
because `dm_pix.affine_transform` and `elastic_deformation` take 24 and 59 ms for 128 images of 28 x 28 x 1 on two CPU cores, as
much as several training steps of LeNet-5; `resample` takes 0.3 ms.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dl.data.augmentation.checks import Fill, above_zero, at_least, filling, interval
from dl.data.augmentation.geometry import Geometry, Image, Parameters, Shape, grid
from dl.errors import UserError

INVERSIONS = 20  # steps of the fixed-point iteration that inverts an elastic field

Points = Float[Array, "2 *n"]  # row and column, in pixels; pixel centres are whole numbers


class Map(NamedTuple):
    """One random map of places in an image of a given shape.

    draw: (key, shape) -> parameters. back: (parameters, places in the output, shape) -> places in the input. forth: the
    inverse of `back`.
    """

    draw: Callable[[jax.Array, Shape], Parameters]
    back: Callable[[Parameters, Points, Shape], Points]
    forth: Callable[[Parameters, Points, Shape], Points]


def affine(
    degrees: float = 10.0,
    shift: float = 2.0,
    scale: Sequence[float] = (0.9, 1.1),
    squeeze: float = 1.0,
    shear: float = 5.0,
    fill: Fill = 0.0,
) -> Map:
    """A random affine map about the centre: shear, squeeze, scale, rotation, shift, in this order.

    Without the rotation these are the planar transformations of LeCun et al. 1998, section III.B. Rotation is counter-clockwise
    for positive angles. Units are in the package's docstring.
    """
    for what, value in (("degrees", degrees), ("shift", shift), ("shear", shear)):
        at_least(f"affine.{what}", value, 0.0)
    at_least("affine.squeeze", squeeze, 1.0)
    low, high = interval("affine.scale", scale)
    above_zero("affine.scale's low end", low)
    filling("affine.fill", fill)

    def draw(key: jax.Array, shape: Shape) -> tuple[jax.Array, jax.Array]:
        angle, move_y, move_x, stretch, slant = 2.0 * jax.random.uniform(jax.random.fold_in(key, 0), (5,)) - 1.0
        zoom = jax.random.uniform(jax.random.fold_in(key, 1), (), minval=low, maxval=high)
        matrix = inverse_matrix(degrees * angle, zoom, squeeze**stretch, shear * slant)
        return matrix, jnp.stack([shift * move_y, shift * move_x])

    return Map(draw, lambda drawn, points, shape: move(points, drawn[0], drawn[1], shape), unmove)


def inverse_matrix(degrees: jax.Array, scale: jax.Array, squeeze: jax.Array, shear: jax.Array) -> Float[Array, "2 2"]:
    """The inverse of rotation * scale * squeeze * shear, for (row, column) offsets; rows point downwards.

    degrees: angle of the rotation in degrees, counter-clockwise as seen.
    scale: factor of both axes.
    squeeze: factor of the height, by which the width is divided.
    shear: degrees by which upright lines lean over, to the right at the bottom where positive.
    """
    sine, cosine = jnp.sin(jnp.deg2rad(degrees)), jnp.cos(jnp.deg2rad(degrees))
    # What is inverted, in (row, column): [[cos, -sin], [sin, cos]] diag(scale * squeeze, scale / squeeze) [[1, 0], [tan, 1]].
    row = jnp.stack([cosine, sine]) / (scale * squeeze)
    column = jnp.stack([-sine, cosine]) * (squeeze / scale)
    return jnp.stack([row, column - jnp.tan(jnp.deg2rad(shear)) * row])


def move(points: Points, inverse: Float[Array, "2 2"], shift: Float[Array, " 2"], shape: Shape) -> Points:
    """The places that `points` show of an image that was mapped, about its centre, by `inverse`'s inverse and then shifted."""
    centre = [(size - 1) / 2 for size in shape]
    y, x = points[0] - centre[0] - shift[0], points[1] - centre[1] - shift[1]
    # Written out: on an accelerator a float32 matrix product may be rounded to fewer bits, and the identity would not be exact.
    return jnp.stack([centre[i] + inverse[i, 0] * y + inverse[i, 1] * x for i in (0, 1)])


def unmove(drawn: tuple[jax.Array, jax.Array], points: Points, shape: Shape) -> Points:
    """Where `points` of an image lie after it was mapped, about its centre, by the inverse of a matrix, and then shifted."""
    (a, b), (c, d) = drawn[0]
    centre = [(size - 1) / 2 for size in shape]
    y, x = points[0] - centre[0], points[1] - centre[1]
    scale = 1.0 / (a * d - b * c)
    return jnp.stack([centre[0] + drawn[1][0] + scale * (d * y - b * x), centre[1] + drawn[1][1] + scale * (a * x - c * y)])


def elastic(alpha: float = 34.0, sigma: float = 4.0, fill: Fill = 0.0) -> Map:
    """A random smooth displacement of every pixel (Simard, Steinkraus & Platt 2003, section 2).

    The defaults are the paper's for MNIST (29 x 29). Far from the border each component's standard deviation is about
    alpha / (sqrt(12 pi) sigma) pixels, 1.4 with the defaults. The field is not normalised.
    """
    at_least("elastic.alpha", alpha, 0.0)
    above_zero("elastic.sigma", sigma)
    filling("elastic.fill", fill)

    def draw(key: jax.Array, shape: Shape) -> Float[Array, "2 h w"]:
        noise = jax.random.uniform(key, (2, *shape), minval=-1.0, maxval=1.0)
        return alpha * smooth(noise, sigma)

    def at(field: Float[Array, "2 h w"], points: Points) -> Points:
        places = points.reshape(2, -1, 1)
        return jnp.moveaxis(resample(jnp.moveaxis(field, 0, -1), places, "edge"), -1, 0).reshape(points.shape)

    def back(field: Float[Array, "2 h w"], points: Points, shape: Shape) -> Points:
        return points + field  # the elastic map is the last to act on an image, so these are its pixels themselves

    def forth(field: Float[Array, "2 h w"], points: Points, shape: Shape) -> Points:
        return jax.lax.fori_loop(0, INVERSIONS, lambda _, found: points - at(field, found), points)

    return Map(draw, back, forth)


def smooth(field: Float[Array, "2 h w"], sigma: float) -> Float[Array, "2 h w"]:
    """`field` convolved with a Gaussian of standard deviation `sigma` (pixels, cut off at 4 sigma); zero outside of the field.

    Equals `scipy.ndimage.gaussian_filter(..., mode="constant")` on the last two axes. A filter that is as wide as the image
    is fastest as a product with a banded matrix on each side.
    """

    def band(size: int) -> np.ndarray:
        radius = int(4.0 * sigma + 0.5)
        total = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2).sum()
        offset = np.subtract.outer(np.arange(size), np.arange(size))
        return np.where(abs(offset) <= radius, np.exp(-0.5 * (offset / sigma) ** 2), 0.0) / total

    rows, columns = (jnp.asarray(band(size), jnp.float32) for size in field.shape[1:])
    return jnp.einsum("ij,cjk,lk->cil", rows, field, columns, precision=jax.lax.Precision.HIGHEST)


def resample(image: Float[Array, "h w c"], points: Float[Array, "2 y x"], fill: Fill = 0.0) -> Float[Array, "y x c"]:
    """Bilinear interpolation of `image` at `points`; within one pixel outside of the image it blends into `fill`."""
    height, width, channels = image.shape
    y, x = (_inside(coordinate, size, fill) for coordinate, size in zip(points, (height, width), strict=True))
    outside = jnp.asarray(0.0 if isinstance(fill, str) else fill, image.dtype)
    framed = jnp.broadcast_to(outside, (height + 2, width + 2, channels)).at[1:-1, 1:-1].set(image)
    pixels = framed.reshape(-1, channels)
    # The upper left of the four neighbours; on the frame's far side it stays within, and the weight below is 1.
    top, left = jnp.minimum(jnp.floor(y), height - 1), jnp.minimum(jnp.floor(x), width - 1)
    index = (top.astype(jnp.int32) + 1) * (width + 2) + left.astype(jnp.int32) + 1
    down, right = (y - top)[..., None], (x - left)[..., None]

    def neighbour(offset: int) -> jax.Array:
        return jnp.take(pixels, index + offset, axis=0, mode="clip")

    upper = (1.0 - right) * neighbour(0) + right * neighbour(1)
    lower = (1.0 - right) * neighbour(width + 2) + right * neighbour(width + 3)
    return (1.0 - down) * upper + down * lower


def _inside(coordinate: jax.Array, size: int, fill: Fill) -> jax.Array:
    """The coordinate, or that of the frame of `fill` around the image, or that of the pixel that stands in for it."""
    if fill == "edge":
        return jnp.clip(coordinate, 0.0, size - 1)
    if fill == "reflect":
        last = max(size - 1, 1)
        return jnp.clip(last - jnp.abs(last - jnp.mod(coordinate, 2 * last)), 0.0, size - 1)
    return jnp.clip(coordinate, -1.0, size)


def resampled(maps: Sequence[Map], fill: Fill) -> Geometry:
    """The composition of `maps` as one resampling: the last of them is the first to act on the image."""

    def draw(key: jax.Array, shape: Shape) -> list[Parameters]:
        return [each.draw(key, shape) for each in maps]

    def sources(drawn: list[Parameters], shape: Shape) -> Float[Array, "2 h w"]:
        points = grid(shape)
        for each, parameters in zip(maps, drawn, strict=True):
            points = each.back(parameters, points, shape)
        return points

    def targets(drawn: list[Parameters], places: Float[Array, "2 n"], shape: Shape) -> Float[Array, "2 n"]:
        for each, parameters in reversed(list(zip(maps, drawn, strict=True))):
            places = each.forth(parameters, places, shape)
        return places

    def change(drawn: list[Parameters], image: Image) -> Image:
        return resample(image, sources(drawn, (image.shape[0], image.shape[1])), fill)

    return Geometry(draw, change, sources, targets)


def common_fill(settings: Mapping[str, Mapping[str, Any]]) -> Fill:
    """The `fill` that the settings of `affine` and `elastic` share, by default 0.

    Raises:
        UserError: they differ, which one resampling cannot do.
    """
    fills = [settings[name]["fill"] for name in ("affine", "elastic") if name in settings and "fill" in settings[name]]
    if any(fill != fills[0] for fill in fills):
        raise UserError(
            f"affine.fill {fills[0]!r} and elastic.fill {fills[1]!r} differ; they are one resampling: give one, or the same."
        )
    return fills[0] if fills else 0.0
