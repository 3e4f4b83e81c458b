"""Compressed files that unpack to more than they may are refused before they fill the memory."""

import gzip
import io
import struct
import tarfile
import tracemalloc
import zipfile

import numpy as np
import pytest
from ml_collections import ConfigDict

from dl.data import decoding, image_files
from dl.data.load import load
from dl.data.sources import archives, records, unpacking
from dl.errors import UserError

LIMIT = 1 << 20


@pytest.fixture
def little_memory():
    """Fails where more than 8 MB were held at once."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * LIMIT


def tar_gz(path, members):
    """(name, what the header says of the size, kind) -> a gzipped tar, of zeros."""
    with gzip.open(path, "wb") as file:
        for name, size, kind in members:
            info = tarfile.TarInfo(name)
            info.size, info.type = size, kind
            file.write(info.tobuf(tarfile.GNU_FORMAT))
            for _ in range(-(-size // LIMIT)):
                file.write(bytes(LIMIT))


def test_a_tar_is_read_to_the_last_member_that_is_wanted(tmp_path):
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as tar:
        for name in ("./top/data/one", "./top/data/none", "./top/data/two"):
            info = tarfile.TarInfo(name)
            info.size = len(name)
            tar.addfile(info, io.BytesIO(name.encode()))
    found = unpacking.read_tar_gz(tmp_path / "a.tgz", ("data/two", "data/one"), LIMIT, LIMIT)
    assert found == {"data/two": b"./top/data/two", "data/one": b"./top/data/one"} and list(found) == ["data/two", "data/one"]
    with pytest.raises(ValueError, match="it has no data/three"):
        unpacking.read_tar_gz(tmp_path / "a.tgz", ("data/three",), LIMIT, LIMIT)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("data/one", 64 * LIMIT, tarfile.REGTYPE)], "'data/one' has 67,108,864 bytes, more than 1,048,576"),
        ([("before", 64 * LIMIT, tarfile.REGTYPE), ("data/one", 0, tarfile.REGTYPE)], "more than 4,194,304 bytes when"),
        ([("././@LongLink", 64 * LIMIT, tarfile.GNUTYPE_LONGNAME)], "a part of it has .* more than 1,048,576"),
        ([("././@PaxHeader", 64 * LIMIT, tarfile.XHDTYPE)], "a part of it has .* more than 1,048,576"),
    ],
)
def test_tar_bombs(tmp_path, little_memory, members, message):
    tar_gz(tmp_path / "a.tgz", members)
    with pytest.raises(ValueError, match=message):
        unpacking.read_tar_gz(tmp_path / "a.tgz", ("data/one",), LIMIT, 4 * LIMIT)


def test_gzip_bombs(tmp_path, little_memory):
    path = tmp_path / "a.gz"
    with gzip.open(path, "wb") as file:
        file.write(b"\0\0\x08\x03" + struct.pack(">III", 2000, 1000, 1000))
        for _ in range(64):
            file.write(bytes(LIMIT))
    with pytest.raises(ValueError, match="more than 1,048,576 bytes when unpacked"):
        unpacking.read_gz(path, LIMIT)
    with pytest.raises(UserError, match="its header says 2,000,000,000 bytes, more than 1,073,741,824"):
        archives.read_idx_gz(path)


def test_an_idx_file_that_is_longer_than_it_says(little_memory):
    with pytest.raises(ValueError, match="longer than the 3 bytes"):
        archives.read_idx(io.BytesIO(b"\0\0\x08\x01" + struct.pack(">I", 3) + b"abcd"))


def test_zip_bombs(tmp_path, little_memory):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file, file.open("one", "w") as member:
        for _ in range(64):
            member.write(bytes(LIMIT))
    with zipfile.ZipFile(path) as file:
        with pytest.raises(ValueError, match="'one' has 67,108,864 bytes, more than 1,048,576"):
            unpacking.zip_member(file, "one", LIMIT)
        file.getinfo("one").file_size = 1000  # a header that says less than there is
        with pytest.raises(zipfile.BadZipFile, match="CRC"):
            unpacking.zip_member(file, "one", LIMIT)


def test_an_image_in_a_zip_is_bounded_too(tmp_path, little_memory, monkeypatch):
    monkeypatch.setattr(decoding, "MAX_BYTES", LIMIT)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file, file.open("one.png", "w") as member:
        for _ in range(64):
            member.write(bytes(LIMIT))
    with pytest.raises(UserError, match=r"can't be read: its member 'one.png' has 67,108,864 bytes"):
        image_files.read(str(tmp_path / "a.zip" / "one.png"))


def test_the_treebanks_archive_holds_the_published_texts_or_is_refused(tmp_path, little_memory):
    (tmp_path / "ptb").mkdir()
    path = tmp_path / "ptb" / "simple-examples.tgz"
    settings = ConfigDict({"name": "ptb", "splits": {"test": "test"}})
    names = [f"./simple-examples/data/ptb.{split}.txt" for split in ("train", "valid", "test")]
    tar_gz(path, [(name, 0, tarfile.REGTYPE) for name in names])
    with pytest.raises(UserError, match=r"its ptb.train.txt is not the published one"):
        load(settings, manual_dir=str(tmp_path))
    tar_gz(path, [(names[0], 64 * LIMIT, tarfile.REGTYPE)])
    with pytest.raises(UserError, match=r"is corrupt: its member .*train\.txt' has 67,108,864 bytes, more than 8,388,608"):
        load(settings, manual_dir=str(tmp_path))
    rng = np.random.default_rng(0)
    whole = path.read_bytes()
    for _ in range(100):  # whatever the damage, one line
        data = bytearray(whole)
        data[int(rng.integers(min(len(data), 600)))] = int(rng.integers(256))
        path.write_bytes(data[: int(rng.integers(len(data)))] if rng.integers(2) else data)
        with pytest.raises(UserError) as raised:
            load(settings, manual_dir=str(tmp_path))
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("damage", [b"PK\x05\x06damaged", b"", b"\x93NUMPY"])
def test_kept_arrays_that_are_damaged_count_as_none(tmp_path, damage):
    assert unpacking.kept_arrays(tmp_path / "none.npz") is None
    path = tmp_path / "a.npz"
    np.savez(path, a=np.arange(3))
    assert unpacking.kept_arrays(path)["a"].tolist() == [0, 1, 2]
    path.write_bytes(damage)
    assert unpacking.kept_arrays(path) is None
    made: list[int] = []

    def decode():
        made.append(1)
        return {"a": np.arange(3)}

    for _ in range(2):
        assert records.decoded_once(path, "right", decode)["a"].tolist() == [0, 1, 2]
    assert len(made) == 1
