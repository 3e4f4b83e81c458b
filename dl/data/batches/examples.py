"""Batches of single examples, in an order drawn for every epoch."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dl.data.cropping import NUMBERS
from dl.data.order import example_indices
from dl.data.streaming import AHEAD, Batch, Streamed, streamed
from dl.dataset import Source

_STREAM = (1 << 64) - 1  # where an order has the epoch in its key

Read = Callable[[int, int, np.ndarray], dict[str, np.ndarray]]


def examples(source: Source, seed: int, batch_size: int, settings: Mapping[str, Any], on_device: bool) -> Read:
    """`(first step, steps, rows) -> feature -> [steps, rows, ...]`, a pure function of seed, step and row.

    A batch may begin in one epoch and end in the next: every example is seen exactly once an epoch, whatever the batch size.

    Args:
        source: the split.
        seed: seed of the order.
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

    return read if source.resident else ReadAhead(streamed(source, settings.get("workers", 0)), seed, batch_size)


class ReadAhead:
    """`Read` for a source that does not fit in memory: the same batches, read and decoded before they are asked for.

    What is remembered between two calls is only what is being read; a call for other steps starts over. Steps are read in
    blocks as long as the call before was, so that the next call, where it is for as many, gets one without a copy.
    """

    def __init__(self, source: Streamed, seed: int, batch_size: int):
        self.source, self.seed, self.batch_size = source, seed, batch_size
        self.numbers_at = NumbersAt(seed)
        self.rows = np.zeros(0, np.int64)
        self.next = -1
        self.ahead: deque[tuple[int, int, Batch]] = deque()  # first step, steps, examples

    def __call__(self, start: int, count: int, rows: np.ndarray) -> dict[str, np.ndarray]:
        if start != self.next or not np.array_equal(rows, self.rows):
            self.cancel()
            self.rows = rows
        self.next = start + count
        end = self.ahead[-1][0] + self.ahead[-1][1] if self.ahead else start
        while end < self.next + AHEAD * count:
            self.ahead.append((end, count, self._submit(end, count)))
            end += count
        parts = []
        while start < self.next:
            first, steps, batch = self.ahead[0]
            stop = min(first + steps, self.next)
            shape = (steps, len(rows))
            parts.append({k: v.reshape(*shape, *v.shape[1:])[start - first : stop - first] for k, v in batch.result().items()})
            if stop == first + steps:
                self.ahead.popleft()
            start = stop
        return parts[0] if len(parts) == 1 else {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}

    def cancel(self) -> None:
        """Ends the reading ahead."""
        while self.ahead:
            self.ahead.popleft()[2].cancel()

    def __del__(self) -> None:
        self.cancel()

    def _submit(self, start: int, count: int) -> Batch:
        steps = np.arange(start, start + count, dtype=np.int64)[:, None]
        positions = (steps * self.batch_size + self.rows).ravel()
        indices = example_indices(self.seed, positions, len(self.source))
        return self.source.readers.submit(self.source.source, indices, lambda row: self.numbers_at(int(positions[row])))


class NumbersAt:
    """The random numbers of a position: raw output of Philox, keyed by the seed, counting from the position."""

    def __init__(self, seed: int):
        self.seed = seed

    def __call__(self, position: int) -> np.ndarray:
        key = np.array([self.seed, _STREAM], np.uint64)
        return np.random.Philox(key=key, counter=np.array([0, position, 0, 0], np.uint64)).random_raw(NUMBERS)


PUBLIC = {"examples": examples}
