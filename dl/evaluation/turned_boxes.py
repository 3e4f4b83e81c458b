"""Turned boxes (y, x, height, width, angle): their overlap, non-maximum suppression, precision and recall.

Centres and sides are in pixels; the angle is in radians, counter-clockwise as it is seen, where y points down.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

OVERLAP = 0.5  # from which on a box counts as found


def corners(boxes: Float[np.ndarray, "n 5"]) -> Float[np.ndarray, "n 4 2"]:
    """The corners (y, x) of boxes: upper left, upper right, lower right, lower left, as the box is turned."""
    y, x, height, width, angle = boxes.astype(np.float64).T
    down = np.stack([-height, -height, height, height], 1) / 2
    right = np.stack([-width, width, width, -width], 1) / 2
    cosine, sine = np.cos(angle)[:, None], np.sin(angle)[:, None]
    return np.stack([y[:, None] - right * sine + down * cosine, x[:, None] + right * cosine + down * sine], axis=-1)


def area(polygon: Float[np.ndarray, "m 2"]) -> float:
    """The area of a polygon, by the shoelace formula."""
    y, x = polygon.T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def clipped(polygon: list[tuple[float, float]], by: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The part of a convex polygon that lies in another one (Sutherland & Hodgman 1974); points are (y, x)."""
    turn = sum(a[1] * b[0] - a[0] * b[1] for a, b in zip(by, by[1:] + by[:1], strict=True))
    sign = 1.0 if turn >= 0 else -1.0
    for a, b in zip(by, by[1:] + by[:1], strict=True):

        def side(p: tuple[float, float], a: tuple[float, float] = a, b: tuple[float, float] = b) -> float:
            return sign * ((b[1] - a[1]) * (p[0] - a[0]) - (b[0] - a[0]) * (p[1] - a[1]))

        kept: list[tuple[float, float]] = []
        for p, q in zip(polygon, polygon[1:] + polygon[:1], strict=True):
            here, there = side(p), side(q)
            if here >= 0:
                kept.append(p)
            if here * there < 0:
                t = here / (here - there)
                kept.append((p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])))
        polygon = kept
        if not polygon:
            break
    return polygon


def overlaps(boxes: Float[np.ndarray, "n 5"], others: Float[np.ndarray, "m 5"]) -> Float[np.ndarray, "n m"]:
    """Intersection over union of each pair."""
    first, second = corners(boxes), corners(others)
    out = np.zeros((len(boxes), len(others)))
    low, high = (f(first, axis=1)[:, None] for f in (np.min, np.max))
    near = ((low < second.max(1)[None]) & (high > second.min(1)[None])).all(-1)  # others do not touch
    for i, j in zip(*np.nonzero(near), strict=True):
        common = clipped([tuple(p) for p in first[i].tolist()], [tuple(p) for p in second[j].tolist()])
        if len(common) > 2:
            inner = area(np.array(common))
            out[i, j] = inner / max(area(first[i]) + area(second[j]) - inner, 1e-9)
    return out


def suppressed(
    boxes: Float[np.ndarray, "n 5"], scores: Float[np.ndarray, " n"], overlap: float
) -> tuple[Float[np.ndarray, "k 5"], Float[np.ndarray, " k"]]:
    """Non-maximum suppression: the best box goes, with it all that overlap it more, and so on.

    What goes with a box has a say in where it is: its sides, centre and angle are the means, weighted by the scores (Zhou et
    al. 2017, section 3.6).

    Args:
        boxes: that were found.
        scores: of each, positive.
        overlap: intersection over union, from which on two are the same.
    """
    left = np.argsort(-scores, kind="stable")
    found, best = [], []
    while len(left):
        same = overlaps(boxes[left[:1]], boxes[left])[0] >= overlap
        same[0] = True
        group = left[same]
        found.append(np.average(boxes[group], axis=0, weights=scores[group]))
        best.append(float(scores[group[0]]))
        left = left[~same]
    return np.array(found, np.float64).reshape(-1, 5), np.array(best, np.float64)


def matched(
    found: Float[np.ndarray, "n 5"], there: Float[np.ndarray, "m 5"], overlap: float = OVERLAP
) -> tuple[Bool[np.ndarray, " n"], Bool[np.ndarray, " m"]]:
    """Which boxes that were found are right, and which of those that are there were found; each has one partner at most.

    Args:
        found: the likeliest first.
        there: the boxes of the ground truth.
        overlap: intersection over union, at least.
    """
    pairs, right, seen = overlaps(found, there), np.zeros(len(found), bool), np.zeros(len(there), bool)
    for i, row in enumerate(pairs):
        free = np.where(seen, -1.0, row)
        if len(free) and free.max() >= overlap:
            right[i], seen[int(free.argmax())] = True, True
    return right, seen


def precision_and_recall(
    found: Sequence[Float[np.ndarray, "_ 5"]], there: Sequence[Float[np.ndarray, "_ 5"]], overlap: float = OVERLAP
) -> dict[str, float]:
    """`precision`, `recall` and `f1` over all images together; 0 where nothing was found."""
    pairs = [matched(ours, truth, overlap) for ours, truth in zip(found, there, strict=True)]
    right, said = sum(int(r.sum()) for r, _ in pairs), sum(len(r) for r, _ in pairs)
    seen, all_ = sum(int(s.sum()) for _, s in pairs), sum(len(s) for _, s in pairs)
    precision, recall = right / max(said, 1), seen / max(all_, 1)
    return {"precision": precision, "recall": recall, "f1": 2 * precision * recall / max(precision + recall, 1e-9)}
