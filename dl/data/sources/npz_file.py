"""The arrays of an .npz file, member by member and piece by piece, so that what they become is all that is held in memory.

The format is that of `numpy.lib.format` in a zip. Everything that a file claims is checked before it is believed.
"""

import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dl.data.sources.unpacking import Bounded, Readable, checked_member, fill

PIECE = 1 << 20  # bytes of a piece, or one example where that is larger
HEADER_LIMIT = 1 << 16  # bytes
SUFFIX = ".npy"


class Member(NamedTuple):
    """An array in the file: its key, type and shape; whether its first axis runs fastest; bytes before the values."""

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    fortran: bool
    offset: int

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def members(path: Path, wanted: frozenset[str] | None = None) -> dict[str, Member]:
    """Key -> what the headers say of it, of the keys `wanted` (None: all); nothing else of the file is read.

    Raises:
        ValueError: a member is encrypted, damaged, or has another size than its header says. Damage raises others too.
        OSError: the file can't be read.
    """
    found = {}
    with zipfile.ZipFile(path) as file:
        for name in file.namelist():
            key = name.removesuffix(SUFFIX)
            if name.endswith(SUFFIX) and (wanted is None or key in wanted):
                found[key] = _header(file, key)
    return found


def _header(file: zipfile.ZipFile, key: str) -> Member:
    info = checked_member(file, key + SUFFIX)
    with file.open(info) as opened:
        stream = Bounded(opened, HEADER_LIMIT, 2 * HEADER_LIMIT)
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"{key!r} is of the version {version} of NumPy's format, not 1.0 or 2.0")
        parse = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = parse(stream)
        member = Member(key, dtype, tuple(map(int, shape)), bool(fortran), stream.tell())
    if dtype.hasobject:
        raise ValueError(f"{key!r} holds Python objects; store numbers")
    if min(member.shape, default=0) < 0 or member.offset + member.nbytes != info.file_size:
        raise ValueError(f"{key!r} has {info.file_size - member.offset:,} bytes, not what {dtype} {member.shape} takes")
    return member


def pieces(path: Path, member: Member) -> Iterator[tuple[tuple[slice | np.ndarray, ...], np.ndarray]]:
    """(index, values): `array[index] = values` for all of them gives the array; an index begins with that of the examples.

    Where the first axis runs fastest, all examples come at once, a few of their pixels at a time.
    """
    if not member.nbytes:
        return
    examples, rest = member.shape[0], member.shape[1:]
    unit, count = (examples, math.prod(rest)) if member.fortran else (math.prod(rest), examples)
    step = max(1, PIECE // (unit * member.dtype.itemsize))
    with zipfile.ZipFile(path) as file, file.open(member.name + SUFFIX) as stream:
        stream.read(member.offset)
        for start in range(0, count, step):
            stop = min(start + step, count)
            values = _read(stream, (stop - start, unit), member.dtype)
            if not member.fortran:
                yield (slice(start, stop),), values.reshape(stop - start, *rest)
            else:
                axes = np.unravel_index(np.arange(start, stop), rest[::-1])[::-1] if rest else ()
                yield (slice(0, examples), *axes), values.T if rest else values[0]
        if stream.read(1):  # the end is where the checksum is looked at
            raise ValueError(f"{member.name!r} is longer than its header says")


def _read(stream: Readable, shape: tuple[int, int], dtype: np.dtype) -> np.ndarray:
    raw = np.empty(shape[0] * shape[1] * dtype.itemsize, np.uint8)
    fill(stream, raw)
    return raw.view(dtype).reshape(shape)


def read(path: Path, member: Member) -> np.ndarray:
    """The whole array."""
    if not member.shape:  # a single value
        return read(path, member._replace(shape=(1,))).reshape(())
    out = np.empty(member.shape, member.dtype)
    for index, values in pieces(path, member):
        out[index] = values
    return out
