"""Original archives: which files a dataset is made of, where they lie, and whether they are what they should be.

Names, addresses and SHA-256 sums are those that TFDS registers; they are read from TFDS's own tables without importing it.
"""

import functools
import gzip
import hashlib
import importlib.util
import textwrap
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from dl.data.sources.unpacking import Readable, fill
from dl.errors import UserError

T = TypeVar("T")
IDX_LIMIT = 1 << 30  # bytes; the largest published file, EMNIST's, has 547 MB


class Archive(NamedTuple):
    """A file as it is published: its name, SHA-256 (hexadecimal) and address (empty where there is none)."""

    name: str
    sha256: str
    url: str = ""


@functools.cache
def registered(dataset: str) -> dict[str, Archive]:
    """The archives that TFDS registers for `dataset`, by file name.

    Raises:
        UserError: TFDS, or its table for this dataset, is not installed.
    """
    spec = importlib.util.find_spec("tensorflow_datasets")
    root = Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else Path()
    for path in (root / "url_checksums" / f"{dataset}.txt", root / "datasets" / dataset / "checksums.tsv"):
        if path.is_file():
            rows = [line.split("\t") for line in path.read_text().splitlines() if line.strip()]
            return {name: Archive(name, sha256, url) for url, _, sha256, name in rows}
    raise UserError(f"tensorflow-datasets has no list of the archives of {dataset!r}; install this project's requirements.")


def folder_of(dataset: str, manual_dir: str, names: Iterable[str]) -> Path:
    """`manual_dir/dataset`, or `manual_dir` itself where it holds one of the files `names` and the sub-folder is not there."""
    root = Path(manual_dir).expanduser()
    if not (root / dataset).is_dir() and any((root / name).is_file() for name in names):
        return root
    return root / dataset


def verified(folder: Path, wanted: Iterable[Archive], dataset: str) -> dict[str, Path]:
    """The paths of the archives, by name, after their SHA-256 sums were found right.

    Raises:
        UserError: a file is missing, can't be read or is not what was published.
    """
    wanted = list(wanted)
    missing = [archive.name for archive in wanted if not (folder / archive.name).is_file()]
    if missing:
        raise UserError(f"dataset {dataset!r}: {folder} lacks {', '.join(missing)}. {how_to_get(dataset, wanted, folder)}")
    for archive in wanted:
        found = sha256_of(folder / archive.name)
        if found != archive.sha256:
            raise UserError(
                f"{folder / archive.name} is corrupt or another version: its SHA-256 starts with {found[:12]}, expected "
                f"{archive.sha256[:12]}. Delete it and get it again{f' from {archive.url}' if archive.url else ''}."
            )
    return {archive.name: folder / archive.name for archive in wanted}


def how_to_get(dataset: str, wanted: Iterable[Archive], folder: Path | None = None) -> str:
    """What to tell a user who lacks the archives: which files to put where."""
    place = folder or Path("DIR") / dataset
    flag = "" if folder else " and give --manual_dir=DIR"
    wanted = list(wanted)
    urls = sorted({archive.url.rsplit("/", 1)[0] for archive in wanted if archive.url})
    source = f" (published at {', '.join(urls)})" if urls else ""
    return f"Put {', '.join(str(place / archive.name) for archive in wanted)}{flag}{source}."


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror or error}.") from error


def opened(path: Path, read: Callable[[Path], T]) -> T:
    """`read(path)`, with whatever a damaged archive makes the libraries raise said in one line."""
    try:
        return read(path)
    except UserError:
        raise
    except MemoryError as error:
        raise UserError(f"{path} can't be read: this machine has too little memory for it.") from error
    except Exception as error:  # tarfile, zipfile, Pillow and SciPy raise more kinds than they document
        raise UserError(f"{path} is corrupt: {reason(error)}. Delete it and get it again.") from error


def reason(error: Exception) -> str:
    """What an error says, in one short line without a full stop."""
    said = error.args[0] if isinstance(error, KeyError) and error.args else error
    nothing = "it ends too early" if isinstance(error, EOFError) else type(error).__name__
    return textwrap.shorten(str(said), 200, placeholder=" ...").rstrip(".") or nothing


def read_idx(stream: Readable) -> np.ndarray:
    """The array of an IDX file of unsigned bytes (LeCun's format of MNIST): 0, 0, type, rank, sizes (big-endian), values.

    Raises:
        ValueError: it is not such a file, or its length is not what its header says.
    """
    head = stream.read(4)
    if len(head) < 4 or head[:3] != b"\x00\x00\x08" or not 1 <= head[3] <= 4:
        raise ValueError("not an IDX file of unsigned bytes")
    shape = [int(size) for size in np.frombuffer(stream.read(4 * head[3]), ">u4", count=head[3])]
    size = functools.reduce(int.__mul__, shape)
    if size > IDX_LIMIT:
        raise ValueError(f"its header says {size:,} bytes, more than {IDX_LIMIT:,}")
    values = np.empty(shape, np.uint8)
    fill(stream, values)
    if stream.read(1):
        raise ValueError(f"it is longer than the {size:,} bytes that its header says")
    return values


def read_idx_gz(path: Path) -> np.ndarray:
    """The array of a gzipped IDX file."""

    def read(archive: Path) -> np.ndarray:
        with gzip.open(archive, "rb") as stream:
            return read_idx(stream)

    return opened(path, read)


def tfds_order(split: str, keys: Iterable[str | int]) -> np.ndarray:
    """The order in which TFDS stores examples with these keys: that of MD5(split name + key).

    Archives are read in this order, so that a slice means the same examples however the data were obtained
    (tensorflow_datasets/core/hashing.py, shuffle.py).
    """
    salted = hashlib.md5(split.encode())

    def digest(key: str | int) -> bytes:
        copy = salted.copy()
        copy.update(str(key).encode("utf-8", "surrogateescape"))
        return copy.digest()

    digests = [digest(key) for key in keys]
    return np.array(sorted(range(len(digests)), key=digests.__getitem__), np.int64)


class Parsed(NamedTuple):
    """One split as its archives hold it: features [N, ...] and the key that TFDS gives each example."""

    features: Mapping[str, np.ndarray]
    keys: list[str] | range
