"""Bicubic interpolation as MATLAB's `imresize` does it: Keys' cubic with a = -1/2, widened where an image shrinks.

Super-resolution is measured on images that were made small by it (Dong et al. 2014, section 4). Keys 1981, equation 15:

    k(t) = 3/2 |t|^3 - 5/2 |t|^2 + 1                     |t| <= 1
         = -1/2 |t|^3 + 5/2 |t|^2 - 4 |t| + 2        1 < |t| <= 2

Pixel i is the square from i to i + 1, so output i lies at (i + 1/2) / scale - 1/2 of the input. Beyond its rim an image goes on
as in a mirror that stands at the rim ("symmetric": the outermost pixel comes twice).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

REACH = 2  # of the kernel, in pixels of the smaller image


def cubic(t: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """The kernel k(t)."""
    t = np.abs(t)
    near, far = (1.5 * t - 2.5) * t**2 + 1, ((-0.5 * t + 2.5) * t - 4) * t + 2
    return np.where(t <= 1, near, np.where(t <= REACH, far, 0.0))


@functools.lru_cache(maxsize=64)
def matrix(inputs: int, outputs: int) -> Float[np.ndarray, "outputs inputs"]:
    """A line of `inputs` pixels times this is one of `outputs`; float64, every row sums to 1. It shrinks with antialiasing."""
    scale = outputs / inputs
    widening = max(1.0, 1 / scale)
    centres = (np.arange(outputs) + 0.5) / scale - 0.5
    taps = int(np.ceil(2 * REACH * widening)) + 2
    places = np.floor(centres - REACH * widening).astype(int)[:, None] + np.arange(taps)
    weights = cubic((centres[:, None] - places) / widening)
    weights /= weights.sum(1, keepdims=True)
    made = np.zeros((outputs, inputs))
    np.add.at(made, (np.arange(outputs)[:, None], mirrored(places, np.array(inputs))), weights)
    made.flags.writeable = False  # it is shared by the cache
    return made


def mirrored(places: np.ndarray, size: np.ndarray) -> np.ndarray:
    """The pixels of a line of `size` that stand at these places beyond its rim: -1 is 0, size is size - 1, and so on."""
    turned = places % (2 * size)
    return np.minimum(turned, 2 * size - 1 - turned)


def resized(image: Float[np.ndarray, "h w c"], size: tuple[int, int]) -> Float[np.ndarray, "y x c"]:
    """One image on the host, float64, not clipped; `size` is (height, width)."""
    rows, columns = matrix(image.shape[0], size[0]), matrix(image.shape[1], size[1])
    return np.einsum("yh,xw,hwc->yxc", rows, columns, image, optimize=True)


def shrunk(image: np.ndarray, scale: int) -> np.ndarray:
    """A uint8 image [h, w, c] at 1 / scale of its size, rounded to levels, as `imresize` gives it."""
    made = resized(image.astype(np.float64), (image.shape[0] // scale, image.shape[1] // scale))
    return np.clip(np.floor(made + 0.5), 0, 255).astype(np.uint8)


def continued(x: Float[Array, "b h w c"], size: Int[Array, "b 2"] | None, margin: int, mirror: bool) -> Float[Array, "b y x c"]:
    """Images with `margin` more pixels on every side: a mirror image, or the outermost pixel again and again.

    Args:
        x: the images, each in the upper left of its row.
        size: height and width of each; None is all of x. What lies beyond an image is not looked at.
        margin: of pixels.
        mirror: whether the image goes on as in a mirror.
    """
    sides = x.shape[1:3]
    given = jnp.broadcast_to(jnp.array(sides, jnp.int32), (len(x), 2)) if size is None else size
    for axis in (0, 1):
        places = jnp.arange(-margin, sides[axis] + margin)[None]
        length = given[:, axis, None]
        turned = places % (2 * length)
        kept = jnp.minimum(turned, 2 * length - 1 - turned) if mirror else jnp.clip(places, 0, length - 1)
        x = jax.vmap(functools.partial(jnp.take, axis=axis))(x, kept)
    return x


def enlarged(x: Float[Array, "b h w c"], scale: int, size: Int[Array, "b 2"] | None = None) -> Float[Array, "b y x c"]:
    """Images at `scale` times their size, as `imresize`, not clipped.

    Args:
        x: the images.
        scale: a whole number.
        size: height and width of each image in x, where they differ; what comes of the rest is to be left out.
    """
    height, width = x.shape[1:3]
    # In the middle of a longer line the rim is not felt, so that one matrix does for images of all sizes.
    rows, columns = (
        jnp.asarray(matrix(n + 2 * REACH, scale * (n + 2 * REACH))[scale * REACH : scale * (n + REACH)], x.dtype)
        for n in (height, width)
    )
    whole = continued(x, size, REACH, mirror=True)
    return jnp.einsum("yh,xw,bhwc->byxc", rows, columns, whole, precision="highest")
