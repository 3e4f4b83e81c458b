"""Batches of single examples, in an order drawn anew for every epoch."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from dl.data.cropping import NUMBERS
from dl.data.order import example_indices, permutation
from dl.data.streaming import stream
from dl.dataset import Source

_STREAM = (1 << 64) - 1  # where an order has the epoch in its key

Read = Callable[[int, int, np.ndarray], dict[str, np.ndarray]]


def examples(source: Source, seed: int, batch_size: int, settings: Mapping[str, Any], on_device: bool) -> Read:
    """`(first step, steps, rows) -> feature -> [steps, rows, ...]`, a pure function of seed, step and row.

    A batch may begin in one epoch and end in the next: every example is seen exactly once an epoch, whatever the batch size.

    Args:
        source: the split.
        seed: of the order.
        batch_size: examples a step, over all processes.
        settings: `config.dataset`.
        on_device: the split itself lies on the device, so batches hold `index` [steps, rows] in place of the features.
    """
    size = len(source)

    def indices(start: int, count: int, rows: np.ndarray) -> np.ndarray:
        steps = np.arange(start, start + count, dtype=np.int64)[:, None]
        return example_indices(seed, steps * batch_size + rows, size)

    def read(start: int, count: int, rows: np.ndarray) -> dict[str, np.ndarray]:
        chosen = indices(start, count, rows)
        if on_device:
            return {"index": chosen.astype(np.int32)}
        flat = source.gather(chosen.ravel())
        return {name: values.reshape(*chosen.shape, *values.shape[1:]) for name, values in flat.items()}

    return read if source.resident else ReadAhead(source, seed, batch_size, settings.get("workers", 0))


class ReadAhead:
    """`Read` for a source that does not fit in memory: the same batches, read and decoded before they are asked for.

    What is remembered between two calls is only where the reading goes on; a call for other steps begins anew.
    """

    def __init__(self, source: Source, seed: int, batch_size: int, workers: int):
        self.source, self.seed, self.batch_size, self.workers = source, seed, batch_size, workers
        self.next: tuple[int, bytes] | None = None
        self.batches: Iterator[dict[str, np.ndarray]] = iter(())

    def __call__(self, start: int, count: int, rows: np.ndarray) -> dict[str, np.ndarray]:
        if self.next != (start, rows.tobytes()):
            positions = Positions(start, self.batch_size, rows)
            index_at = IndexAt(self.seed, len(self.source))
            numbers = NumbersAt(self.seed)
            self.batches = stream(self.source, positions, index_at, len(rows), workers=self.workers, numbers_at=numbers)
        self.next = (start + count, rows.tobytes())
        steps = [next(self.batches) for _ in range(count)]
        return {name: np.stack([step[name] for step in steps]) for name in steps[0]}


class Positions(Sequence[int]):
    """The positions of some rows of every batch from step `start` on, without an end."""

    def __init__(self, start: int, batch_size: int, rows: np.ndarray):
        self.start, self.batch_size, self.rows = start, batch_size, rows

    def __len__(self) -> int:
        return 1 << 40

    def __getitem__(self, number: int) -> int:  # type: ignore[override]  # slices are not asked for
        step, row = divmod(number, len(self.rows))
        return (self.start + step) * self.batch_size + int(self.rows[row])


class IndexAt:
    """Which example stands at a position; a class, because it is sent to the workers."""

    def __init__(self, seed: int, size: int):
        self.seed, self.size = seed, size

    def __call__(self, position: int) -> int:
        return int(permutation(self.seed, position // self.size, self.size)[position % self.size])


class NumbersAt:
    """The random numbers of a position: raw output of Philox, keyed by the seed, counting from the position."""

    def __init__(self, seed: int):
        self.seed = seed

    def __call__(self, position: int) -> np.ndarray:
        key = np.array([self.seed, _STREAM], np.uint64)
        return np.random.Philox(key=key, counter=np.array([0, position, 0, 0], np.uint64)).random_raw(NUMBERS)


PUBLIC = {"examples": examples}
