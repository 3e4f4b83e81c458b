"""Images with what lies on them: the source that sets of label maps and of boxes share, whether files or archives hold them."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from ml_collections import ConfigDict

from dl.data.checks import check_map
from dl.data.decoding import MODES, contents, decoded, opened, undecodable, upright
from dl.data.ragged import Ragged, in_memory
from dl.data.resizing import Change, check_size, fitting
from dl.data.streaming import Readers, Streamed, stacked
from dl.dataset import Dataset, Feature, Info, Kind, Source
from dl.errors import UserError

MEMORY_LIMIT = 2 * 2**30  # bytes of decoded examples; a larger set is read as it is needed

Encoding = tuple[bytes, object]  # of an image, and what an error calls it


class Paths(Sequence[Encoding]):
    """Image files, read when they are asked for."""

    def __init__(self, paths: Sequence[Path]):
        self.paths = list(paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Any) -> Any:
        return contents(self.paths[index]), self.paths[index]


class Split(NamedTuple):
    """The examples of one split, nothing decoded.

    images: their files. maps: name of a label map -> its files. small: other features, [N, ...] or ragged. shapes: height and
    width of each image, upright.
    """

    images: Sequence[Encoding]
    shapes: Sequence[tuple[int, int]]
    maps: Mapping[str, Sequence[Encoding]] = {}
    small: Mapping[str, np.ndarray | Ragged] = {}


class Annotated:
    """Examples that are decoded when they are asked for. Ragged features are padded to the longest of the split.

    Args:
        split: what there is.
        features: says what they are.
        channels: of the images, 1 or 3.
        change: of each example, such as to a common size.
    """

    resident = False

    def __init__(self, split: Split, features: Mapping[str, Feature], channels: int, change: Change | None = None):
        self.split, self.features, self.channels, self.change = split, dict(features), channels, change
        self.small = in_memory(split.small)

    def __len__(self) -> int:
        return len(self.split.images)

    def gather(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        return stacked(self.example(index) for index in np.asarray(indices).tolist())

    def column(self, name: str) -> np.ndarray | None:
        values = self.split.small.get(name.removesuffix("_length"))
        if isinstance(values, Ragged):
            return values.sizes if name.endswith("_length") else None
        return self.small.column(name)

    def stored(self, indices: np.ndarray) -> list[bytes]:
        found = []
        for index in np.asarray(indices).tolist():
            files = [self.split.images[index], *(files[index] for files in self.split.maps.values())]
            small = self.small.gather(np.array([index])) if self.split.small else {}
            names = [Path(str(name)).name.encode("utf-8", "surrogateescape") for _, name in files]
            found.append(b"\0".join([*names, *(content for content, _ in files), *(small[k].tobytes() for k in sorted(small))]))
        return found

    def example(self, index: int) -> dict[str, np.ndarray]:
        content, name = self.encoded(index)
        example = {"image": decoded(content, self.channels, name), **self.rest(index)}
        return self.change(example, self.features) if self.change else example

    def encoded(self, index: int) -> Encoding:
        return self.split.images[index]

    def rest(self, index: int) -> dict[str, np.ndarray]:
        small = self.small.gather(np.array([index])) if self.split.small else {}
        maps = {name: label_map(*files[index], self.features[name]) for name, files in self.split.maps.items()}
        return {**{name: np.asarray(values[0]) for name, values in small.items()}, **maps}


def label_map(content: bytes, name: object, feature: Feature) -> np.ndarray:
    """The label map uint8 or int32 [H, W] in an image file of one channel; of a palette, the numbers of the colours.

    Raises:
        UserError: it can't be decoded, has colours, or a class that there is not.
    """
    image = opened(BytesIO(content), name)
    with undecodable(name):
        image = upright(image)
        if image.mode not in ("L", "P", "1") and not image.mode.startswith("I"):
            raise UserError(
                f"{name} is no label map: it has {len(image.getbands())} channels ({image.mode}), where one number a pixel "
                "should say the class."
            )
        values = np.asarray(image)
    return check_map(feature, values.astype(np.int32 if values.dtype.itemsize > 1 else np.uint8), name)


def check_channels(settings: ConfigDict) -> int:
    """`dataset.channels`, 1 or 3.

    Raises:
        UserError: it is another number.
    """
    channels = settings.get("channels", 3)
    if channels not in MODES:
        raise UserError(f"dataset.channels {channels} must be 1 (grey) or 3 (RGB).")
    return int(channels)


def dataset_of(name: str, splits: Mapping[str, Split], features: Mapping[str, Feature], settings: ConfigDict) -> Dataset:
    """A dataset of these splits, in memory where it takes no more than `dataset.memory_limit`, else read as it is needed.

    Args:
        name: of the dataset.
        splits: those that are wanted.
        features: all of them; `image` and label maps get their shapes here.
        settings: the section `dataset`: `channels`, `size`, `fit`, `memory_limit`.

    Raises:
        UserError: images of several sizes and no `dataset.size`; whatever is wrong with an example that is read.
    """
    channels, fit = check_channels(settings), settings.get("fit", "pad")
    size = check_size(settings.get("size", (0, 0)), fit)
    shapes = [(shape, split.images, i) for split in splits.values() for i, shape in enumerate(split.shapes)]
    if not any(size):
        other = next((found for found in shapes if found[0] != shapes[0][0]), None)
        if other:
            said = [f"{images[i][1]} is {shape}" for shape, images, i in (shapes[0], other)]
            raise UserError(
                f"images differ in size: {', '.join(said)} (height, width); set dataset.size=(H,W) and dataset.fit."
            )
    one = size if any(size) else shapes[0][0]
    pictures = {
        n: f._replace(shape=(*one, *f.shape[2:])) for n, f in features.items() if f.kind in (Kind.IMAGE, Kind.LABEL_MAP)
    }
    info = Info(name, {**features, **pictures})
    change = fitting(size, fit) if any(size) and fit != "crop" else None  # `dl.data.load` crops the images as they are
    sources: dict[str, Source] = {s: Annotated(split, info.features, channels, change) for s, split in splits.items()}
    each = sum(int(np.prod(cast(Any, feature.shape))) for feature in pictures.values())
    if fit != "crop" and len(shapes) * each <= settings.get("memory_limit", MEMORY_LIMIT):
        readers = Readers()
        sources = {split: _resident(source, info, readers) for split, source in sources.items()}
    return Dataset(info, sources)


def _resident(source: Source, info: Info, readers: Readers) -> Source:
    read: dict[str, Any] = Streamed(source, readers).gather(np.arange(len(source)))
    for name in (name for name, feature in info.features.items() if feature.ragged):
        sizes, padded = read.pop(f"{name}_length"), read[name]
        counted = np.arange(padded.shape[1]) < sizes[:, None]
        read[name] = Ragged(padded[counted], np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))
    return in_memory(read)
