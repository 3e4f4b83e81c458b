"""What an autoencoder makes of images: reconstructions, its code in the plane, and how PCA would do."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from dl.artifacts import Images, Table

Map = Callable[[np.ndarray], np.ndarray]  # of a batch of host arrays; the encoder or the decoder


def comparison(rows: dict[str, Float[np.ndarray, "n h w c"]], limits: tuple[float, float]) -> Images:
    """One row of images per name, the n examples side by side; `limits` are the values that show as black and white."""
    count = len(next(iter(rows.values())))
    low, high = limits
    pixels = np.clip((np.concatenate(list(rows.values())) - low) / max(high - low, 1e-6), 0, 1)
    return Images(pixels, [name for name in rows for _ in range(count)], columns=count)


def against_pca(images: Float[np.ndarray, "n h w c"], encode: Map, decode: Map) -> Table:
    """Squared error of an image, beside PCA of these very images: the least that any affine code of that size has on them."""
    code = encode(images)
    error = float(np.square(decode(code) - images).sum() / len(images))
    numbers = code[0].size
    flat = images.reshape(len(images), -1).astype(np.float64)
    flat -= flat.mean(axis=0)
    variances = np.linalg.eigvalsh(flat.T @ flat)[::-1]  # times the number of images, the largest first
    least = float(np.maximum(variances[numbers:], 0).sum() / len(images))
    rows = [("autoencoder", numbers, error), ("PCA of these images", min(numbers, flat.shape[1]), least)]
    return Table(("code", "numbers", "squared error of an image"), rows)


def decoded_plane(codes: Float[np.ndarray, "n 2"], decode: Map, side: int = 15) -> Images:
    """Images decoded on a grid over the middle nine tenths of the codes; the second number falls from row to row."""
    low, high = np.quantile(codes, 0.05, axis=0), np.quantile(codes, 0.95, axis=0)
    first, second = np.linspace(low[0], high[0], side), np.linspace(high[1], low[1], side)
    pixels = decode(np.stack([np.tile(first, side), np.repeat(second, side)], axis=1).astype(np.float32))
    return Images(np.clip((pixels - pixels.min()) / max(np.ptp(pixels), 1e-6), 0, 1), columns=side)
