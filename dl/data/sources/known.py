"""Published datasets that TFDS has a builder for, from their original archives: MNIST and its kin, CIFAR, SVHN, Omniglot.

What is read, first of: the dataset prepared in `data_dir`; the archives in `manual_dir` (prepared into `data_dir` where that is
given, so that other programs see it too, otherwise parsed straight into memory); a download, prepared into `data_dir`. All
three give the same examples in the same order, that of TFDS.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from dl.data.slicing import names_in
from dl.data.sources import builders, preparing
from dl.data.sources.archives import Archive, Parsed, folder_of, registered, tfds_order, verified
from dl.dataset import Arrays, Dataset, Feature, Info, Kind


class Known(NamedTuple):
    """A published dataset.

    name: as in TFDS, with its configuration (`emnist/balanced`).
    archives: split -> the names of the files it is read from.
    parse: (paths by name, split) -> the split.
    class_names: names of the classes of the feature `label`, for us.
    recorded: feature -> the names that TFDS's builder takes from the archives and records with the prepared dataset.
    channels: number of an image's channels, where TFDS stores a grey one as RGB; otherwise 0.
    """

    name: str
    archives: Mapping[str, Sequence[str]]
    parse: Callable[[Mapping[str, Path], str], Parsed]
    class_names: tuple[str, ...]
    recorded: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    channels: int = 0

    @property
    def base(self) -> str:
        """The name of its folder in `manual_dir`."""
        return self.name.split("/")[0]

    def feature(self, name: str, shape: tuple[int | None, ...]) -> Feature:
        """What is known of a feature: the image, a class with names, or another number."""
        names = self.class_names if name == "label" else self.recorded.get(name, ())
        if name == "image":
            return Feature(Kind.IMAGE, shape)
        return Feature(Kind.CLASS, shape, num_classes=len(names), class_names=names) if names else Feature(Kind.NUMBER, shape)

    def files(self, splits: Sequence[str]) -> list[Archive]:
        """The archives that these splits are read from, each once."""
        return [registered(self.base)[name] for name in dict.fromkeys(n for split in splits for n in self.archives[split])]


def load_known(known: Known, settings: ConfigDict, data_dir: str | None, manual_dir: str | None) -> Dataset:
    """The stock splits of a published dataset (those that `settings.splits` mention, where archives are parsed).

    Raises:
        UserError: an archive is missing or corrupt, or there is no network to download it.
    """
    everything = list(known.archives)
    if data_dir or not manual_dir:
        found = builders.prepared(known.name, data_dir)
        if found is not None:
            return _named(builders.read(found, settings, data_dir, known.channels), known)

    def prepare(paths: Mapping[str, Path] | None) -> None:
        preparing.prepare(known.name, data_dir, known.files(everything), known.parse, everything, known.recorded, paths)

    if manual_dir:
        folder = folder_of(known.base, manual_dir, [file.name for file in known.files(everything)])
        wanted = names_in(list(settings.splits.values()), everything)
        if not data_dir or any(not (folder / file.name).is_file() for file in known.files(everything)):
            paths = verified(folder, known.files(wanted), known.base)
            return parsed_dataset(known, {split: known.parse(paths, split) for split in wanted})
        paths = verified(folder, known.files(everything), known.base)
        prepare(paths)
    else:
        prepare(None)
    return _named(builders.read(builders.prepared(known.name, data_dir), settings, data_dir, known.channels), known)


def parsed_dataset(known: Known, splits: Mapping[str, Parsed]) -> Dataset:
    """A dataset in memory, each split in TFDS's order."""
    sources = {}
    for split, parsed in splits.items():
        order = tfds_order(split, parsed.keys)
        sources[split] = Arrays({feature: values[order] for feature, values in parsed.features.items()})
    shapes = {feature: values.shape[1:] for feature, values in next(iter(splits.values())).features.items()}
    return Dataset(Info(known.name, {feature: known.feature(feature, shape) for feature, shape in shapes.items()}), sources)


def _named(dataset: Dataset, known: Known) -> Dataset:
    # TFDS calls the classes of several of these datasets "0", "1", ...; we use the same names whichever way the data came.
    features = {name: known.feature(name, feature.shape) for name, feature in dataset.info.features.items()}
    return dataset._replace(info=Info(known.name, features))


def grey(images: np.ndarray) -> np.ndarray:
    """Images [N, H, W] as [N, H, W, 1]."""
    return images[..., None]
