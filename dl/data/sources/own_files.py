"""Finding the files of one's own set: images below a folder, their sizes, the list of classes, and which split each is of."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ml_collections import ConfigDict

from dl.data.decoding import shape_of
from dl.data.sources.folder import SPLITS, SUFFIXES, THREADS, holdout_split
from dl.errors import UserError


def path_of(settings: ConfigDict, key: str, what: str, folder: bool = True) -> Path:
    """`dataset.KEY` as a path to a folder, or to a file, that exists; `what` it is of is said where it is not set.

    Raises:
        UserError: it is not set, or there is none.
    """
    if not settings.get(key, ""):
        raise UserError(f"the dataset {settings.name!r} needs dataset.{key}, {what}.")
    try:
        path = Path(settings[key]).expanduser()
    except RuntimeError as error:
        raise UserError(f"{settings[key]}: there is no such user's folder.") from error
    if not (path.is_dir() if folder else path.exists()):
        raise UserError(f"dataset.{key}: there is no {'folder' if folder else 'file'} {path}; it should be {what}.")
    return path


def images_below(folder: Path) -> dict[str, Path]:
    """The images at any depth below a folder, by their path in it without the ending, sorted.

    Raises:
        UserError: there are none, or two of one name.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith(".") or not path.is_file():
            continue
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise UserError(f"{found[name]} and {path} have the same name: rename or remove one of them.")
        found[name] = path
    if not found:
        raise UserError(f"{folder} has no images ({', '.join(SUFFIXES)}).")
    return found


def sizes_of(paths: Sequence[Path]) -> list[tuple[int, int]]:
    """Height and width of every image, upright, from the headers.

    Raises:
        UserError: a file can't be read.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(shape_of, paths))


def class_list(settings: ConfigDict, beside: Path) -> tuple[str, ...]:
    """The classes, from the file `dataset.classes`, one a line, or from `classes.txt` in the folder `beside`; () without any.

    Raises:
        UserError: it can't be read, is empty, or names a class twice.
    """
    path = path_of(settings, "classes", "a file with one class a line", folder=False) if settings.get("classes", "") else None
    path = path or beside / "classes.txt"
    if not path.is_file() and not settings.get("classes", ""):
        return ()
    try:
        names = tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError) as error:
        raise UserError(f"the list of classes {path} can't be read: {getattr(error, 'strerror', None) or error}.") from error
    while names and not names[-1]:
        names = names[:-1]
    twice = next((name for i, name in enumerate(names) if name in names[:i] or not name), None)
    if not names or twice is not None:
        said = "is empty" if not names else f"names the class {twice!r} twice" if twice else "has an empty line"
        raise UserError(f"the list of classes {path} {said}: give one class a line, in the order of their numbers.")
    return names


def named_splits(root: Path) -> dict[str, Path]:
    """Those of train, validation and test that are folders of `root`, where there is `train`; else none."""
    found = {split: root / split for split in SPLITS if (root / split).is_dir()}
    return found if "train" in found else {}


def held_out(names: Iterable[str], settings: ConfigDict) -> dict[str, list[str]]:
    """Split -> its examples, by the SHA-256 of their names, `dataset.holdout` percent for test and as many for validation.

    Raises:
        UserError: it is no percentage.
    """
    percent = settings.get("holdout", 10.0)
    if not 0 < 2 * percent < 100:
        raise UserError(f"dataset.holdout {percent} must be a percentage between 0 and 50.")
    out: dict[str, list[str]] = {split: [] for split in SPLITS}
    for name in names:
        out[holdout_split(name, percent)].append(name)
    return {split: found for split, found in out.items() if found}


def check_sizes(pairs: Mapping[Path, Path]) -> list[tuple[int, int]]:
    """The sizes of images, each as large as its label map.

    Raises:
        UserError: one is not.
    """
    images, maps = sizes_of(list(pairs)), sizes_of(list(pairs.values()))
    for (image, labels), size, other in zip(pairs.items(), images, maps, strict=True):
        if size != other:
            raise UserError(
                f"{image} is {size} (height, width) and its label map {labels} {other}: make them equal; dataset.size then "
                "resizes both."
            )
    return images
