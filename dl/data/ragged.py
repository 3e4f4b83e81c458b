"""Features whose length differs between examples, in memory: all values one after another, and where each example begins.

A batch has them padded, since a compiled program has one shape: to one of a few lengths, so that there are few programs. Beside
the feature `NAME` stands `NAME_length` int32 [B], how much of each row counts.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int, Shaped

from dl.dataset import Arrays, Source
from dl.errors import UserError, unknown


class Ragged:
    """One feature of N examples. It is sliced like an array of N rows, without copying its values.

    Args:
        values: values of all examples, one after another.
        offsets: example i has `values[offsets[i] : offsets[i + 1]]`.
        lengths: to which examples may be padded, ascending; longer examples are cut to the last. None given: the length of the
            longest example.
        fill: value of the padding.
    """

    def __init__(
        self,
        values: Shaped[np.ndarray, "n ..."],
        offsets: Int[np.ndarray, " m"],
        lengths: Sequence[int] = (),
        fill: float = 0,
    ):
        if list(lengths) != sorted(set(lengths)) or any(length < 1 for length in lengths):
            raise UserError(f"lengths to pad to must be positive and ascending, not {tuple(lengths)}.")
        self.values, self.offsets, self.fill = values, offsets, fill
        self.sizes = np.diff(offsets)  # how long each example is, uncut
        self.lengths = tuple(lengths) or (max(int(self.sizes.max(initial=0)), 1),)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, rows: slice) -> "Ragged":
        """Examples next to each other, a view."""
        start, stop, step = rows.indices(len(self))
        if step != 1:
            raise ValueError("ragged features are sliced without a step")
        return Ragged(self.values, self.offsets[start : max(start, stop) + 1], self.lengths, self.fill)

    def padded_to(self, lengths: Sequence[int]) -> "Ragged":
        """The same examples with other lengths to pad to."""
        return Ragged(self.values, self.offsets, lengths, self.fill)

    def replaced(self, values: Shaped[np.ndarray, "n ..."]) -> "Ragged":
        """The same examples with other values."""
        return Ragged(values, self.offsets, self.lengths, self.fill)

    @property
    def whole(self) -> Shaped[np.ndarray, "n ..."]:
        """The values of these examples, one after another."""
        return self.values[self.offsets[0] : self.offsets[-1]]

    def one(self, index: int) -> Shaped[np.ndarray, "n ..."]:
        """The values of one example, uncut."""
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    def example_of(self, place: int | np.integer) -> int:
        """Which example has the value at a place of `whole`."""
        return int(np.searchsorted(self.offsets - self.offsets[0], place, side="right")) - 1

    def length_for(self, indices: Int[np.ndarray, " b"]) -> int:
        """The least of `lengths` that holds all these examples, or else the last."""
        longest = int(self.sizes[indices].max(initial=0))
        return next((length for length in self.lengths if length >= longest), self.lengths[-1])

    def gather(self, indices: Int[np.ndarray, " b"], length: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """The examples [B, length, ...], padded, and how much of each counts, int32 [B].

        Args:
            indices: indices of the examples.
            length: to pad or cut to; 0 is the last of `lengths`, so that every batch has the same shape.
        """
        length = length or self.lengths[-1]
        sizes = np.minimum(self.sizes[indices], length)
        out = np.full((len(indices), length, *self.values.shape[1:]), self.fill, self.values.dtype)
        within = np.arange(length) < sizes[:, None]
        places = (self.offsets[:-1][indices][:, None] + np.arange(length))[within]
        out[within] = self.values[places]
        return out, sizes.astype(np.int32)


def ragged(examples: Sequence[np.ndarray], lengths: Sequence[int] = (), fill: float = 0) -> Ragged:
    """`examples`, arrays that differ in their first axis alone, one after another.

    Raises:
        UserError: there are none.
    """
    if not len(examples):
        raise UserError("there is no example to read a ragged feature from.")
    sizes = [len(example) for example in examples]
    return Ragged(np.concatenate(examples), np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), lengths, fill)


def joined(parts: Sequence[Ragged]) -> Ragged:
    """The examples of all `parts`, one part after another; `lengths` are those of the first, up to the longest of all."""
    values = [part.whole for part in parts]
    sizes = np.concatenate([part.sizes for part in parts])
    lengths = max((part.lengths for part in parts), key=lambda lengths: lengths[-1])
    return Ragged(np.concatenate(values), np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), lengths, parts[0].fill)


class RaggedArrays(Arrays):
    """A source in memory, some of whose features are ragged: feature -> array [N, ...] or `Ragged`."""

    def __init__(self, features: Mapping[str, np.ndarray | Ragged]):
        self.features: dict[str, Any] = dict(features)  # a Ragged is sliced and counted like an array

    @property
    def ragged(self) -> dict[str, Ragged]:
        """Those features that are ragged."""
        return {name: values for name, values in self.features.items() if isinstance(values, Ragged)}

    def gather(self, indices: np.ndarray, length: Mapping[str, int] | None = None) -> dict[str, np.ndarray]:
        """As `Arrays.gather`; a ragged feature is padded to its `length`, where one is given, or else to its longest."""
        out: dict[str, np.ndarray] = {}
        for name, values in self.features.items():
            if isinstance(values, Ragged):
                out[name], out[f"{name}_length"] = values.gather(np.asarray(indices), (length or {}).get(name, 0))
            else:
                out[name] = values[indices]
        return out

    def column(self, name: str) -> np.ndarray | None:
        """As `Arrays.column`; of a ragged feature `NAME_length` is how long each example is, uncut."""
        if isinstance(values := self.features.get(name.removesuffix("_length")), Ragged):
            return values.sizes if name.endswith("_length") else None
        return super().column(name)


class Buckets(NamedTuple):
    """Which examples of a source are padded to the same lengths.

    lengths: lengths of each bucket, ascending: ragged feature -> the length it is padded to.
    of: int64 [N], the bucket of each example: the first that holds it, or else the last, which cuts it.
    """

    lengths: tuple[Mapping[str, int], ...]
    of: np.ndarray


@runtime_checkable
class Measured(Source, Protocol):
    """A source that knows how long its ragged features are, whether or not they are in memory."""

    @property
    def ragged(self) -> Mapping[str, Any]:
        """Name -> what has `sizes` int64 [N] and `lengths`, as `Ragged` does."""
        ...

    def gather(self, indices: np.ndarray, length: Mapping[str, int] | None = None) -> dict[str, np.ndarray]:
        """The examples; a ragged feature is padded to its `length`, where one is given, or else to its longest."""
        ...


def buckets(source: Measured, by: str = "") -> Buckets:
    """The buckets of a source: in the first, features are padded to the first of their lengths, and so on.

    Args:
        source: with ragged features.
        by: the feature that decides; all others are padded to the last of their lengths. "": all of them do, so that an example
            is in the first bucket which holds each of its features.

    Raises:
        UserError: `by` is no ragged feature.
    """
    ragged = source.ragged
    if by and by not in ragged:
        raise unknown("ragged feature for dataset.bucket_by", by, ragged)
    deciding = {name: values for name, values in ragged.items() if by in ("", name)}
    of = np.zeros(len(source), np.int64)
    for values in deciding.values():
        of = np.maximum(of, np.searchsorted(values.lengths[:-1], values.sizes))
    count = max(len(values.lengths) for values in deciding.values())

    def length(name: str, bucket: int) -> int:
        lengths = ragged[name].lengths
        return lengths[min(bucket, len(lengths) - 1)] if name in deciding else lengths[-1]

    return Buckets(tuple({name: length(name, b) for name in ragged} for b in range(count)), of)


def with_lengths(source: Source, lengths: Sequence[int]) -> Source:
    """The source with all of its ragged features padded to `lengths`; one in memory that has some."""
    if not isinstance(source, RaggedArrays):
        return source
    features = source.features.items()
    return RaggedArrays({name: v.padded_to(lengths) if isinstance(v, Ragged) else v for name, v in features})


def notes(splits: Mapping[str, Source]) -> list[str]:
    """A sentence for each ragged feature of which examples are cut."""
    ragged = {split: source.ragged for split, source in splits.items() if isinstance(source, Measured)}
    cut = {(split, name): int((v.sizes > v.lengths[-1]).sum()) for split, found in ragged.items() for name, v in found.items()}
    return [
        f"{count:,} of {len(splits[split]):,} examples of the split {split!r} have a longer {name!r} than "
        f"{ragged[split][name].lengths[-1]} and are cut to that (dataset.lengths)."
        for (split, name), count in cut.items()
        if count
    ]


def in_memory(features: Mapping[str, np.ndarray | Ragged]) -> Arrays:
    """A source of these features, ragged or not."""
    if any(isinstance(values, Ragged) for values in features.values()):
        return RaggedArrays(features)
    return Arrays({name: values for name, values in features.items() if not isinstance(values, Ragged)})
