"""What can be said about a dataset's settings, and about the memory it takes, before its images are read."""

import contextlib
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from dl.data.ragged import Ragged
from dl.dataset import CHUNK, Arrays, Feature, Info, Kind, Source
from dl.errors import UserError

MOST_PIXELS = 1 << 26  # of an image: 8,192 x 8,192
MOST_CLASSES = 1_000_000
MOST_WORKERS = 256
CGROUP = Path("/sys/fs/cgroup/memory.max")


def memory() -> int:
    """The bytes of memory that this process may have: the machine's, or its container's."""
    have = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(have, int(CGROUP.read_text()))
    except (OSError, ValueError):  # no container, or "max"
        return have


def check_memory(needed: int, what: str) -> None:
    """Checks that so many bytes fit into memory.

    Raises:
        UserError: they don't.
    """
    if needed > memory():
        raise UserError(
            f"{what} would take {needed / 1e9:,.1f} GB of memory, and there are {memory() / 1e9:,.1f} GB: choose fewer or "
            "smaller ones."
        )


@contextlib.contextmanager
def enough_memory(name: str) -> Iterator[None]:
    """Says in one line that memory was not enough to read the dataset `name`."""
    try:
        yield
    except MemoryError as error:
        raise UserError(
            f"dataset {name!r} does not fit into this machine's memory ({memory() / 1e9:,.1f} GB): choose fewer or smaller "
            "examples."
        ) from error


def check_settings(settings: ConfigDict, *folders: str | None) -> None:
    """Checks what a section `dataset` says, whatever the dataset; its sources check what is theirs.

    Args:
        settings: the section.
        folders: folders of prepared datasets and of archives.

    Raises:
        UserError: a number out of range, or a path that can't be one.
    """
    for name, most in (("workers", MOST_WORKERS), ("num_classes", MOST_CLASSES), ("margin", None)):
        value = settings.get(name, 0)
        if not isinstance(value, int) or value < 0 or (most is not None and value > most):
            raise UserError(f"dataset.{name} must be a whole number from 0{f' to {most:,}' if most else ''}, not {value!r}.")
    size = settings.get("size", (0, 0))
    if not all(isinstance(length, int) for length in size):
        raise UserError(f"dataset.size={tuple(size)} must be whole numbers, (height, width).")
    if math.prod(size) > MOST_PIXELS:
        raise UserError(f"dataset.size={tuple(settings.size)} has more than {MOST_PIXELS:,} pixels: choose a smaller one.")
    for path in (settings.get("path", ""), *folders):
        try:
            Path(path or "").expanduser()
        except RuntimeError as error:
            raise UserError(f"{path}: there is no such user's folder.") from error
        if "\0" in (path or ""):
            raise UserError(f"{path!r} is no path: it has a zero character.")


def check_shapes(settings: ConfigDict, info: Info, splits: Mapping[str, Source]) -> None:
    """Checks what a section `dataset` says of its images against what they are.

    Args:
        settings: the section.
        info: description of the dataset as it was found, before margin and size.
        splits: as they were found.

    Raises:
        UserError: settings of images for data without, a margin that leaves nothing, another number of means or deviations
            than channels, numbers that can't be those, or images that would be too large for memory.
    """
    shape = info.shapes.get("image")
    if shape is None:
        if settings.get("margin", 0) or any(settings.get("size", (0, 0))):
            raise UserError(f"the dataset {info.name!r} has no images: leave out dataset.margin and dataset.size.")
        return
    margin = settings.get("margin", 0)
    if margin and 2 * margin >= min(shape[:2]):
        raise UserError(f"dataset.margin {margin} must leave something of images of {tuple(shape[:2])}.")
    for name in ("mean", "std"):
        if name not in settings:
            continue
        values = settings[name]
        values = tuple(values) if isinstance(values, tuple | list) else (values,)
        if len(values) not in (1, shape[-1]):
            raise UserError(
                f"dataset.{name} has {len(values)} values, and the images {shape[-1]} channel{'s' * (shape[-1] > 1)}: "
                "give one for all, or one for each."
            )
        good = all(isinstance(v, int | float) and math.isfinite(v) and (name == "mean" or v != 0) for v in values)
        if not good:
            raise UserError(f"dataset.{name}={values} must be finite numbers{', not 0' * (name == 'std')}.")
    height, width = settings.get("size", (0, 0))
    sources = {id(source): source for source in splits.values() if isinstance(source, Arrays)}
    pixels = sum(len(source) for source in sources.values()) * height * width * shape[-1]
    if sources and settings.get("fit", "pad") != "crop":  # cropped images are read as they are needed
        itemsize = max(source.features["image"].itemsize for source in sources.values())
        check_memory(pixels * itemsize, f"images of dataset.size=({height}, {width})")


def check_classes(info: Info, spec: str, source: Source) -> None:
    """Checks the classes and the label maps of a split in memory; what is read as it is needed is checked by who reads it.

    Args:
        info: of the dataset.
        spec: of the split, for the error.
        source: the split.

    Raises:
        UserError: a class that there is not, in an example that is named; a label map may be `void`.
    """
    if not isinstance(source, Arrays):
        return
    for name, feature in info.features.items():
        values = source.features.get(name)
        if values is None or feature.kind not in (Kind.CLASS, Kind.LABEL_MAP) or not feature.num_classes:
            continue
        classes = values.whole if isinstance(values, Ragged) else values
        for start in range(0, len(classes), CHUNK):
            wrong = np.argwhere(no_class(feature, classes[start : start + CHUNK]))
            if len(wrong):
                place = (start + wrong[0][0], *wrong[0][1:])
                example = values.example_of(place[0]) if isinstance(values, Ragged) else place[0]
                where = f"dataset {info.name!r}, split {spec!r}: {name} {classes[place]} of example {example}"
                raise UserError(f"{where} is out of range; {_classes(feature)}.")


def no_class(feature: Feature, values: np.ndarray) -> np.ndarray:
    """Where `values`, of a class or a label map, are neither a class nor void: bool, of their shape."""
    wrong = (values < 0) | (values >= feature.num_classes)
    return wrong & (values != feature.void) if feature.kind is Kind.LABEL_MAP else wrong


def check_map(feature: Feature, values: np.ndarray, name: object) -> np.ndarray:
    """A label map [H, W] as it is, after its classes were found right; `name` is what an error calls it.

    Raises:
        UserError: a class that there is not, at a pixel that is named.
    """
    if feature.num_classes:
        wrong = no_class(feature, values)
        if wrong.any():
            row, column = np.argwhere(wrong)[0].tolist()
            raise UserError(f"{name} has {values[row, column]} at row {row}, column {column}; {_classes(feature)}.")
    return values


def _classes(feature: Feature) -> str:
    void = f", and {feature.void} is void" if feature.kind is Kind.LABEL_MAP else ""
    return f"there are {feature.num_classes} classes, 0 to {feature.num_classes - 1}{void}"
