"""Affine and elastic distortion as one resampling of the image.

A map takes the places of the output's pixels to the places in the input that they show; maps are composed, and the image is
then interpolated once. The interpolation is our own because `dm_pix.affine_transform` and `elastic_deformation` take 24 and
59 ms for 128 images of 28 x 28 x 1 on two CPU cores, as much as several training steps of LeNet-5; `resample` takes 0.3 ms.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dl.data.augmentation.checks import Fill, above_zero, at_least, filling, interval
from dl.errors import UserError

Points = Float[Array, "2 h w"]  # row and column, in pixels, of each output pixel; pixel centres are whole numbers
Map = Callable[[jax.Array, Points], Points]


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

    def draw(key: jax.Array, points: Points) -> Points:
        angle, move_y, move_x, stretch, slant = 2.0 * jax.random.uniform(jax.random.fold_in(key, 0), (5,)) - 1.0
        zoom = jax.random.uniform(jax.random.fold_in(key, 1), (), minval=low, maxval=high)
        matrix = inverse_matrix(degrees * angle, zoom, squeeze**stretch, shear * slant)
        return move(points, matrix, jnp.stack([shift * move_y, shift * move_x]))

    return draw


def inverse_matrix(degrees: jax.Array, scale: jax.Array, squeeze: jax.Array, shear: jax.Array) -> Float[Array, "2 2"]:
    """The inverse of rotation * scale * squeeze * shear, for (row, column) offsets; rows point downwards.

    degrees: of the rotation, counter-clockwise as seen. scale: of both axes. squeeze: height times it, width divided by it.
    shear: degrees by which upright lines lean over, to the right at the bottom where positive.
    """
    sine, cosine = jnp.sin(jnp.deg2rad(degrees)), jnp.cos(jnp.deg2rad(degrees))
    # What is inverted, in (row, column): [[cos, -sin], [sin, cos]] diag(scale * squeeze, scale / squeeze) [[1, 0], [tan, 1]].
    row = jnp.stack([cosine, sine]) / (scale * squeeze)
    column = jnp.stack([-sine, cosine]) * (squeeze / scale)
    return jnp.stack([row, column - jnp.tan(jnp.deg2rad(shear)) * row])


def move(points: Points, inverse: Float[Array, "2 2"], shift: Float[Array, " 2"]) -> Points:
    """The places that `points` show of an image that was mapped, about its centre, by `inverse`'s inverse and then shifted."""
    centre = [(size - 1) / 2 for size in points.shape[1:]]
    y, x = points[0] - centre[0] - shift[0], points[1] - centre[1] - shift[1]
    # Written out: on an accelerator a float32 matrix product may be rounded to fewer bits, and the identity would not be exact.
    return jnp.stack([centre[i] + inverse[i, 0] * y + inverse[i, 1] * x for i in (0, 1)])


def elastic(alpha: float = 34.0, sigma: float = 4.0, fill: Fill = 0.0) -> Map:
    """A random smooth displacement of every pixel (Simard, Steinkraus & Platt 2003, section 2).

    The defaults are the paper's for MNIST (29 x 29). Far from the border each component's standard deviation is about
    alpha / (sqrt(12 pi) sigma) pixels, 1.4 with the defaults. The field is not normalised.
    """
    at_least("elastic.alpha", alpha, 0.0)
    above_zero("elastic.sigma", sigma)
    filling("elastic.fill", fill)

    def draw(key: jax.Array, points: Points) -> Points:
        noise = jax.random.uniform(key, points.shape, minval=-1.0, maxval=1.0)
        return points + alpha * smooth(noise, sigma)

    return draw


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


def resample(image: Float[Array, "h w c"], points: Points, fill: Fill = 0.0) -> Float[Array, "h w c"]:
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


def resampled(maps: Sequence[Map], fill: Fill, key: jax.Array, image: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
    """`image` under the composition of `maps`: the last of them is the first to act on the image."""
    points = jnp.stack(jnp.meshgrid(*(jnp.arange(size, dtype=jnp.float32) for size in image.shape[:2]), indexing="ij"))
    for draw in maps:
        points = draw(key, points)
    return resample(image, points, fill)


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
