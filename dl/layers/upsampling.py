"""Enlarging feature maps again: bilinear interpolation, and unpooling at the places that a max-pooling remembers.

Pixel centres lie at half numbers, as of PyTorch's `interpolate(align_corners=False)`: an image and its enlargement share their
rims, and what would be read beyond them is the pixel at the rim.
"""

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int8

Window = tuple[tuple[int, int], tuple[int, int]]  # (first, one after the last) of the rows and of the columns


def resized(x: Float[Array, "b h w c"], size: tuple[int, int]) -> Float[Array, "b y x c"]:
    """Bilinear interpolation to `size`, rows and columns, without smoothing where it is smaller."""
    return jax.image.resize(x, (x.shape[0], *size, x.shape[3]), "linear", antialias=False)


def bilinear_kernel(key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> Float[Array, "m n i o"]:
    """The kernel of a transposed convolution with stride s and side 2s that interpolates bilinearly, a channel to a channel.

    Initial values of the learned upsampling of Long, Shelhamer & Darrell 2015, section 3.3. Nothing is drawn.

    Args:
        key: not used.
        shape: height, width, inputs, outputs of the kernel.
        dtype: of the kernel.
    """
    rows, columns = (1 - jnp.abs(jnp.arange(n) - (n - 1) / 2) / (n / 2) for n in shape[:2])
    return (rows[:, None, None, None] * columns[:, None, None] * jnp.eye(shape[2], shape[3])).astype(dtype)


def pool_with_places(x: Float[Array, "b h w c"]) -> tuple[Float[Array, "b y x c"], Int8[Array, "b y x c"]]:
    """The maxima of windows of 2 x 2 pixels, and where in its window each was: 0, 1 in the upper row, 2, 3 in the lower one.

    Of equal pixels the first counts, in the gradient too. Height and width must be even.
    """
    b, h, w, c = x.shape
    windows = x.reshape(b, h // 2, 2, w // 2, 2, c)
    corners = [windows[:, :, row, :, column] for row in (0, 1) for column in (0, 1)]
    best, place = corners[0], jnp.zeros(corners[0].shape, jnp.int8)
    for number, corner in enumerate(corners[1:], start=1):
        larger = corner > best
        best, place = jnp.where(larger, corner, best), jnp.where(larger, jnp.int8(number), place)
    return best, place


def unpool(x: Float[Array, "b y x c"], places: Int8[Array, "b y x c"]) -> Float[Array, "b h w c"]:
    """Twice as high and wide, each value at its place of the window and zeros beside it.

    Source: Badrinarayanan, Kendall & Cipolla 2017 (SegNet), section 3, figure 3.
    """
    b, h, w, c = x.shape
    corners = [jnp.where(places == number, x, jnp.zeros((), x.dtype)) for number in range(4)]
    rows = [jnp.stack(corners[i : i + 2], axis=3) for i in (0, 2)]  # [b, y, x, 2, c]
    return jnp.stack(rows, axis=2).reshape(b, 2 * h, 2 * w, c)


def padded_to(x: Float[Array, "b h w c"], multiple: int) -> tuple[Float[Array, "b y x c"], Window]:
    """Images whose sides are multiples of a number, their rims repeated, and where in them the original lies."""
    sides = x.shape[1:3]
    more = [-side % multiple for side in sides]
    pads = [(extra // 2, extra - extra // 2) for extra in more]
    window = tuple((low, low + side) for (low, _), side in zip(pads, sides, strict=True))
    padded = jnp.pad(x, ((0, 0), *pads, (0, 0)), mode="edge") if any(more) else x
    return padded, (window[0], window[1])


def cut(x: Float[Array, "b h w c"], window: Window) -> Float[Array, "b y x c"]:
    """The part of images in a window."""
    (top, bottom), (left, right) = window
    return x[:, top:bottom, left:right]
