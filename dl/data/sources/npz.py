"""Arrays of one's own in an .npz file."""

import zipfile
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from dl.dataset import Arrays, Dataset, Info
from dl.errors import UserError

KEYS = {"x_train": ("train", "image"), "y_train": ("train", "label"), "x_test": ("test", "image"), "y_test": ("test", "label")}
KEYS |= {"x_validation": ("validation", "image"), "y_validation": ("validation", "label")}
KEYS |= {"x_val": ("validation", "image"), "y_val": ("validation", "label")}


def load_npz(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """`dataset.path`: an .npz of images and labels, in one of two forms.

    `x_train, y_train, x_test, y_test` (as Keras's; also `x_validation, y_validation`) are the splits. `image, label` are one
    set, split by rule: of every class, in the file's order, each fifth example (numbers 4, 9, 14, ... from 0) is `test`; the
    rest is `train`.

    Images are [N, H, W] or [N, H, W, C]: whole numbers 0..255 become uint8; floats become float32 and keep their values (they
    are not scaled, and NaN is not looked for here). Labels [N] or [N, 1] are whole numbers and become int32. The number of
    classes is `dataset.num_classes`, or the length of an array `class_names`, or the largest label + 1.

    Raises:
        UserError: no such file, not an .npz, missing arrays, lengths, shapes or types that don't fit.
    """
    path = Path(settings.get("path", "") or "").expanduser()
    if not settings.get("path", ""):
        raise UserError("the dataset 'npz' needs dataset.path, the .npz file.")
    arrays = _arrays(path)
    if "image" in arrays and "label" in arrays:
        whole = _checked(path, "image", arrays["image"], "label", arrays["label"])
        test = every_fifth(whole["label"])
        splits = {"train": {k: v[~test] for k, v in whole.items()}, "test": {k: v[test] for k, v in whole.items()}}
    else:
        splits = _keras_splits(path, arrays)
    names = tuple(str(name) for name in arrays.get("class_names", ()))
    largest = max(int(split["label"].max(initial=-1)) for split in splits.values())
    num_classes = int(settings.get("num_classes", 0)) or len(names) or largest + 1
    shapes = {split["image"].shape[1:] for split in splits.values()}
    if len(shapes) > 1:
        raise UserError(f"{path}: the splits have images of different shapes: {', '.join(map(str, sorted(shapes)))}.")
    info = Info("npz", {"image": shapes.pop(), "label": ()}, num_classes, names if len(names) == num_classes else ())
    return Dataset(info, {name: Arrays(split) for name, split in splits.items()})


def every_fifth(labels: np.ndarray) -> np.ndarray:
    """Which examples are test examples [N] bool: of every class, in order, numbers 4, 9, 14, ... counted from 0."""
    test = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        test[np.flatnonzero(labels == label)[4::5]] = True
    return test


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            if isinstance(file, np.ndarray):
                raise UserError(f"{path} is a single array; save images and labels together by np.savez.")
            return {name: file[name] for name in file.files}
    except FileNotFoundError as error:
        raise UserError(f"dataset.path: there is no file {path}.") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is not a readable .npz file: {error}.") from error


def _keras_splits(path: Path, arrays: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    found: dict[str, dict[str, str]] = {}
    for key, (split, feature) in KEYS.items():
        if key in arrays:
            found.setdefault(split, {})[feature] = key
    for keys in found.values():
        if len(keys) < 2:
            has = next(iter(keys.values()))
            raise UserError(f"{path} has {has!r} without {('y' if has[0] == 'x' else 'x') + has[1:]!r}.")
    if "train" not in found:
        raise UserError(
            f"{path} needs the arrays image and label, or x_train, y_train, x_test, y_test; "
            f"it holds {', '.join(arrays) or 'nothing'}."
        )
    return {split: _checked(path, k["image"], arrays[k["image"]], k["label"], arrays[k["label"]]) for split, k in found.items()}


def _checked(path: Path, image_key: str, images: np.ndarray, label_key: str, labels: np.ndarray) -> dict[str, np.ndarray]:
    if images.ndim not in (3, 4):
        raise UserError(f"{path}: {image_key!r} has shape {images.shape}; images must be [N, H, W] or [N, H, W, C].")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise UserError(
            f"{path}: {label_key!r} has shape {labels.shape} and type {labels.dtype}; labels must be whole numbers [N]."
        )
    if len(images) != len(labels):
        raise UserError(f"{path}: {image_key!r} has {len(images)} examples, {label_key!r} has {len(labels)}.")
    if images.dtype.kind == "f":
        images = images.astype(np.float32)
    elif images.dtype.kind in "iub":
        if images.size and (images.min() < 0 or images.max() > 255):
            raise UserError(f"{path}: {image_key!r} holds whole numbers outside 0..255; store them as floats.")
        images = images.astype(np.uint8)
    else:
        raise UserError(f"{path}: {image_key!r} has type {images.dtype}; images must be numbers.")
    return {"image": images if images.ndim == 4 else images[..., None], "label": labels.astype(np.int32)}


PUBLIC = {"npz": load_npz}
