"""How near an image is to its original: PSNR and SSIM, as the literature of super-resolution measures them.

That is on the luminance, with a rim left out (Dong et al. 2014, section 4.3). Images of several sizes lie in arrays of one,
each in the upper left, and what lies beyond them does not count.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

# ITU-R BT.601 in the range 16 to 235, MATLAB's rgb2ycbcr: Y = 16 + 65.481 R + 128.553 G + 24.966 B for R, G, B in 0..1.
OFFSET, WEIGHTS = 16.0 / 255, np.array([65.481, 128.553, 24.966], np.float32) / 255
# The other two rows, whose offset is 128.
BLUE, RED = np.array([-37.797, -74.203, 112.0], np.float32) / 255, np.array([112.0, -93.786, -18.214], np.float32) / 255
HALF = 128.0 / 255
RADIUS, SIGMA = 5, 1.5  # of the window of SSIM: 11x11
K1, K2 = 0.01, 0.03
LEAST = 2 * RADIUS + 1  # pixels of a side that SSIM needs


def luminance(rgb: Float[Array, "*b h w 3"]) -> Float[Array, "*b h w 1"]:
    """Y of RGB in 0..1, in 16/255 to 235/255."""
    return OFFSET + (rgb @ jnp.asarray(WEIGHTS, rgb.dtype))[..., None]


def chrominance(rgb: Float[Array, "*b h w 3"]) -> Float[Array, "*b h w 2"]:
    """Cb and Cr of RGB in 0..1, in 16/255 to 240/255."""
    return HALF + rgb @ jnp.asarray(np.stack([BLUE, RED], 1), rgb.dtype)


def coloured(y: Float[Array, "*b h w 1"], chroma: Float[Array, "*b h w 2"]) -> Float[Array, "*b h w 3"]:
    """RGB of a luminance and a chrominance, not clipped: the inverse of the two above."""
    inverse = np.linalg.inv(np.stack([WEIGHTS, BLUE, RED]).astype(np.float64))
    parts = jnp.concatenate([y - OFFSET, chroma - HALF], -1)
    return parts @ jnp.asarray(inverse.T, y.dtype)


def levels(rgb: Float[Array, "b h w 3"], grey: Bool[Array, " b"] | None = None) -> Float[Array, "b h w 1"]:
    """What is measured: the luminance, or of an image that is `grey` its levels (`rgb2ycbcr` is not asked there)."""
    y = luminance(rgb)
    return y if grey is None else jnp.where(grey[:, None, None, None], rgb[..., :1], y)


def inner(shape: tuple[int, int], size: Int[Array, "b 2"], border: int) -> Bool[Array, "b h w"]:
    """Which pixels of arrays of `shape` lie in an image of `size`, `border` and more from its rim."""
    rows, columns = ((jnp.arange(n) >= border) & (jnp.arange(n) < size[:, axis, None] - border) for axis, n in enumerate(shape))
    return rows[:, :, None] & columns[:, None]


def psnr(
    made: Float[Array, "b h w 1"], original: Float[Array, "b h w 1"], size: Int[Array, "b 2"], border: int
) -> Float[Array, " b"]:
    """10 log10(1 / mean squared difference) of each image, decibels; images in 0..1."""
    counted = inner((made.shape[1], made.shape[2]), size, border)
    squares = jnp.where(counted, jnp.square(made - original)[..., 0], 0.0).sum((1, 2))
    return -10 * jnp.log10(squares / counted.sum((1, 2)))


def ssim(
    made: Float[Array, "b h w 1"], original: Float[Array, "b h w 1"], size: Int[Array, "b 2"], border: int
) -> Float[Array, " b"]:
    """The structural similarity of each image, averaged over all windows that lie in it (Wang et al. 2004, eq. 13 and 17).

    Windows are 11x11, weighted by a Gaussian of 1.5 pixels; images in 0..1.
    """
    c1, c2 = K1**2, K2**2
    x, y = made[..., 0], original[..., 0]
    mean_x, mean_y, xx, yy, xy = _blurred(jnp.stack([x, y, x * x, y * y, x * y]))
    variances, covariance = xx - mean_x**2 + yy - mean_y**2, xy - mean_x * mean_y
    map_ = (2 * mean_x * mean_y + c1) * (2 * covariance + c2) / ((mean_x**2 + mean_y**2 + c1) * (variances + c2))
    counted = inner((made.shape[1], made.shape[2]), size, border + RADIUS)[:, RADIUS:-RADIUS, RADIUS:-RADIUS]
    return jnp.where(counted, map_, 0.0).sum((1, 2)) / counted.sum((1, 2))


def _blurred(values: Float[Array, "n b h w"]) -> Float[Array, "n b y x"]:
    """Weighted means over all windows that fit."""
    rows, columns = (jnp.asarray(_windows(n), values.dtype) for n in values.shape[2:])
    return jnp.einsum("yh,xw,nbhw->nbyx", rows, columns, values, precision="highest")


def _windows(inputs: int) -> Float[np.ndarray, "outputs inputs"]:
    """A line of pixels times this is its Gaussian means."""
    weights = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SIGMA) ** 2)
    made = np.zeros((inputs - 2 * RADIUS, inputs))
    for i, weight in enumerate(weights / weights.sum()):
        np.fill_diagonal(made[:, i:], weight)
    return made
