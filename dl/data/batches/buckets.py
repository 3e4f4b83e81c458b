"""Batches of examples of similar lengths, so that little of them is padding (Khomenko et al. 2016, "Accelerating recurrent
neural network training using sequence bucketing and multi-GPU data parallelization").

Examples are sorted into buckets, one for each length that they may be padded to, and a batch is of one bucket. Each bucket has
its own shape of batches, so that a program is compiled for each.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from dl.data.batches.examples import Read
from dl.data.order import permutation
from dl.data.ragged import Buckets, RaggedArrays, buckets
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
        UserError: the source has no ragged feature in memory, or a setting is out of range.
    """
    return _order(_buckets(source, settings), batch_size, settings)


def _buckets(source: Source, settings: Mapping[str, Any]) -> Buckets:
    if not isinstance(source, RaggedArrays):
        raise UserError(
            "dataset.batches='buckets' is for examples that differ in length and are in memory, which these do not or are not: "
            "take 'examples'."
        )
    return buckets(source, settings.get("bucket_by", ""))


def _order(found: Buckets, batch_size: int, settings: Mapping[str, Any]) -> Order:
    tokens, by = settings.get("tokens_per_batch", 0), settings.get("bucket_by", "")
    if tokens < 0:
        raise UserError(f"dataset.tokens_per_batch must be positive, or 0 for batch_size examples a batch, not {tokens}.")
    longest = [lengths[by] if by else max(lengths.values()) for lengths in found.lengths]
    sizes = tuple(max(tokens // length, 1) if tokens else batch_size for length in longest)
    examples = np.bincount(found.of, minlength=len(sizes))
    return Order(sizes, tuple(-(-int(n) // size) for n, size in zip(examples, sizes, strict=True)))


def in_buckets(source: Source, seed: int, batch_size: int, settings: Mapping[str, Any], on_device: bool) -> Read:
    """Batches of examples of one bucket: the features of the source, ragged ones padded, and `mask` bool [steps, rows].

    Every example is seen exactly once an epoch. The last batch of a bucket is filled up with rows whose `mask` is False, as
    are rows beyond the bucket's batch size. Which examples are together is drawn by (seed, epoch), which bucket a step has
    by the step alone. The steps of a call must be of one bucket.

    Args:
        source: the split, in memory, with a ragged feature.
        seed: seed of the order of the examples.
        batch_size: as for `order`.
        settings: as for `order`.
        on_device: not used.

    Raises:
        UserError: as `order`.
    """
    found = _buckets(source, settings)
    steps_in = _order(found, batch_size, settings)
    assert isinstance(source, RaggedArrays)

    @functools.lru_cache(maxsize=2)
    def members(epoch: int) -> list[np.ndarray]:
        """The examples of each bucket in the order of an epoch."""
        drawn = permutation(seed, epoch, len(source))
        return [drawn[found.of[drawn] == bucket] for bucket in range(len(steps_in.sizes))]

    def chosen(step: int, rows: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
        epoch, bucket, number = steps_in.batch(step)
        size = steps_in.sizes[bucket]
        batch = members(epoch)[bucket][number * size : (number + 1) * size]
        return bucket, batch[np.minimum(rows, len(batch) - 1)], rows < len(batch)

    def read(start: int, count: int, rows: np.ndarray) -> dict[str, np.ndarray]:
        taken, indices, masks = zip(*(chosen(step, rows) for step in range(start, start + count)), strict=True)
        if len(set(taken)) > 1:
            raise ValueError(f"the steps {start} to {start + count - 1} are of several buckets")
        flat = source.gather(np.concatenate(indices), found.lengths[taken[0]])
        batch = {name: values.reshape(count, len(rows), *values.shape[1:]) for name, values in flat.items()}
        return {**batch, "mask": np.stack(masks)}

    return read


PUBLIC = {"buckets": in_buckets}
BUCKETS = {"buckets": order}
SETTINGS = {"buckets": {"lengths": (), "bucket_by": "", "tokens_per_batch": 0}}
