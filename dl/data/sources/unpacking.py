"""Reading compressed files with a bound on what comes out of them: a few kilobytes can claim, or unpack to, petabytes.

Sizes are checked before anything is read or allocated. Damage raises whatever the libraries raise; `archives.opened` and
`npz` say it in one line.
"""

import gzip
import io
import os
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

MIB = 1 << 20
DEFLATE_RATIO = 1032  # that no deflated file exceeds (zlib, "Maximum Compression Factor")


@runtime_checkable
class Readable(Protocol):
    """What bytes can be read from."""

    def read(self, size: int = -1, /) -> bytes: ...


@runtime_checkable
class Seekable(Readable, Protocol):
    """What has a place, too, from which bytes are read."""

    def tell(self) -> int: ...

    def seek(self, offset: int, whence: int = 0, /) -> int: ...


def at_most(stream: Readable, limit: int) -> bytes:
    """All that is left of a stream.

    Raises:
        ValueError: it is more than `limit` bytes.
    """
    parts, size = [], 0
    while part := stream.read(MIB):
        size += len(part)
        if size > limit:
            raise ValueError(f"it holds more than {limit:,} bytes when unpacked")
        parts.append(part)
    return b"".join(parts)


def read_gz(path: Path, limit: int) -> bytes:
    """What a gzipped file holds, at most `limit` bytes."""
    with gzip.open(path, "rb") as stream:
        return at_most(stream, limit)


def fill(stream: Readable, values: np.ndarray) -> None:
    """Reads the bytes of a contiguous array.

    Raises:
        EOFError: the stream ends before.
    """
    left = values.reshape(-1).view(np.uint8).data
    while left:
        part = stream.read(min(len(left), MIB))
        if not part:
            raise EOFError("it ends too early")
        left[: len(part)], left = part, left[len(part) :]


def checked_member(file: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """A member of a zip whose claims are possible.

    Raises:
        ValueError: it is encrypted, or has another size than it can have.
        KeyError: there is none.
    """
    info = file.getinfo(name)
    if info.flag_bits & 1:
        raise ValueError(f"its member {name!r} is encrypted")
    whole = os.fstat(file.fp.fileno()).st_size if file.fp else 0
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"its member {name!r} is neither stored nor deflated, the two ways of NumPy and of most zips")
    ratio = DEFLATE_RATIO if info.compress_type == zipfile.ZIP_DEFLATED else 1
    if info.header_offset + info.compress_size > whole or info.file_size > ratio * info.compress_size:
        raise ValueError(f"its member {name!r} claims {info.file_size:,} bytes, which it can't hold")
    return info


def zip_member(file: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """What a member of a zip holds, at most `limit` bytes."""
    info = checked_member(file, name)
    if info.file_size > limit:
        raise ValueError(f"its member {name!r} has {info.file_size:,} bytes, more than {limit:,}")
    with file.open(info) as stream:
        return stream.read(info.file_size)  # not `read()`, which unpacks before it looks at the size


class Bounded(io.RawIOBase):
    """A stream that ends with a ValueError at `total` bytes, or where more than `each` are asked for at once."""

    def __init__(self, stream: Seekable, each: int, total: int):
        self.stream, self.each, self.total = stream, each, total

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.stream.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_SET and offset > self.total:
            raise ValueError(f"it holds more than {self.total:,} bytes when unpacked")
        return self.stream.seek(offset, whence)

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= self.each:
            raise ValueError(f"a part of it has {size:,} bytes, more than {self.each:,}")
        if self.stream.tell() + size > self.total:
            raise ValueError(f"it holds more than {self.total:,} bytes when unpacked")
        return self.stream.read(size)


def read_tar_gz(path: Path, wanted: Iterable[str], each: int, total: int) -> dict[str, bytes]:
    """The members of a gzipped tar whose paths end in those wanted; reads no further than the last of them.

    Args:
        path: path of the file.
        wanted: paths, or their ends from a slash on.
        each: bytes that a member may have.
        total: bytes that may be unpacked until the last of them is found.

    Raises:
        ValueError: a member is larger, all of them are, or one is not there.
    """
    wanted, found = list(wanted), dict[str, bytes]()
    with gzip.open(path, "rb") as stream, tarfile.open(fileobj=Bounded(stream, each, total), mode="r:") as tar:
        for member in tar:
            name = next((w for w in wanted if f"/{member.name}".endswith(f"/{w}")), None)
            if name is None or name in found or not member.isfile():
                continue
            if member.size > each:
                raise ValueError(f"its member {member.name!r} has {member.size:,} bytes, more than {each:,}")
            file = tar.extractfile(member)
            found[name] = b"" if file is None else at_most(file, each)
            if len(found) == len(wanted):
                return {name: found[name] for name in wanted}
    raise ValueError(f"it has no {next(name for name in wanted if name not in found)}")


def kept_arrays(path: Path) -> dict[str, np.ndarray] | None:
    """The arrays of an .npz of our own, kept to save time; None where there is none or it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception:  # whatever is wrong with it, it is made again
        return None
