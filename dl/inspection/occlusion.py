"""Which part of an image the network needs: a grey square hides place after place (Zeiler & Fergus 2014, section 4.2)."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

GREY = 0.5
BATCH = 16  # images made at once


def corners(shape: tuple[int, int], size: int, stride: int) -> Int[np.ndarray, "n 2"]:
    """The upper left corners (row, column) of squares of `size`, `stride` apart, the last ones flush with the edges."""
    rows, columns = (sorted({*range(0, max(side - size, 0), stride), max(side - size, 0)}) for side in shape)
    return np.array([(row, column) for row in rows for column in columns])


def occlusion(
    probabilities: Callable[[np.ndarray], np.ndarray],
    image: Float[np.ndarray, "h w c"],
    label: int,
    size: int,
    stride: int,
    fill: float = GREY,
) -> Float[np.ndarray, "h w"]:
    """How far the probability of a class falls where a square hides a part of the image.

    Args:
        probabilities: images [B, H, W, C] -> [B, K].
        image: pixels.
        label: the class.
        size: side of the square, in pixels.
        stride: from one square to the next.
        fill: the pixels of the square.

    Returns:
        For each pixel the mean over the squares that hide it; negative where hiding helps.
    """
    places = corners(image.shape[:2], size, stride)
    fallen = np.zeros(len(places))
    whole = probabilities(image[None])[0, label]
    for start in range(0, len(places), BATCH):
        part = places[start : start + BATCH]
        batch = np.repeat(image[None], len(part), axis=0)
        for hidden, (row, column) in zip(batch, part, strict=True):
            hidden[row : row + size, column : column + size] = fill
        fallen[start : start + BATCH] = whole - probabilities(batch)[:, label]
    total, times = np.zeros((2, *image.shape[:2]))
    for (row, column), drop in zip(places, fallen, strict=True):
        total[row : row + size, column : column + size] += drop
        times[row : row + size, column : column + size] += 1
    return (total / np.maximum(times, 1)).astype(np.float32)
