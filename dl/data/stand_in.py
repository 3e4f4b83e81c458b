"""What is known of a published dataset without its files: enough to say what an experiment on it is made of, not to train."""

from collections.abc import Mapping, Sequence

import numpy as np

from dl.data.ragged import Ragged, in_memory
from dl.dataset import Dataset, Info, Kind, Source, labelled_images

DTYPES = {Kind.LABEL_MAP: np.uint8, Kind.BOXES: np.float32, Kind.POINTS: np.float32, Kind.FRAMES: np.float32}


class StandIn:
    """A split of black images; its other features are given. It lies in no memory, whatever its size.

    Args:
        shape: shape of an image, (height, width, channels).
        count: number of examples.
        features: name -> small arrays [count, ...], such as `label`, or broadcast ones; or what is ragged, such as boxes.
    """

    resident = False

    def __init__(self, shape: tuple[int, ...], count: int, features: Mapping[str, np.ndarray | Ragged] | None = None):
        self.shape, self.count, self.features = shape, count, dict(features or {})
        if "label" in self.features:
            self.labels = self.features["label"]

    def __len__(self) -> int:
        return self.count

    def gather(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        images = np.broadcast_to(np.zeros((), np.uint8), (len(indices), *self.shape))
        return {"image": images, **(in_memory(self.features).gather(indices) if self.features else {})}

    def column(self, name: str) -> np.ndarray | None:
        values = self.features.get(name.removesuffix("_length"))
        if isinstance(values, Ragged):
            return values.sizes if name.endswith("_length") else None
        return self.features.get(name)  # type: ignore[return-value]  # the ragged ones have gone


def labelled(name: str, shape: tuple[int, ...], counts: Mapping[str, int], classes: int | Sequence[str]) -> Dataset:
    """A dataset of labelled images: split -> how many examples, and the classes' names or their number."""
    names = () if isinstance(classes, int) else tuple(classes)
    number = classes if isinstance(classes, int) else len(names)
    splits = {
        split: StandIn(shape, count, {"label": np.arange(count, dtype=np.int32) % number}) for split, count in counts.items()
    }
    return Dataset(labelled_images(name, shape, number, names), splits)


def annotated(
    info: Info, shape: tuple[int, int, int], counts: Mapping[str, int], longest: Mapping[str, int] | None = None
) -> Dataset:
    """A dataset of images with what lies on them, all of one shape.

    Args:
        info: what the features are; those of images and label maps get their shape here.
        shape: of an image, (height, width, channels).
        counts: split -> how many examples.
        longest: split -> how many objects an image has at most, of what is ragged.
    """
    splits: dict[str, Source] = {}
    for split, count in counts.items():
        features: dict[str, np.ndarray | Ragged] = {}
        for name, feature in info.features.items():
            value = np.zeros((), DTYPES.get(feature.kind, np.int32))
            if feature.ragged:
                sizes = np.full(count, (longest or {})[split])
                values = np.broadcast_to(value, (int(sizes.sum()), *(n or 1 for n in feature.shape[1:])))
                features[name] = Ragged(values, np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))
            elif feature.kind is Kind.LABEL_MAP:
                features[name] = np.broadcast_to(value, (count, *shape[:2]))
        splits[split] = StandIn(shape, count, features)
    for name, feature in info.features.items():
        if feature.kind in (Kind.IMAGE, Kind.LABEL_MAP):
            info = info.changed(name, shape=shape if feature.kind is Kind.IMAGE else shape[:2])
    return Dataset(info, splits)
