"""The order in which examples are seen: a pure function of (seed, position), the same on any number of processes."""

import functools

import numpy as np


@functools.lru_cache(maxsize=32)
def permutation(seed: int, epoch: int, size: int) -> np.ndarray:
    """The order of the examples in one epoch, int64 [size].

    Sorts the raw output of a counter-based generator (Philox, Salmon et al. 2011) keyed by seed and epoch: NumPy guarantees
    that stream for ever, which it does not for its own `permutation`.
    """
    keys = np.random.Philox(key=np.array([seed, epoch], np.uint64)).random_raw(size)
    order = np.argsort(keys, kind="stable")
    order.flags.writeable = False  # it is shared by the cache
    return order


def example_indices(seed: int, positions: np.ndarray, size: int) -> np.ndarray:
    """Which example stands at each position of the endless sequence of epochs. Positions int64, any shape; the result alike."""
    epochs = positions // size
    indices = np.empty_like(positions)
    for epoch in np.unique(epochs):
        inside = epochs == epoch
        indices[inside] = permutation(seed, int(epoch), size)[positions[inside] % size]
    return indices
