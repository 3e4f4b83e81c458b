"""Verification: are two examples of the same class? Decided by whether their distance is below a threshold."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from dl.data.identities import PAIR_DRAWS, Identities, identities, random_numbers, sample_pairs
from dl.errors import UserError
from dl.evaluation.one_shot import Distance

CHUNK = 512  # pairs that are compared at once
SEED = 1993  # of the drawn pairs: they are the same in every run


class Roc(NamedTuple):
    """The receiver operating characteristic, from no pair accepted to all.

    accepted_wrongly, accepted_rightly: the share of different and of same pairs whose distance is at most `threshold` [T].
    """

    accepted_wrongly: np.ndarray
    accepted_rightly: np.ndarray
    threshold: np.ndarray


class Pairs(NamedTuple):
    """Pairs [N] of examples: indices, whether they are of the same class, and their distance."""

    left: np.ndarray
    right: np.ndarray
    same: np.ndarray
    distance: np.ndarray


def classes_for(labels: Int[np.ndarray, " n"]) -> Identities:
    """The classes that pairs can be made of.

    Raises:
        UserError: there are fewer than two classes of two examples.
    """
    ids = identities(labels, least=2)
    if len(ids.size) < 2:
        raise UserError(f"verification needs at least two classes of two examples each, and the split has {len(ids.size)}.")
    return ids


def draw_pairs(labels: Int[np.ndarray, " n"], count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`count` random pairs: indices on the left and on the right, and whether they are the same; about as many are as are not.

    Raises:
        UserError: there are fewer than two classes of two examples.
    """
    ids = classes_for(labels)
    return sample_pairs(ids, 1.0, random_numbers(SEED, 0, count * PAIR_DRAWS).reshape(-1, PAIR_DRAWS))


def apart(embeddings: Float[np.ndarray, "n d"], left: np.ndarray, right: np.ndarray, distance: Distance) -> np.ndarray:
    """The distances of pairs of rows [P], in parts that need little memory."""
    parts = np.array_split(np.arange(len(left)), max(len(left) // CHUNK, 1))
    return np.concatenate([distance(embeddings[left[part]], embeddings[right[part]]) for part in parts])


def roc(distance: Float[np.ndarray, " n"], same: Bool[np.ndarray, " n"]) -> Roc:
    """One point a distinct distance, and the origin. As `sklearn.metrics.roc_curve(same, -distance)` without its thinning.

    Raises:
        ValueError: all pairs are the same, or none.
    """
    if same.all() or not same.any():
        raise ValueError("an ROC needs pairs of both kinds")
    order = np.argsort(distance, kind="stable")
    distance, same = distance[order], same[order]
    last = np.append(np.flatnonzero(np.diff(distance)), len(distance) - 1)  # of each run of equal distances
    accepted, mistaken = np.cumsum(same)[last], np.cumsum(~same)[last]
    start = np.zeros(1)
    return Roc(
        np.append(start, mistaken / mistaken[-1]), np.append(start, accepted / accepted[-1]), np.append(-np.inf, distance[last])
    )


def equal_error_rate(curve: Roc) -> float:
    """The error where as large a share of the different pairs is accepted as of the same pairs is rejected.

    Between two points of the curve, on the straight line that joins them.
    """
    gap = curve.accepted_wrongly - (1.0 - curve.accepted_rightly)  # rises from -1 to 1
    after = int(np.argmax(gap >= 0))
    part = -gap[after - 1] / (gap[after] - gap[after - 1])
    low, high = curve.accepted_wrongly[after - 1], curve.accepted_wrongly[after]
    return float(low + part * (high - low))


def area_under(curve: Roc) -> float:
    """The area under the ROC: the probability that a same pair is nearer than a different one."""
    return float(np.trapezoid(curve.accepted_rightly, curve.accepted_wrongly))


def decision_error(distance: Float[np.ndarray, " n"], same: Bool[np.ndarray, " n"], threshold: float) -> float:
    """The error of the decision "below the threshold means the same", same and different pairs counting alike."""
    incorrect = (distance < threshold) != same
    return float((incorrect[same].mean() + incorrect[~same].mean()) / 2)
