"""Gradients, maps and heat as images in 0..1."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

PERCENTILE = 99.5  # of the magnitudes is shown as full strength: a few pixels don't darken the rest
HEAT = np.array(
    [[0.05, 0.04, 0.20], [0.40, 0.09, 0.43], [0.80, 0.22, 0.33], [0.97, 0.55, 0.14], [0.99, 0.96, 0.60]], np.float32
)

Pixels = Float[np.ndarray, "h w c"]
Map = Float[np.ndarray, "h w"]


def signed(values: Pixels) -> Pixels:
    """Zero is mid-grey, the largest magnitudes black or white, each channel by itself its colour."""
    return np.clip(0.5 + 0.5 * values / _largest(values), 0, 1).astype(np.float32)


def grey(values: Map) -> Float[np.ndarray, "h w 1"]:
    """Zero is black, the largest values white."""
    return np.clip(values / _largest(values), 0, 1).astype(np.float32)[..., None]


def heat(values: Map) -> Float[np.ndarray, "h w 3"]:
    """0..1 from dark blue over red to light yellow."""
    at = np.clip(values, 0, 1) * (len(HEAT) - 1)
    low = np.minimum(at.astype(int), len(HEAT) - 2)
    part = (at - low)[..., None]
    return ((1 - part) * HEAT[low] + part * HEAT[low + 1]).astype(np.float32)


def overlaid(image: Pixels, values: Map) -> Float[np.ndarray, "h w 3"]:
    """A map of any size as heat over the image in grey: where there is none, the image is dark."""
    height, width, _ = image.shape
    strength = np.clip(resized(values, (height, width)) / _largest(values), 0, 1)
    share = 0.8 * strength[..., None]
    return ((1 - share) * 0.6 * image.mean(axis=-1, keepdims=True) + share * heat(strength)).astype(np.float32)


def resized(values: Map, shape: tuple[int, int]) -> Map:
    """A map brought to (H, W), bilinear."""
    from PIL import Image

    image = Image.fromarray(np.asarray(values, np.float32))
    return np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BILINEAR))


def extent(projection: Pixels, least: int) -> tuple[slice, slice]:
    """The square, `least` pixels wide or more, around what is not zero in a projection: what the feature can see."""
    height, width, _ = projection.shape
    rows, columns = np.nonzero(np.abs(projection).max(axis=-1) > 1e-6 * np.abs(projection).max(initial=1e-30))
    if not len(rows):
        return slice(0, height), slice(0, width)
    size = min(max(np.ptp(rows) + 1, np.ptp(columns) + 1, least), height, width)
    top = int(np.clip((rows.min() + rows.max() + 1 - size) // 2, 0, height - size))
    left = int(np.clip((columns.min() + columns.max() + 1 - size) // 2, 0, width - size))
    return slice(top, top + size), slice(left, left + size)


def enlarged(images: Sequence[Pixels], side: int) -> Float[np.ndarray, "n side side c"]:
    """Square images of any sides brought to one, every pixel a block or several pixels one."""
    from PIL import Image

    out = []
    for image in images:
        method = Image.Resampling.NEAREST if len(image) <= side else Image.Resampling.BOX
        planes = [
            Image.fromarray(np.ascontiguousarray(p, np.float32)).resize((side, side), method) for p in np.moveaxis(image, -1, 0)
        ]
        out.append(np.stack([np.asarray(plane) for plane in planes], axis=-1))
    return np.stack(out)


def as_square(values: Float[np.ndarray, " n"]) -> Map:
    """A vector in rows of a rectangle nearly square; zero where it has no more."""
    columns = int(np.ceil(np.sqrt(len(values))))
    rows = -(-len(values) // columns)
    return np.pad(np.asarray(values, np.float32), (0, rows * columns - len(values))).reshape(rows, columns)


def coloured(image: Pixels) -> Float[np.ndarray, "h w 3"]:
    """Grey or RGB as RGB."""
    return np.broadcast_to(image, (*image.shape[:2], 3)) if image.shape[2] == 1 else image


def _largest(values: np.ndarray) -> float:
    """Of the magnitudes, all but the very largest; 1 where all are zero."""
    size = np.abs(values)
    return float(np.percentile(size, PERCENTILE)) or float(size.max(initial=0)) or 1.0
