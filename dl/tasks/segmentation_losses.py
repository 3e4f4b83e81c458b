"""What segmentation minimises: cross-entropy over pixels, and the weights of the classes in it."""

from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import Array, Float, Integer

Scores = Float[Array, "b h w k"]
Labels = Integer[Array, "b h w"]


def uniform(pixels: Integer[np.ndarray, "n k"]) -> Float[np.ndarray, " k"]:
    """1 for every class."""
    return np.ones(pixels.shape[1])


def median_frequency(pixels: Integer[np.ndarray, "n k"]) -> Float[np.ndarray, " k"]:
    """median(f) / f(c), see `dl.tasks.segmentation`; 1 for a class that does not occur.

    `pixels` are counts of each class in each image.
    """
    possible = ((pixels > 0) * pixels.sum(1, keepdims=True)).sum(0)  # of all pixels of the images where the class occurs
    occurs = possible > 0
    frequency = pixels.sum(0)[occurs] / possible[occurs]
    weights = np.ones(pixels.shape[1])
    weights[occurs] = np.median(frequency) / frequency if len(frequency) else 1.0
    return weights


def logarithmic(pixels: Integer[np.ndarray, "n k"]) -> Float[np.ndarray, " k"]:
    """1 / ln(1.02 + p(c)), see the task `segmentation`."""
    return 1 / np.log(1.02 + pixels.sum(0) / max(pixels.sum(), 1))


BALANCES: dict[str, Callable[..., np.ndarray]] = {
    "none": uniform,
    "median_frequency": median_frequency,
    "logarithmic": logarithmic,
}


def weighted_cross_entropy(
    scores: Scores, labels: Labels, weights: Float[Array, " k"], void: int, mask: jax.Array | None = None
) -> tuple[Array, Array]:
    """The sum of -w(y) log softmax(s)[y] over the pixels of each image that are not void, and the sum of their w(y): [B] each.

    Args:
        scores: of each class.
        labels: the class of each pixel, or `void`.
        weights: of the classes.
        void: what does not count.
        mask: bool [B], False on rows that do not count; None where all do.
    """
    counted = labels != void if mask is None else (labels != void) & mask[:, None, None]
    targets = jax.nn.one_hot(labels, scores.shape[-1]) * counted[..., None] * weights
    return -(targets * jax.nn.log_softmax(scores)).sum((1, 2, 3)), targets.sum((1, 2, 3))
