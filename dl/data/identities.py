"""The examples of a split by their class, and random draws of pairs and of whole classes.

Draws are pure functions of numbers from a counter-based generator, so that a batch is a function of (seed, step, row).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int, UInt64

from dl.dataset import Source, column_of
from dl.errors import UserError

PAIR_DRAWS = 6  # numbers that a pair takes
_STREAM = 1 << 63  # apart from the keys of `dl.data.order`


class Identities(NamedTuple):
    """Examples sorted by class, classes sorted by group.

    labels: labels of the classes [C].
    order: indices of the examples [N], those of class c from `start[c]` on, `size[c]` of them.
    group_start, group_size: first class and number of classes of each group [G].
    """

    labels: np.ndarray
    order: np.ndarray
    start: np.ndarray
    size: np.ndarray
    group_start: np.ndarray
    group_size: np.ndarray


def identities(labels: Int[np.ndarray, " n"], groups: Int[np.ndarray, " n"] | None = None, least: int = 1) -> Identities:
    """The classes that have at least `least` examples; all in one group where none are given.

    Args:
        labels: the class of each example.
        groups: group of each example, that of its class (Omniglot's alphabets, say).
        least: classes with fewer examples are left out.
    """
    groups = np.zeros_like(labels) if groups is None else groups
    order = np.lexsort((labels, groups))  # stable: by group, then by class, then as they come
    pairs = np.stack([groups[order], labels[order]], axis=1)
    _, start, count = np.unique(pairs, axis=0, return_index=True, return_counts=True)
    start, count = start[count >= least], count[count >= least]
    _, group_start, group_count = np.unique(pairs[start, 0], return_index=True, return_counts=True)
    return Identities(pairs[start, 1], order, start, count, group_start, group_count)


def feature_of(source: Source, name: str) -> np.ndarray:
    """One small feature of all examples [N], such as `label`, without reading their images where the source can do that.

    Raises:
        UserError: the examples have no such feature.
    """
    values = column_of(source, name)
    if values is None:
        raise UserError(f"these batches are made by the feature {name!r}, and the data have none.")
    return values


def random_numbers(seed: int, step: int, count: int) -> UInt64[np.ndarray, " n"]:
    """`count` uniform 64-bit numbers of a step: the raw output of Philox (Salmon et al. 2011) keyed by seed and step."""
    return np.random.Philox(key=np.array([seed, _STREAM + step], np.uint64)).random_raw(count)


def below(raw: np.ndarray, bound: np.ndarray | int) -> np.ndarray:
    """Uniform whole numbers from 0 to `bound - 1` (below 2^32), from uniform 64-bit numbers of the same shape."""
    return ((raw >> np.uint64(32)) * np.asarray(bound, np.uint64) >> np.uint64(32)).astype(np.int64)


def other(raw: np.ndarray, bound: np.ndarray | int, chosen: np.ndarray) -> np.ndarray:
    """Uniform over 0 to `bound - 1` without `chosen`."""
    drawn = below(raw, np.asarray(bound) - 1)
    return drawn + (drawn >= chosen)


def sample_pairs(
    ids: Identities, ratio: float, raw: UInt64[np.ndarray, "n 6"]
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """Pairs of examples: the indices on the left, on the right, and whether they are of the same class.

    A pair is dissimilar with probability ratio / (1 + ratio). The group is uniform, the class uniform in it. The right side of
    a dissimilar pair is of another class of the same group, that of a similar pair another example of the same class.

    Args:
        ids: every class with at least two examples, every group with at least two classes.
        ratio: ratio of dissimilar to similar pairs.
        raw: `PAIR_DRAWS` uniform numbers a pair.
    """
    same = (raw[:, 0] >> np.uint64(11)) * 2.0**-53 < 1.0 / (1.0 + ratio)
    group = below(raw[:, 1], len(ids.group_start))
    place = below(raw[:, 2], ids.group_size[group])
    another = other(raw[:, 3], ids.group_size[group], place)
    left = ids.group_start[group] + place
    right = np.where(same, left, ids.group_start[group] + another)
    first = below(raw[:, 4], ids.size[left])
    second = np.where(same, other(raw[:, 5], ids.size[left], first), below(raw[:, 5], ids.size[right]))
    return ids.order[ids.start[left] + first], ids.order[ids.start[right] + second], same


def sample_classes(ids: Identities, classes: int, each: int, raw: UInt64[np.ndarray, " n"]) -> Int[np.ndarray, "p k"]:
    """The indices of `each` different examples of each of so many different classes.

    Args:
        ids: at least `classes` classes of at least `each` examples.
        classes: P, how many.
        each: K, how many examples of each.
        raw: uniform numbers, one a class of `ids` and P * K more.
    """
    chosen = np.argsort(raw[: len(ids.size)], kind="stable")[:classes]
    draws = raw[len(ids.size) :].reshape(classes, each)
    size = ids.size[chosen]
    picked = np.empty((classes, 0), np.int64)
    for k in range(each):
        new = below(draws[:, k], size - k)  # among those that are left: step over the ones that are taken
        for taken in np.sort(picked, axis=1).T:
            new = new + (new >= taken)
        picked = np.column_stack([picked, new])
    return ids.order[ids.start[chosen][:, None] + picked]
