"""MNIST (LeCun, Bottou, Bengio & Haffner 1998) and datasets of its form: Fashion-MNIST (Xiao, Rasul & Vollgraf 2017), KMNIST
(Clanuwat et al. 2018) and EMNIST (Cohen, Afshar, Tapson & van Schaik 2017). Images uint8 [28, 28, 1].
"""

import gzip
import string
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from dl.data.sources.archives import Parsed, opened, read_idx, read_idx_gz
from dl.data.sources.known import Known, grey, load_known
from dl.data.sources.unpacking import checked_member
from dl.data.stand_in import labelled
from dl.dataset import Dataset
from dl.errors import unknown

FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}
DIGITS = tuple(string.digits)
FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
KUZUSHIJI = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
MERGED = tuple(string.digits + string.ascii_uppercase + "abdefghnqrt")  # case kept only where the two look different
EMNIST = {  # variant -> class names; the letters are numbered from 1
    "balanced": MERGED,
    "byclass": tuple(string.digits + string.ascii_uppercase + string.ascii_lowercase),
    "bymerge": MERGED,
    "digits": DIGITS,
    "letters": ("(none)", *string.ascii_uppercase),
    "mnist": DIGITS,
}
EMNIST_SIZES = {  # variant -> train, test
    "balanced": (112_800, 18_800),
    "byclass": (697_932, 116_323),
    "bymerge": (697_932, 116_323),
    "digits": (240_000, 40_000),
    "letters": (88_800, 14_800),
    "mnist": (60_000, 10_000),
}


def parse_mnist(paths: Mapping[str, Path], split: str) -> Parsed:
    """A split of the four IDX files; TFDS's keys are the positions in them."""
    images, labels = (read_idx_gz(paths[name]) for name in FILES[split])
    return _parsed(images, labels)


def parse_emnist(paths: Mapping[str, Path], split: str, variant: str) -> Parsed:
    """A split of one variant in NIST's gzip.zip. Images are transposed, as NIST publishes them and TFDS stores them."""
    path = paths["gzip.zip"]

    def member(kind: str) -> np.ndarray:
        def read(archive: Path) -> np.ndarray:
            with zipfile.ZipFile(archive) as file:
                info = checked_member(file, f"gzip/emnist-{variant}-{split}-{kind}-ubyte.gz")
                with file.open(info) as packed, gzip.open(packed, "rb") as stream:
                    return read_idx(stream)

        return opened(path, read)

    return _parsed(member("images-idx3"), member("labels-idx1"))


def _parsed(images: np.ndarray, labels: np.ndarray) -> Parsed:
    return Parsed({"image": grey(images), "label": labels.astype(np.int32)}, range(len(images)))


def load_mnist(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """Handwritten digits: splits `train` (60,000) and `test` (10,000)."""
    return load_known(Known("mnist", FILES, parse_mnist, DIGITS), settings, data_dir, manual_dir)


def load_fashion_mnist(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """Articles of clothing: splits `train` (60,000) and `test` (10,000)."""
    return load_known(Known("fashion_mnist", FILES, parse_mnist, FASHION), settings, data_dir, manual_dir)


def load_kmnist(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """Cursive Japanese characters: splits `train` (60,000) and `test` (10,000)."""
    return load_known(Known("kmnist", FILES, parse_mnist, KUZUSHIJI), settings, data_dir, manual_dir)


def load_emnist(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """Handwritten characters: `dataset.name=emnist/VARIANT` or `dataset.variant` (default balanced); splits `train`, `test`.

    Sizes: `EMNIST_SIZES`.
    """
    variant = _variant(settings)
    files = {split: ("gzip.zip",) for split in ("train", "test")}

    def parse(paths: Mapping[str, Path], split: str) -> Parsed:
        return parse_emnist(paths, split, variant)

    return load_known(Known(f"emnist/{variant}", files, parse, EMNIST[variant]), settings, data_dir, manual_dir)


def _variant(settings: ConfigDict) -> str:
    variant = settings.name.partition("/")[2] or settings.get("variant") or "balanced"
    if variant not in EMNIST:
        raise unknown("variant of emnist", variant, EMNIST)
    return variant


PUBLIC = {"mnist": load_mnist, "fashion_mnist": load_fashion_mnist, "kmnist": load_kmnist, "emnist": load_emnist}


def _known(name: str, classes: tuple[str, ...], train: int = 60_000, test: int = 10_000) -> Dataset:
    return labelled(name, (28, 28, 1), {"train": train, "test": test}, classes)


def _known_emnist(settings: ConfigDict) -> Dataset:
    variant = _variant(settings)
    return _known(f"emnist/{variant}", EMNIST[variant], *EMNIST_SIZES[variant])


KNOWN = {  # what is known of a dataset without its files
    "mnist": lambda settings: _known("mnist", DIGITS),
    "fashion_mnist": lambda settings: _known("fashion_mnist", FASHION),
    "kmnist": lambda settings: _known("kmnist", KUZUSHIJI),
    "emnist": _known_emnist,
}
