"""What a dataset is to the rest of the project: named splits of random-access examples."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

CHUNK = 1024  # examples that are read at a time


class Info(NamedTuple):
    """What a task may know of its data before it sees any.

    shapes: feature -> shape of one example, after resizing and padding (an image is H, W, C).
    num_classes: 0 where there are no labels.
    class_names: as many as classes, or empty; of a text, its symbols.
    words: whether the symbols of a text are words (or characters); None where that is not known, or the data no text.
    manual_dir: the folder of archives, if one was given, for a task that reads files of its own.
    first: so many -> the first examples of the training split, prepared as for evaluation, on the host; for initial values that
        are computed from data.
    """

    name: str
    shapes: Mapping[str, tuple[int, ...]]
    num_classes: int = 0
    class_names: tuple[str, ...] = ()
    manual_dir: str | None = None
    first: Callable[[int], Mapping[str, np.ndarray]] | None = None
    words: bool | None = None


@runtime_checkable
class Source(Protocol):
    """Random access to the examples of one split.

    `resident` says whether `gather` is a cheap gather from memory; where it is False, examples are read and decoded one by one
    and `dl.data.streaming` reads ahead.
    """

    resident: bool

    def __len__(self) -> int: ...

    def gather(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """The examples at `indices` [N], stacked: feature -> [N, ...]. Images are uint8 [N, H, W, C], labels int32 [N]."""
        ...


@runtime_checkable
class Drawn(Source, Protocol):
    """A source that is not resident and whose training examples are random views: `dl.data.cropping`."""

    def draw(self, indices: np.ndarray, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """As `gather`; `numbers` are uniform uint64 [N, ...] of each example, which decide about its view."""
        ...


@runtime_checkable
class Columns(Source, Protocol):
    """A source that knows its small features, such as `label`, without reading the images."""

    def column(self, name: str) -> np.ndarray | None:
        """The feature `name` of all examples [N, ...], as `gather` gives it; None where there is none."""
        ...


@runtime_checkable
class Stored(Source, Protocol):
    """A source that knows the bytes that its examples are made of, for `dl.data.fingerprint`."""

    def stored(self, indices: np.ndarray) -> Iterable[bytes]:
        """The examples at `indices` as they are stored, names of files first, nothing decoded."""
        ...


class Encoded(Source, Protocol):
    """A source of image files, of which `dl.data.cropping` decodes no more than it needs. `channels` are 1 or 3."""

    channels: int

    def encoded(self, index: int) -> tuple[bytes, object]:
        """An image's file, and what an error calls it."""
        ...

    def rest(self, index: int) -> dict[str, np.ndarray]:
        """The example's features besides `image`."""
        ...


class Arrays:
    """A source in memory: feature -> array [N, ...]."""

    resident = True

    def __init__(self, features: Mapping[str, np.ndarray]):
        self.features = dict(features)

    def __len__(self) -> int:
        return len(next(iter(self.features.values())))

    def gather(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        return {name: values[indices] for name, values in self.features.items()}

    def column(self, name: str) -> np.ndarray | None:
        return self.features.get(name)


def column_of(source: Source, name: str) -> np.ndarray | None:
    """One small feature of all examples [N, ...], such as `label`; None where there is none.

    Of a source that does not know its columns, all examples are read.
    """
    if isinstance(source, Columns):
        return source.column(name)
    parts = [source.gather(np.arange(i, min(i + CHUNK, len(source)))) for i in range(0, len(source), CHUNK)]
    return np.concatenate([part[name] for part in parts]) if name in parts[0] else None


def stored_of(source: Source, indices: np.ndarray) -> list[bytes]:
    """What the examples at `indices` are made of; of a source that does not know it, their features."""
    if isinstance(source, Stored):
        return list(source.stored(indices))
    features = source.gather(indices)
    return [b"".join(name.encode() + features[name][i].tobytes() for name in sorted(features)) for i in range(len(indices))]


class Dataset(NamedTuple):
    """A dataset: what is known of it, and its splits by name (`train`, `validation`, `test`, or others)."""

    info: Info
    splits: Mapping[str, Source]
