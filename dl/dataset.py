"""What a dataset is to the rest of the project: features of known kinds, and named splits of random-access examples."""

import enum
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from dl.vocabulary import Vocabulary

CHUNK = 1024  # examples that are read at a time


class Kind(enum.Enum):
    """What a feature is. How it is read, resized, cropped, augmented and standardised follows from this alone.

    Boxes and points are fractions of the image's height and width, as in TFDS: 0 is its upper or left rim, 1 the lower or right
    one. A box without area is no box, and a point outside 0..1 is no point.
    """

    IMAGE = "image"  # [H, W, C], uint8 (0..255 stand for 0..1) or float32
    LABEL_MAP = "label map"  # [H, W] whole numbers, the class of each pixel, or `Feature.void`
    BOXES = "boxes"  # [N, 4] float32: ymin, xmin, ymax, xmax
    POINTS = "points"  # [N, 2] float32: y, x
    TOKENS = "tokens"  # [...] whole numbers, symbols of `Feature.vocabulary`
    FRAMES = "frames"  # [T, D] float32: audio, or another sequence of vectors
    CLASS = "class"  # [...] whole numbers below `Feature.num_classes`
    NUMBER = "number"  # [...] any other numbers, which nothing changes


class Feature(NamedTuple):
    """What is known of one feature before any data is seen.

    kind: see `Kind`.
    shape: shape of one example, after resizing and padding. None is an axis whose length differs between examples: the
        feature is ragged, and a batch has it padded, beside its length `NAME_length` (`dl.data.ragged`).
    vocabulary: symbols of tokens.
    num_classes: number of classes of a class or a label map; 0 where it is not known.
    class_names: as many as classes, or empty.
    image: the image with which this feature is resized and augmented: that on which a label map, boxes or points lie (`image`,
        where none is named), or another one that an image must stay aligned with (itself, where none is named).
    void: the class that a label map has outside of its image.
    rate: of frames, how many there are a second; 0 where it is not known.
    """

    kind: Kind
    shape: tuple[int | None, ...] = ()
    vocabulary: Vocabulary | None = None
    num_classes: int = 0
    class_names: tuple[str, ...] = ()
    image: str = ""
    void: int = 255
    rate: float = 0.0

    @property
    def ragged(self) -> bool:
        """Whether the first axis differs between examples; images and label maps of several sizes are brought to one."""
        return self.kind not in (Kind.IMAGE, Kind.LABEL_MAP) and None in self.shape[:1]


Features = Mapping[str, Feature]
ONE_IMAGE: Features = MappingProxyType({"image": Feature(Kind.IMAGE, (None, None, None))})
ON_IMAGES = (Kind.IMAGE, Kind.LABEL_MAP, Kind.BOXES, Kind.POINTS)


def together(features: Features) -> dict[str, list[str]]:
    """Image that moves by itself -> all that moves with it, itself first.

    The image called `image` comes first, the others by name, so that the draws of each do not depend on how they are listed.
    """
    leaders = [name for name, feature in features.items() if feature.kind is Kind.IMAGE and feature.image in ("", name)]
    groups = {leader: [leader] for leader in sorted(leaders, key=lambda name: (name != "image", name))}
    for name, feature in features.items():
        on = feature.image or "image"
        if name not in groups and on in groups and feature.kind in ON_IMAGES:
            groups[on].append(name)
    return groups


class Info(NamedTuple):
    """What a task may know of its data before it sees any: a plain description, without files behind it.

    The properties are those of the features that the field calls so: the examples' one label, and all shapes.
    """

    name: str
    features: Features

    @property
    def shapes(self) -> dict[str, tuple[Any, ...]]:
        """Feature -> shape of one example."""
        return {name: feature.shape for name, feature in self.features.items()}

    @property
    def num_classes(self) -> int:
        """Of the feature `label`; 0 where there are no labels."""
        return self.features["label"].num_classes if "label" in self.features else 0

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of the feature `label`; as many as classes, or empty."""
        return self.features["label"].class_names if "label" in self.features else ()

    def changed(self, name: str, **changes: Any) -> "Info":
        """The same with other fields of the feature `name`."""
        return self._replace(features={**self.features, name: self.features[name]._replace(**changes)})


def labelled_images(name: str, shape: tuple[int, ...], num_classes: int, class_names: tuple[str, ...] = ()) -> Info:
    """The description of images [H, W, C] with one label each, the features `image` and `label`."""
    label = Feature(Kind.CLASS, (), num_classes=num_classes, class_names=class_names)
    return Info(name, {"image": Feature(Kind.IMAGE, shape), "label": label})


class Resources(NamedTuple):
    """What a task is built from besides its configuration.

    info: description of the data, as batches of plain examples have them.
    first: so many -> the first examples of the training split, prepared as for evaluation, on the host; for initial values that
        are computed from data. None where no split is called `train`.
    manual_dir: the folder of archives, if one was given, for a task that reads files of its own.
    column: name -> a small feature of all training examples [N, ...], as `column_of` gives it; for a task that standardises a
        target. None where no split is called `train`.
    """

    info: Info
    first: Callable[[int], Mapping[str, np.ndarray]] | None = None
    manual_dir: str | None = None
    column: Callable[[str], np.ndarray | None] | None = None


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
    """A source of image files, of which `dl.data.cropping` decodes no more of `image` than it needs. `channels` are 1 or 3."""

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
