"""A folder of one's own images, one sub-folder a class."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from dl.data.decoding import MODES, contents, decoded, shape_of
from dl.data.resizing import check_size, fit_images
from dl.data.streaming import Readers, Streamed, stacked
from dl.dataset import Arrays, Dataset, Source, labelled_images
from dl.errors import UserError, unknown

SUFFIXES = (".jpg", ".jpeg", ".png", ".pgm", ".bmp")
SPLITS = ("train", "validation", "test")
MEMORY_LIMIT = 2 * 2**30  # bytes of decoded images; a larger folder is read as it is needed
THREADS = 8


def load_folder(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """`dataset.path`: `path/<class>/<image>`, or `path/train/<class>/<image>` with `test`, perhaps `validation` beside `train`.

    Images are JPEG, PNG, PGM or BMP of up to 50 million pixels, found at any depth below their class, made grey
    (`dataset.channels=1`) or RGB (3, the default), and brought to `dataset.size`, which must be set where they differ in size.
    Class names are the sorted names of the sub-folders (of `train`, where there is one).

    Without `path/train`, SHA-256 of `class/file` (the path below `path`, with slashes) decides: its first 8 bytes as a
    fraction of 2**64, in percent, are below `dataset.holdout` (default 10) for `test`, below twice that for `validation`, the
    rest is `train`. So an image stays where it is when others come or go. With `dataset.split_by="class"` (default "image") all
    images of a class, a person, say, are in one split: the first `holdout` percent of the classes, in the order of the hashes
    of their names, are `test`, the next as many `validation`; and splits that are folders need not have the same classes.

    Images that take more than `dataset.memory_limit` bytes decoded (default 2 GiB) are read as they are needed, and so are all
    with `dataset.fit="crop"` (`dl.data.cropping`), which may be of any sizes.

    Raises:
        UserError: no such folder, no images, one class, a class of `test` that `train` lacks, an undecodable file, images of
            several sizes.
    """
    root, channels, by = _checked(settings)
    fit = settings.get("fit", "pad")
    size = check_size(settings.get("size", (0, 0)), fit)
    listed, classes = _listed(root, settings.get("holdout", 10.0), by == "class")
    paths = [path for files in listed.values() for path, _ in files]
    if size == (0, 0) or fit != "crop":  # cropped datasets are too large for a look at every file
        shapes = _header_sizes(paths)
    if size == (0, 0):
        _check_one_size(paths, shapes)
    shape = (*(size if any(size) else shapes[0]), channels)
    given = (0, 0) if fit == "crop" else size  # `dl.data.load` crops the images as they are
    splits: dict[str, Source] = {
        split: Files([path for path, _ in files], [label for _, label in files], channels, given, fit)
        for split, files in listed.items()
    }
    if fit != "crop" and len(paths) * int(np.prod(shape)) <= settings.get("memory_limit", MEMORY_LIMIT):
        readers = Readers()
        splits = {split: Arrays(Streamed(source, readers).gather(np.arange(len(source)))) for split, source in splits.items()}
    names = tuple(os.fsencode(name).decode("utf-8", "backslashreplace") for name in classes)  # that can be printed
    return Dataset(labelled_images("folder", shape, len(classes), names), splits)


def _checked(settings: ConfigDict) -> tuple[Path, int, str]:
    """`path`, `channels` and `split_by`."""
    if not settings.get("path", ""):
        raise UserError("the dataset 'folder' needs dataset.path, a folder with one sub-folder a class.")
    channels, by = settings.get("channels", 3), settings.get("split_by", "image")
    if channels not in MODES:
        raise UserError(f"dataset.channels {channels} must be 1 (grey) or 3 (RGB).")
    if by not in ("image", "class"):
        raise unknown("dataset.split_by", str(by), ("image", "class"))
    return Path(settings.path).expanduser(), channels, by


class Files:
    """Images that are decoded when they are asked for."""

    resident = False

    def __init__(self, paths: Sequence[Path], labels: Sequence[int], channels: int, size: tuple[int, int], fit: str):
        self.paths, self.labels = list(paths), np.array(labels, np.int32)
        self.channels, self.size, self.fit = channels, size, fit

    def __len__(self) -> int:
        return len(self.paths)

    def gather(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        return stacked(self.example(int(i)) for i in indices)

    def column(self, name: str) -> np.ndarray | None:
        return self.labels if name == "label" else None

    def stored(self, indices: np.ndarray) -> list[bytes]:
        chosen = [(self.paths[int(i)], self.labels[int(i)]) for i in indices]
        return [os.fsencode("/".join(path.parts[-2:])) + b" %d " % label + path.read_bytes() for path, label in chosen]

    def example(self, index: int) -> dict[str, np.ndarray]:
        image = fit_images(decode(self.paths[index], self.channels), self.size, self.fit)
        return {"image": image, **self.rest(index)}

    def encoded(self, index: int) -> tuple[bytes, Path]:
        return contents(self.paths[index]), self.paths[index]

    def rest(self, index: int) -> dict[str, np.ndarray]:
        return {"label": self.labels[index, ...]}


def decode(path: Path, channels: int) -> np.ndarray:
    """The image at `path`, uint8 [H, W, channels], upright by its EXIF; 16-bit greys scaled, transparency over white.

    Raises:
        UserError: it can't be read or decoded.
    """
    return decoded(contents(path), channels, path)


def holdout_split(name: str, percent: float) -> str:
    """Which split the image `class/file` belongs to: `percent` of the images are held out for test, as many for validation."""
    number = _hashed(name) / 2**64 * 100
    return "test" if number < percent else "validation" if number < 2 * percent else "train"


def class_splits(classes: Sequence[str], percent: float) -> list[str]:
    """The split of each class: in the order of their hashes, `percent` of them (rounded) are for test, as many for validation.

    Of few classes a bound on the hash, as images have it, may leave next to none.
    """
    held = round(len(classes) * percent / 100)
    ordered = sorted(classes, key=_hashed)
    held_out = dict.fromkeys(ordered[:held], "test") | dict.fromkeys(ordered[held : 2 * held], "validation")
    return [held_out.get(name, "train") for name in classes]


def _hashed(name: str) -> int:
    return int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:8], "big")


def _listed(root: Path, holdout: float, by_class: bool) -> tuple[dict[str, list[tuple[Path, int]]], list[str]]:
    """Split -> its (path, label)s, sorted by path; and the class names."""
    if not root.is_dir():
        raise UserError(f"dataset.path: there is no folder {root}.")
    if not 0 < 2 * holdout < 100:
        raise UserError(f"dataset.holdout {holdout} must be a percentage between 0 and 50.")
    stated = {split: root / split for split in SPLITS if (root / "train").is_dir() and (root / split).is_dir()}
    base = stated.get("train", root)
    folders = stated.values() if by_class and stated else [base]
    classes = sorted(
        {entry.name for f in folders for entry in f.iterdir() if entry.is_dir() and not entry.name.startswith(".")}
    )
    if len(classes) < 2:
        found = f"one class ({classes[0]})" if classes else "no sub-folders"
        raise UserError(f"{base} has {found}; make one sub-folder of images for each of at least two classes.")
    out: dict[str, list[tuple[Path, int]]] = {split: [] for split in stated or SPLITS}
    of_class = class_splits(classes, holdout)
    for split, folder in (stated or {"": root}).items():
        for path in _images(folder, classes):
            relative = path.relative_to(folder)
            label = classes.index(relative.parts[0])
            by_hash = of_class[label] if by_class else holdout_split(relative.as_posix(), holdout)
            out[split or by_hash].append((path, label))
    if not any(out.values()):
        raise UserError(f"{base} has no images ({', '.join(SUFFIXES)}) in its sub-folders.")
    _check_classes(base, out, classes)
    return {split: files for split, files in out.items() if files}, classes


def _images(folder: Path, classes: Sequence[str]) -> list[Path]:
    strange = sorted({e.name for e in folder.iterdir() if e.is_dir() and not e.name.startswith(".")} - set(classes))
    if strange:
        raise UserError(f"{folder / strange[0]} is a class that the training folder lacks. Classes: {', '.join(classes)}.")
    found = (path for name in classes for path in (folder / name).rglob("*") if path.suffix.lower() in SUFFIXES)
    return sorted(path for path in found if path.is_file() and not path.name.startswith("."))


def _check_classes(base: Path, listed: Mapping[str, list[tuple[Path, int]]], classes: Sequence[str]) -> None:
    used = {label for files in listed.values() for _, label in files}
    empty = [name for label, name in enumerate(classes) if label not in used]
    if empty:
        raise UserError(f"{base / empty[0]} has no images ({', '.join(SUFFIXES)}); remove the folder or fill it.")


def _header_sizes(paths: Sequence[Path]) -> list[tuple[int, int]]:
    """Height and width of every image, from the headers alone."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(shape_of, paths))


def _check_one_size(paths: Sequence[Path], sizes: Sequence[tuple[int, int]]) -> None:
    for path, size in zip(paths, sizes, strict=True):
        if size != sizes[0]:
            raise UserError(
                f"images differ in size: {paths[0]} is {sizes[0]}, {path} is {size} (height, width); "
                "set dataset.size=(H,W) and dataset.fit."
            )


PUBLIC = {"folder": load_folder}
SETTINGS = {"folder": {"split_by": "image", "memory_limit": MEMORY_LIMIT}}
