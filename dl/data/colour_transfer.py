"""Keeping an image's colours while its style changes.

Gatys, Bethge, Hertzmann & Shechtman 2016, "Preserving color in neural artistic style transfer". Images are RGB in 0..1.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

LUMINANCE = (0.299, 0.587, 0.114)  # of the YIQ space that NTSC used
SMALL = 1e-5


def luminance(rgb: Float[Array, "*n 3"] | Float[np.ndarray, "*n 3"]) -> Float[Array, "*n 1"]:
    """Y = 0.299 R + 0.587 G + 0.114 B."""
    return jnp.asarray(rgb) @ jnp.asarray(LUMINANCE)[:, None]


def with_luminance(rgb: Float[Array, "*n 3"] | Float[np.ndarray, "*n 3"], y: Float[Array, "*n 1"]) -> Float[Array, "*n 3"]:
    """The image with another luminance and its own chrominance: the same is added to R, G and B, so I and Q stay."""
    return jnp.asarray(rgb) + (y - luminance(rgb))


def match_luminance(y: Float[np.ndarray, "*n 1"], target: Float[np.ndarray, "*m 1"]) -> Float[np.ndarray, "*n 1"]:
    """Section 4, eq. 10: `y` with the mean and the standard deviation of `target`."""
    return (target.std() / max(float(y.std()), SMALL)) * (y - y.mean()) + target.mean()


def match_colours(rgb: Float[np.ndarray, "h w 3"], target: Float[np.ndarray, "i j 3"]) -> Float[np.ndarray, "h w 3"]:
    """Section 3 (eq. 1-7, as in Image Analogies): a linear map of `rgb` to the mean and covariance of `target`'s colours."""
    x, y = rgb.reshape(-1, 3).astype(np.float64), target.reshape(-1, 3).astype(np.float64)
    root, inverse = _root(np.cov(y.T), 0.5), _root(np.cov(x.T), -0.5)
    return ((x - x.mean(0)) @ (root @ inverse).T + y.mean(0)).reshape(rgb.shape).astype(np.float32)


def _root(covariance: np.ndarray, power: float) -> np.ndarray:
    """A power of a symmetric matrix; variances below 1e-5 count as that."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.maximum(values, SMALL) ** power @ vectors.T
