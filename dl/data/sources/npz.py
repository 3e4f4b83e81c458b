"""Arrays of one's own in an .npz file."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from dl.data.checks import MOST_CLASSES, check_memory
from dl.data.sources.archives import reason
from dl.data.sources.npz_file import Member, members, pieces, read
from dl.dataset import Arrays, Dataset, labelled_images
from dl.errors import UserError

KEYS = {"x_train": ("train", "image"), "y_train": ("train", "label"), "x_test": ("test", "image"), "y_test": ("test", "label")}
KEYS |= {"x_validation": ("validation", "image"), "y_validation": ("validation", "label")}
KEYS |= {"x_val": ("validation", "image"), "y_val": ("validation", "label")}


WANTED = frozenset({*KEYS, "image", "label", "class_names"})
INT32 = np.iinfo(np.int32)


def load_npz(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """`dataset.path`: an .npz of images and labels, in one of two forms.

    `x_train, y_train, x_test, y_test` (as Keras's; also `x_validation, y_validation`) are the splits. `image, label` are one
    set, split by rule: of every class, in the file's order, each fifth example (numbers 4, 9, 14, ... from 0) is `test`; the
    rest is `train`.

    Images are [N, H, W] or [N, H, W, C]: whole numbers 0..255 become uint8; floats become float32 and keep their values (they
    are not scaled, and NaN is not looked for here). Labels [N] or [N, 1] are whole numbers and become int32. The number of
    classes is `dataset.num_classes`, or the length of an array `class_names`, or the largest label + 1. Other arrays are not
    read. In memory there is never more than what the images become and about a megabyte.

    Raises:
        UserError: no such file, not an .npz, missing arrays, lengths, shapes, types or labels that don't fit, or more than
            this machine's memory.
    """
    path = Path(settings.get("path", "") or "").expanduser()
    if not settings.get("path", ""):
        raise UserError("the dataset 'npz' needs dataset.path, the .npz file.")
    try:
        splits, names = _read(path)
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"dataset.path: there is no file {path}.") from error
    except MemoryError as error:
        raise UserError(f"{path} does not fit into this machine's memory: store fewer or smaller images.") from error
    except Exception as error:  # a damaged zip or header raises more kinds than zipfile and NumPy document
        raise UserError(f"{path} is not a readable .npz file: {reason(error)}. Save it again by np.savez.") from error
    largest = max((int(split["label"].max(initial=-1)) for split in splits.values()), default=-1)
    num_classes = int(settings.get("num_classes", 0)) or len(names) or largest + 1
    if num_classes > MOST_CLASSES:
        raise UserError(
            f"{path} has the label {largest}, so there would be {num_classes:,} classes: number them from 0, without gaps."
        )
    shapes = {split["image"].shape[1:] for split in splits.values()}
    if len(shapes) > 1:
        raise UserError(f"{path}: the splits have images of different shapes: {', '.join(map(str, sorted(shapes)))}.")
    info = labelled_images("npz", shapes.pop(), num_classes, names if len(names) == num_classes else ())
    return Dataset(info, {name: Arrays(split) for name, split in splits.items()})


def every_fifth(labels: np.ndarray) -> np.ndarray:
    """Which examples are test examples [N] bool: of every class, in order, numbers 4, 9, 14, ... counted from 0."""
    order = np.argsort(labels, kind="stable")
    _, start, count = np.unique(labels[order], return_index=True, return_counts=True)
    test = np.empty(len(labels), bool)
    test[order] = (np.arange(len(labels)) - np.repeat(start, count)) % 5 == 4
    return test


def _read(path: Path) -> tuple[dict[str, dict[str, np.ndarray]], tuple[str, ...]]:
    """The splits, and the names of the classes where the file has them."""
    with path.open("rb") as file:
        if file.read(6) == b"\x93NUMPY":
            raise UserError(f"{path} is a single array; save images and labels together by np.savez.")
    found = members(path, WANTED)
    names = _class_names(path, found["class_names"]) if "class_names" in found else ()
    if "image" in found and "label" in found:
        keys = {"all": {"image": "image", "label": "label"}}
    else:
        keys = _keras_splits(path, found)
    chosen = {split: (_images_fit(path, found[k["image"]]), found[k["label"]]) for split, k in keys.items()}
    wanted = sum(math.prod(images.shape) * _becomes(images).itemsize for images, _ in chosen.values())
    check_memory(wanted, f"the images of {path}")
    splits: dict[str, dict[str, np.ndarray]] = {}
    for split, (images, at) in chosen.items():
        labels = _labels(path, at)
        if len(labels) != images.shape[0]:
            raise UserError(f"{path}: {images.name!r} has {images.shape[0]} examples, {at.name!r} has {len(labels)}.")
        test = every_fifth(labels)
        parts = {"train": ~test, "test": test} if split == "all" else {split: np.ones(len(labels), bool)}
        pixels = _images(path, images, list(parts.values()))
        splits |= {n: {"image": i, "label": labels[p]} for (n, p), i in zip(parts.items(), pixels, strict=True)}
    return splits, names


def _keras_splits(path: Path, found: Mapping[str, Member]) -> dict[str, dict[str, str]]:
    """Split -> feature -> the array's name."""
    splits: dict[str, dict[str, str]] = {}
    for key, (split, feature) in KEYS.items():
        if key in found:
            splits.setdefault(split, {})[feature] = key
    for keys in splits.values():
        if len(keys) < 2:
            has = next(iter(keys.values()))
            raise UserError(f"{path} has {has!r} without {('y' if has[0] == 'x' else 'x') + has[1:]!r}.")
    if "train" not in splits:
        holds = ", ".join(name if name.isprintable() else repr(name) for name in sorted(members(path))[:10]) or "nothing"
        raise UserError(f"{path} needs the arrays image and label, or x_train, y_train, x_test, y_test; it holds {holds}.")
    return splits


def _images_fit(path: Path, images: Member) -> Member:
    if len(images.shape) not in (3, 4) or 0 in images.shape[1:]:
        raise UserError(f"{path}: {images.name!r} has shape {images.shape}; images must be [N, H, W] or [N, H, W, C].")
    if images.dtype.kind not in "fiub":
        raise UserError(f"{path}: {images.name!r} has type {images.dtype}; images must be numbers.")
    return images


def _becomes(images: Member) -> np.dtype:
    return np.dtype(np.float32 if images.dtype.kind == "f" else np.uint8)


def _images(path: Path, images: Member, parts: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The examples [N, H, W, C] that each of `parts`, bool [N], marks."""
    rows = [np.cumsum(part) - part for part in parts]  # the place of an example in its part
    out = [np.empty((int(part.sum()), *images.shape[1:]), _becomes(images)) for part in parts]
    for (examples, *pixels), values in pieces(path, images):
        if images.dtype.kind in "iu" and (values.min() < 0 or values.max() > 255):
            raise UserError(f"{path}: {images.name!r} holds whole numbers outside 0..255; store them as floats.")
        for array, part, row in zip(out, parts, rows, strict=True):
            inside = np.flatnonzero(part[examples])
            if len(inside):
                start = int(row[examples][inside[0]])
                with np.errstate(over="ignore"):  # float64 beyond float32 is infinite
                    array[(slice(start, start + len(inside)), *pixels)] = values[inside]
    return [array if array.ndim == 4 else array[..., None] for array in out]


def _labels(path: Path, at: Member) -> np.ndarray:
    if len(at.shape) not in (1, 2) or at.shape[1:] not in ((), (1,)) or at.dtype.kind not in "iu":
        raise UserError(f"{path}: {at.name!r} has shape {at.shape} and type {at.dtype}; labels must be whole numbers [N].")
    check_memory(at.nbytes, f"the labels of {path}")
    labels = read(path, at).reshape(-1)
    wrong = np.flatnonzero((labels < INT32.min) | (labels > INT32.max))
    if len(wrong):  # looked for before the cast, which would make a class of it
        raise UserError(
            f"{path}: label {labels[wrong[0]]} of example {wrong[0]} in {at.name!r} is out of range; number the classes from 0."
        )
    return labels.astype(np.int32)


def _class_names(path: Path, at: Member) -> tuple[str, ...]:
    if len(at.shape) != 1 or at.dtype.kind not in "US" or at.shape[0] > MOST_CLASSES:
        raise UserError(f"{path}: 'class_names' has shape {at.shape} and type {at.dtype}; it must be one text for each class.")
    check_memory(at.nbytes, f"the class names of {path}")
    try:
        names = [name.decode() if isinstance(name, bytes) else str(name) for name in read(path, at).tolist()]
        "".join(names).encode()
    except ValueError as error:
        raise UserError(f"{path}: 'class_names' are not all UTF-8: {reason(error)}.") from error
    return tuple(names)


PUBLIC = {"npz": load_npz}
