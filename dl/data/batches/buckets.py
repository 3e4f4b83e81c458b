"""Batches of examples of similar lengths, so that little of them is padding (Khomenko et al. 2016, "Accelerating recurrent
neural network training using sequence bucketing and multi-GPU data parallelization").

Examples are sorted into buckets, one for each length that they may be padded to, and a batch is of one bucket. Each bucket has
its own shape of batches, so that a program is compiled for each.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dl.data.batches.examples import NumbersAt, Read
from dl.data.order import permutation
from dl.data.ragged import Buckets, Measured, buckets
from dl.data.ragged_streams import RaggedStream
from dl.data.streaming import AHEAD, Batch
from dl.dataset import Source
from dl.errors import UserError

_ORDER = (1 << 64) - 3  # where an order of examples has the seed in its key


class Order(NamedTuple):
    """In which order the buckets come: a function of the step alone, so that replicas, which share a program, agree.

    sizes: examples of a batch of each bucket.
    batches: number of batches of each bucket in an epoch.
    """

    sizes: tuple[int, ...]
    batches: tuple[int, ...]

    @property
    def steps(self) -> int:
        """Of an epoch."""
        return sum(self.batches)

    def batch(self, step: int) -> tuple[int, int, int]:
        """The epoch of a step, its bucket, and which batch of this bucket it is; drawn for every epoch."""
        epoch, place = divmod(step, self.steps)
        number = int(permutation(_ORDER, epoch, self.steps)[place])
        ends = np.cumsum(self.batches)
        bucket = int(np.searchsorted(ends, number, side="right"))
        return epoch, bucket, number - int(ends[bucket]) + self.batches[bucket]

    def bucket(self, step: int) -> int:
        """The bucket of a step."""
        return self.batch(step)[1]


def order(source: Source, batch_size: int, settings: Mapping[str, Any]) -> Order:
    """The order of the buckets of a source.

    Args:
        source: the split.
        batch_size: examples a batch, unless `tokens_per_batch` says otherwise.
        settings: `config.dataset`: `bucket_by`, the feature that decides ("": all ragged ones); `tokens_per_batch`, so many a
            batch at most, padding counted, but one example at least.

    Raises:
        UserError: the source has no ragged feature, or a setting is out of range.
    """
    return _order(_buckets(source, settings), batch_size, settings)


def _buckets(source: Source, settings: Mapping[str, Any]) -> Buckets:
    if not isinstance(source, Measured):
        raise UserError("dataset.batches='buckets' is for examples that differ in length, which these do not: take 'examples'.")
    return buckets(source, settings.get("bucket_by", ""))


def _order(found: Buckets, batch_size: int, settings: Mapping[str, Any]) -> Order:
    tokens, by = settings.get("tokens_per_batch", 0), settings.get("bucket_by", "")
    if tokens < 0:
        raise UserError(f"dataset.tokens_per_batch must be positive, or 0 for batch_size examples a batch, not {tokens}.")
    longest = [lengths[by] if by else max(lengths.values()) for lengths in found.lengths]
    sizes = tuple(max(tokens // length, 1) if tokens else batch_size for length in longest)
    examples = np.bincount(found.of, minlength=len(sizes))
    return Order(sizes, tuple(-(-int(n) // size) for n, size in zip(examples, sizes, strict=True)))


class Plan:
    """Which examples the batch of a step has: a pure function of the seed and the step."""

    def __init__(self, found: Buckets, order: Order, seed: int):
        self.found, self.order, self.seed = found, order, seed
        self.members = functools.lru_cache(maxsize=2)(self._members)

    def _members(self, epoch: int) -> list[np.ndarray]:
        """The examples of each bucket in the order of an epoch."""
        drawn = permutation(self.seed, epoch, len(self.found.of))
        return [drawn[self.found.of[drawn] == bucket] for bucket in range(len(self.order.sizes))]

    def rows(self, step: int, rows: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
        """The epoch of a step; the examples in some rows of its batch, and which of them count."""
        epoch, bucket, number = self.order.batch(step)
        size = self.order.sizes[bucket]
        batch = self.members(epoch)[bucket][number * size : (number + 1) * size]
        return epoch, batch[np.minimum(rows, len(batch) - 1)], rows < len(batch)

    def bucket(self, start: int, count: int) -> int:
        """That of `count` steps from `start`, which must have the same."""
        taken = {self.order.bucket(step) for step in range(start, start + count)}
        if len(taken) > 1:
            raise ValueError(f"the steps {start} to {start + count - 1} are of several buckets")
        return taken.pop()


def in_buckets(source: Source, seed: int, batch_size: int, settings: Mapping[str, Any], on_device: bool) -> Read:
    """Batches of examples of one bucket: the features of the source, ragged ones padded, and `mask` bool [steps, rows].

    Every example is seen exactly once an epoch. The last batch of a bucket is filled up with rows whose `mask` is False, as
    are rows beyond the bucket's batch size. Which examples are together is drawn by (seed, epoch), which bucket a step has
    by the step alone. The steps of a call must be of one bucket.

    Args:
        source: the split, with a ragged feature.
        seed: seed of the order of the examples.
        batch_size: as for `order`.
        settings: as for `order`.
        on_device: not used.

    Raises:
        UserError: as `order`.
    """
    found = _buckets(source, settings)
    plan = Plan(found, _order(found, batch_size, settings), seed)
    if isinstance(source, RaggedStream):
        return BucketsAhead(source, plan)
    assert isinstance(source, Measured)

    def read(start: int, count: int, rows: np.ndarray) -> dict[str, np.ndarray]:
        bucket = plan.bucket(start, count)
        _, indices, masks = zip(*(plan.rows(step, rows) for step in range(start, start + count)), strict=True)
        flat = source.gather(np.concatenate(indices), found.lengths[bucket])
        batch = {name: values.reshape(count, len(rows), *values.shape[1:]) for name, values in flat.items()}
        return {**batch, "mask": np.stack(masks)}

    return read


class BucketsAhead:
    """`Read` for a source that does not fit in memory: the same batches, read before they are asked for.

    Which rows are wanted of the batches of a bucket is known once it has been asked for, so its first batch is not read ahead.
    """

    def __init__(self, source: RaggedStream, plan: Plan):
        self.source, self.plan = source, plan
        self.numbers_at = NumbersAt(plan.seed)
        self.rows_of: dict[int, np.ndarray] = {}  # by bucket
        self.ahead: dict[int, Batch] = {}  # by step

    def __call__(self, start: int, count: int, rows: np.ndarray) -> dict[str, np.ndarray]:
        bucket, steps = self.plan.bucket(start, count), range(start, start + count)
        if bucket in self.rows_of and not np.array_equal(self.rows_of[bucket], rows):
            self.cancel(list(self.ahead))
        self.rows_of[bucket] = rows
        wanted = range(start, start + count * (1 + AHEAD))
        self.cancel([step for step in self.ahead if step not in wanted])
        for step in wanted:
            if step not in self.ahead and self.plan.order.bucket(step) in self.rows_of:
                self.ahead[step] = self._submit(step)
        batches = [self.ahead.pop(step).result() for step in steps]
        read = {name: np.stack([batch[name] for batch in batches]) for name in batches[0]}
        return {**read, "mask": np.stack([self.plan.rows(step, rows)[2] for step in steps])}

    def cancel(self, steps: Sequence[int]) -> None:
        """What was to be read for these steps is not read."""
        for step in steps:
            self.ahead.pop(step).cancel()

    def __del__(self) -> None:
        self.cancel(list(self.ahead))

    def _submit(self, step: int) -> Batch:
        bucket = self.plan.order.bucket(step)
        epoch, indices, _ = self.plan.rows(step, self.rows_of[bucket])
        stream = self.source.at(self.plan.found.lengths[bucket])
        # The view of an example depends on the epoch and on the example, not on the batch that it is in.
        places = epoch * len(self.source) + indices
        return stream.readers.submit(stream.source, indices, lambda row: self.numbers_at(int(places[row])))


PUBLIC = {"buckets": in_buckets}
BUCKETS = {"buckets": order}
SETTINGS = {"buckets": {"lengths": (), "bucket_by": "", "tokens_per_batch": 0}}
