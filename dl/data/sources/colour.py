"""Small colour images, uint8 [32, 32, 3]: CIFAR-10 and CIFAR-100 (Krizhevsky 2009), cropped SVHN (Netzer et al. 2011)."""

import string
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from dl.data.sources.archives import Parsed, opened
from dl.data.sources.known import Known, load_known
from dl.data.sources.unpacking import read_tar_gz
from dl.data.stand_in import labelled
from dl.dataset import Dataset

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_FINE = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish forest
fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain
mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit
raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar sunflower
sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman
worm
"""
_COARSE = """
aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices household_furniture insects
large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes large_omnivores_and_herbivores medium_mammals
non-insect_invertebrates people reptiles small_mammals trees vehicles_1 vehicles_2
"""
CIFAR100, CIFAR100_COARSE = tuple(_FINE.split()), tuple(_COARSE.split())
CIFAR10_MEMBERS = {
    "train": [f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6)],
    "test": ["cifar-10-batches-bin/test_batch.bin"],
}
CIFAR100_MEMBERS = {split: [f"cifar-100-binary/{split}.bin"] for split in ("train", "test")}

MEMBER_LIMIT, LIMIT = 1 << 28, 1 << 29  # bytes; the largest member is CIFAR-100's training set of 154 million


def parse_cifar(path: Path, members: list[str], labels: tuple[str, ...]) -> Parsed:
    """The binary version: a row is one byte a label, then 3 x 32 x 32 bytes, channel by channel."""

    def read(archive: Path) -> bytes:
        return b"".join(read_tar_gz(archive, members, MEMBER_LIMIT, LIMIT).values())

    rows = opened(path, lambda archive: np.frombuffer(read(archive), np.uint8).reshape(-1, len(labels) + 3 * 32 * 32))
    pixels = rows[:, len(labels) :].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    features = {name: rows[:, column].astype(np.int32) for column, name in enumerate(labels)}
    return Parsed({"image": np.ascontiguousarray(pixels), **features}, range(len(rows)))


def parse_cifar10(paths: Mapping[str, Path], split: str) -> Parsed:
    """A split of cifar-10-binary.tar.gz."""
    return parse_cifar(paths["cifar-10-binary.tar.gz"], CIFAR10_MEMBERS[split], ("label",))


def parse_cifar100(paths: Mapping[str, Path], split: str) -> Parsed:
    """A split of cifar-100-binary.tar.gz, with the superclass as `coarse_label`."""
    return parse_cifar(paths["cifar-100-binary.tar.gz"], CIFAR100_MEMBERS[split], ("coarse_label", "label"))


def parse_svhn(paths: Mapping[str, Path], split: str) -> Parsed:
    """A split of the cropped digits (format 2): `X` [32, 32, 3, N], `y` [N, 1] where 10 is the digit 0."""
    from scipy.io import loadmat

    data = opened(paths[f"{split}_32x32.mat"], loadmat)
    images = np.ascontiguousarray(data["X"].transpose(3, 0, 1, 2))
    return Parsed({"image": images, "label": data["y"].reshape(-1).astype(np.int32) % 10}, range(len(images)))


def load_cifar10(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """Ten kinds of things: splits `train` (50,000) and `test` (10,000)."""
    files = {split: ("cifar-10-binary.tar.gz",) for split in CIFAR10_MEMBERS}
    return load_known(Known("cifar10", files, parse_cifar10, CIFAR10, {"label": CIFAR10}), settings, data_dir, manual_dir)


def load_cifar100(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """A hundred kinds of things, with 20 superclasses as `coarse_label`: splits `train` (50,000) and `test` (10,000)."""
    files = {split: ("cifar-100-binary.tar.gz",) for split in CIFAR100_MEMBERS}
    names = {"label": CIFAR100, "coarse_label": CIFAR100_COARSE}
    return load_known(Known("cifar100", files, parse_cifar100, CIFAR100, names), settings, data_dir, manual_dir)


def load_svhn(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """Digits of house numbers: splits `train` (73,257), `test` (26,032) and `extra` (531,131)."""
    files = {split: (f"{split}_32x32.mat",) for split in ("train", "test", "extra")}
    return load_known(Known("svhn_cropped", files, parse_svhn, tuple(string.digits)), settings, data_dir, manual_dir)


PUBLIC = {"cifar10": load_cifar10, "cifar100": load_cifar100, "svhn_cropped": load_svhn}
KNOWN = {  # what is known of a dataset without its files
    "cifar10": lambda settings: labelled("cifar10", (32, 32, 3), {"train": 50_000, "test": 10_000}, CIFAR10),
    "cifar100": lambda settings: labelled("cifar100", (32, 32, 3), {"train": 50_000, "test": 10_000}, CIFAR100),
    "svhn_cropped": lambda settings: labelled(
        "svhn_cropped", (32, 32, 3), {"train": 73_257, "test": 26_032, "extra": 531_131}, tuple(string.digits)
    ),
}
