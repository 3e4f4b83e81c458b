"""Finding the one text that belongs to a query among all texts of a split: by embeddings, and by edit distance beside them."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

ROWS = 1024  # queries compared at a time


class Found(NamedTuple):
    """For each query which text is nearest int [N], and how many texts are nearer than the right one int [N]."""

    nearest: Int[np.ndarray, " n"]
    before: Int[np.ndarray, " n"]


def by_angle(query: Float[np.ndarray, "n d"], target: Float[np.ndarray, "n d"]) -> Found:
    """By the cosine of embeddings; row i of `target` belongs to row i of `query`. What is as near counts as nearer."""
    unit = target / np.maximum(np.linalg.norm(target, axis=1, keepdims=True), 1e-12)
    nearest, before = [], []
    for start in range(0, len(query), ROWS):
        likeness = query[start : start + ROWS] @ unit.T
        rows = np.arange(len(likeness))
        right = likeness[rows, start + rows]
        nearest.append(likeness.argmax(1))
        before.append((likeness >= right[:, None]).sum(1) - 1)
    return Found(np.concatenate(nearest), np.concatenate(before))


def by_edit_distance(query: list[str], target: list[str]) -> Found:
    """By Levenshtein's distance; of texts that are as near the first is taken."""
    from rapidfuzz import process
    from rapidfuzz.distance import Levenshtein

    nearest, before = [], []
    for start in range(0, len(query), ROWS):
        part = query[start : start + ROWS]
        distance = process.cdist(part, target, scorer=Levenshtein.distance, dtype=np.uint16)
        rows = np.arange(len(part))
        right = distance[rows, start + rows]
        nearest.append(distance.argmin(1))
        ahead = (distance == right[:, None]) & (np.arange(len(target)) < (start + rows)[:, None])
        before.append((distance < right[:, None]).sum(1) + ahead.sum(1))
    return Found(np.concatenate(nearest), np.concatenate(before))


def accuracy(found: Found, first: int = 1) -> float:
    """The part of the queries whose text is among the `first` nearest."""
    return float((found.before < first).mean())


def mean_reciprocal_rank(found: Found) -> float:
    """The mean of 1 / rank of the right text."""
    return float((1 / (1 + found.before)).mean())
