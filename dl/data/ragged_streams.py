"""Ragged features of what does not fit in memory: lengths are known beforehand, values are read by threads or workers.

A source that is read as needed pads its ragged features itself, to the longest there is, and says by `column("NAME_length")`
how much of each example counts. Here they are brought to the length of a batch, where they are read: padding that the batch
does not have is not handed over.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from dl.data.streaming import Readers, Streamed, stacked
from dl.data.workers import read_examples
from dl.dataset import Drawn, Info, Source, column_of, stored_of

Lengths = Mapping[str, int]  # ragged feature -> the length that it is padded to


class Extent(NamedTuple):
    """What is known of a ragged feature of N examples without its values, as `dl.data.ragged.Ragged` has it.

    sizes: int64 [N], how long each example is.
    lengths: to which examples may be padded, ascending; longer examples are cut to the last.
    """

    sizes: np.ndarray
    lengths: tuple[int, ...]


class AtLength:
    """A source whose ragged features are padded, or cut, to a length each."""

    resident = False

    def __init__(self, source: Source, length: Lengths):
        self.source, self.length = source, dict(length)

    def __len__(self) -> int:
        return len(self.source)

    def gather(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        return stacked(self.example(index) for index in indices.tolist())

    def draw(self, indices: np.ndarray, numbers: np.ndarray) -> dict[str, np.ndarray]:
        return stacked(self.example(index, row) for index, row in zip(indices.tolist(), numbers, strict=True))

    def column(self, name: str) -> np.ndarray | None:
        return column_of(self.source, name)

    def stored(self, indices: np.ndarray) -> list[bytes]:
        return stored_of(self.source, indices)

    def example(self, index: int, numbers: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """One example, a random view of it where there are numbers and the source has such views."""
        drawn = numbers[None] if numbers is not None and isinstance(self.source, Drawn) else None
        example = dict(next(read_examples(self.source, [index], drawn)))
        for name, length in self.length.items():
            values, count = np.asarray(example[name])[:length], f"{name}_length"
            padded = np.zeros((length, *values.shape[1:]), values.dtype)
            padded[: len(values)] = values
            example |= {name: padded, count: np.minimum(example[count], np.int32(length))}
        return example


class RaggedStream(Streamed):
    """A source that is read by `Readers`, some of whose features are ragged.

    Args:
        source: pads ragged features itself, and knows how long they are by `column`.
        readers: read it.
        lengths: ragged feature -> the lengths that it is padded to; none given: that of the longest example.
    """

    def __init__(self, source: Source, readers: Readers, lengths: Mapping[str, Sequence[int]]):
        self.ragged: dict[str, Extent] = {}
        for name, given in lengths.items():
            sizes = column_of(source, f"{name}_length")
            assert sizes is not None, f"the source does not know how long {name!r} is"
            self.ragged[name] = Extent(sizes.astype(np.int64), tuple(given) or (max(int(sizes.max(initial=0)), 1),))
        self.whole = source
        self._at: dict[tuple[tuple[str, int], ...], Streamed] = {}
        super().__init__(AtLength(source, {name: extent.lengths[-1] for name, extent in self.ragged.items()}), readers)

    def gather(self, indices: np.ndarray, length: Lengths | None = None) -> dict[str, np.ndarray]:
        """The examples; a ragged feature is padded to its `length`, where one is given, or else to its longest."""
        return self.at(length).gather(indices) if length else super().gather(indices)

    def column(self, name: str) -> np.ndarray | None:
        if name.removesuffix("_length") in self.ragged:
            return None
        return column_of(self.whole, name)

    def at(self, length: Lengths) -> Streamed:
        """The same examples padded to these lengths. It is made once for each, so that workers receive the source once."""
        key = tuple(sorted(length.items()))
        if key not in self._at:
            full = {name: extent.lengths[-1] for name, extent in self.ragged.items()}
            self._at[key] = Streamed(AtLength(self.whole, {**full, **length}), self.readers)
        return self._at[key]

    def stream_at(self, batches: Iterable[tuple[np.ndarray, Lengths]]) -> Iterator[dict[str, np.ndarray]]:
        """The examples of each batch (indices [N], its lengths), read ahead as far as lengths stay the same."""
        for _, group in groupby(batches, lambda batch: tuple(sorted(batch[1].items()))):
            part = list(group)
            yield from self.at(part[0][1]).stream([indices for indices, _ in part])


def read_by(source: Source, readers: Readers, info: Info, lengths: Mapping[str, Sequence[int]] | Sequence[int]) -> Streamed:
    """A source that is not in memory, with its readers.

    Args:
        source: its examples.
        readers: read it.
        info: says what is ragged.
        lengths: `dataset.lengths`: ragged feature -> the lengths that it is padded to, or those of all.
    """
    names = [name for name, feature in info.features.items() if feature.ragged]
    if not names:
        return Streamed(source, readers)
    given = {name: lengths.get(name, ()) for name in names} if isinstance(lengths, Mapping) else dict.fromkeys(names, lengths)
    return RaggedStream(source, readers, given)
