"""A subset of CIFAR-10 (Krizhevsky 2009) that can be learned on two cores: 2,000 and 1,000 of its images as PNGs in a zip."""

import zipfile
from functools import partial
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from dl.data.decoding import decoded
from dl.data.slicing import names_in
from dl.data.sources.archives import Archive, folder_of, how_to_get, opened, tfds_order, verified
from dl.data.sources.unpacking import zip_member
from dl.data.stand_in import labelled
from dl.dataset import Arrays, Dataset, labelled_images
from dl.errors import UserError

IMAGE_LIMIT = 1 << 20  # bytes of a PNG
ARCHIVE = Archive("cifar10_2000train_1000test_png.zip", "ab894b439ee052f81be808c40367c3403c1c0715850414f2b6c56063bac3c437")
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SPLITS = ("train", "test")


def load_cifar10_subset(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """Images uint8 [32, 32, 3], 10 classes of CIFAR-10's order, as many of each: `train` (2,000) and `test` (1,000).

    The zip's members are `split/class/name.png`. Their order is that of a hash of their names, as TFDS has it, so that a slice
    holds all classes. TFDS has no builder of it, so it is read from `manual_dir/cifar10_subset` (or `manual_dir`) alone.

    Raises:
        UserError: no `manual_dir`, or the file is missing or corrupt.
    """
    if not manual_dir:
        raise UserError(f"the dataset 'cifar10_subset' is read from its archive. {how_to_get('cifar10_subset', [ARCHIVE])}")
    wanted = names_in(list(settings.splits.values()), SPLITS)
    folder = folder_of("cifar10_subset", manual_dir, [ARCHIVE.name])
    path = verified(folder, [ARCHIVE], "cifar10_subset")[ARCHIVE.name]
    splits = {split: Arrays(opened(path, partial(parse, split=split))) for split in wanted}
    return Dataset(labelled_images("cifar10_subset", (32, 32, 3), len(CLASSES), CLASSES), splits)


def parse(path: Path, split: str) -> dict[str, np.ndarray]:
    """The images of one split and their labels."""
    with zipfile.ZipFile(path) as file:
        names = sorted(name for name in file.namelist() if name.startswith(f"{split}/") and name.endswith(".png"))
        names = [names[i] for i in tfds_order(split, names)]
        images = np.stack([decoded(zip_member(file, name, IMAGE_LIMIT), 3, f"{path}: {name}") for name in names])
    return {"image": images, "label": np.array([CLASSES.index(name.split("/")[1]) for name in names], np.int32)}


PUBLIC = {"cifar10_subset": load_cifar10_subset}
KNOWN = {"cifar10_subset": lambda settings: labelled("cifar10_subset", (32, 32, 3), {"train": 2_000, "test": 1_000}, CLASSES)}
