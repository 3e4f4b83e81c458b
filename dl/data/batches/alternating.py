"""Batches of single examples that say which images are to be mirrored: every second epoch of each.

A random flip shows an image the same way again in half of all pairs of epochs. Here one epoch shows what the one before did not
(Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU", section 3.6: alternating flip).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dl.data.batches.examples import Read, examples
from dl.data.order import example_indices
from dl.dataset import Source

_STREAM = (1 << 64) - 2  # where an order has the epoch in its key


def mirrored(seed: int, positions: np.ndarray, size: int) -> np.ndarray:
    """Whether the example at each position of the endless sequence of epochs is mirrored, bool, of the shape of `positions`.

    In the first epoch a coin decides for each example, and from then on it is in turn: a function of seed, epoch and index.
    """
    coins = np.random.Philox(key=np.array([seed, _STREAM], np.uint64)).random_raw(size) >> np.uint64(63)
    indices = example_indices(seed, positions, size)
    return (coins[indices].astype(np.int64) + positions // size) % 2 == 1


def alternating(source: Source, seed: int, batch_size: int, settings: Mapping[str, Any], on_device: bool) -> Read:
    """As `examples`, with the feature `mirror` bool [steps, rows], which the augmentation `alternating_flip` obeys."""
    read = examples(source, seed, batch_size, settings, on_device)

    def with_mirror(start: int, count: int, rows: np.ndarray) -> dict[str, np.ndarray]:
        positions = np.arange(start, start + count, dtype=np.int64)[:, None] * batch_size + rows
        return {**read(start, count, rows), "mirror": mirrored(seed, positions, len(source))}

    return with_mirror


PUBLIC = {"alternating": alternating}
