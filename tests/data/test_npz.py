"""Files of arrays: whatever is in them, they load or are refused in one line, and take no more memory than they must."""

import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from ml_collections import ConfigDict

from dl.data import checks
from dl.data.load import load
from dl.data.sources.npz import every_fifth
from dl.errors import UserError

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 4, 3), np.uint8)
LABELS = np.arange(12) % 3


def opened(path, **more):
    return load(ConfigDict({"name": "npz", "path": str(path), "splits": {"train": "train", "test": "test"}, **more}))


def saved(path, save=np.savez, **arrays):
    save(path, **({"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES, "y_test": LABELS} | arrays))
    return path


def bytes_of(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def header(shape, dtype="|u1"):
    """A header of numpy.lib.format's version 1.0 that says so."""
    text = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def mutated(rng, data):
    """Cut off, overwritten in some places, overwritten in one, or with a piece left out."""
    data = bytearray(data)
    at, size = int(rng.integers(len(data))), int(rng.integers(1, 64))
    match int(rng.integers(4)):
        case 0:
            return bytes(data[:at])
        case 1:
            for place in rng.integers(len(data), size=3):
                data[place] = rng.integers(256)
        case 2:
            data[at : at + 8] = rng.bytes(min(8, len(data) - at))
        case 3:
            del data[at : at + size]
    return bytes(data)


@pytest.mark.parametrize("kind", ["stored", "deflated", "floats", "fortran"])
def test_any_mutation_loads_or_gives_one_line(tmp_path, kind):
    images = {"stored": IMAGES, "deflated": IMAGES, "floats": IMAGES / 255, "fortran": np.asfortranarray(IMAGES)}[kind]
    whole = io.BytesIO()
    save = np.savez if kind in ("stored", "fortran") else np.savez_compressed
    save(whole, image=images, label=LABELS, class_names=["a", "b", "c"])
    rng, path = np.random.default_rng(len(kind)), tmp_path / "a.npz"
    refused = 0
    for _ in range(150):
        path.write_bytes(mutated(rng, whole.getvalue()))
        try:
            dataset = opened(path)
        except UserError as error:
            assert "\n" not in str(error) and len(str(error)) < 400
            refused += 1
        else:
            got = dataset.splits["train"].gather(np.arange(len(dataset.splits["train"])))
            assert got["image"].ndim == 4 and got["image"].dtype in (np.uint8, np.float32)
            assert 0 <= got["label"].min() <= got["label"].max() < dataset.info.num_classes
    assert refused > 75  # so the mutations do harm


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y_train": np.where(LABELS, LABELS, 2**40 + 3)}, "label 1099511627779 of example 0 in 'y_train' is out of range"),
        ({"y_train": LABELS - 2**40}, "label -1099511627776 of example 0"),
        ({"y_test": np.full(12, 2**64 - 1, np.uint64)}, "label 18446744073709551615 of example 0 in 'y_test'"),
        ({"y_train": np.full(12, 2_000_000_000)}, "label 2000000000, so there would be 2,000,000,001 classes"),
        ({"x_train": np.zeros((12, 0, 0), np.uint8)}, r"'x_train' has shape \(12, 0, 0\)"),
        ({"x_train": np.zeros((12, 4, 3), complex)}, "type complex128; images must be numbers"),
        ({"x_train": np.full((12, 4, 3), 2**32)}, "outside 0..255"),
        ({"y_train": np.array(5)}, r"'y_train' has shape \(\)"),
        ({"x_train": np.array(["a"] * 12)}, r"'x_train' has shape \(12,\)"),
        ({"class_names": np.array([b"caf\xe9", b"b", b"c"])}, "'class_names' are not all UTF-8"),
        ({"class_names": np.array(["\ud800", "b", "c"])}, "'class_names' are not all UTF-8"),
        ({"class_names": np.array([["a"], ["b"]])}, r"'class_names' has shape \(2, 1\)"),
        ({"x_train": np.array([None] * 12)}, "'x_train' holds Python objects"),
        ({"y_train": LABELS[:5]}, "'x_train' has 12 examples, 'y_train' has 5"),
    ],
)
def test_arrays_that_can_not_be_images_and_labels(tmp_path, arrays, message):
    with pytest.raises(UserError, match=message) as raised:
        opened(saved(tmp_path / "a.npz", **arrays))
    assert "\n" not in str(raised.value)


def test_files_that_are_none(tmp_path):
    path = tmp_path / "a.npz"
    with path.open("wb") as file:
        np.save(file, IMAGES)
    with pytest.raises(UserError, match="is a single array; save images and labels together"):
        opened(path)
    with zipfile.ZipFile(path, "w") as file:  # a member without .npy
        file.writestr("image", b"abc")
        file.writestr("label.npy", bytes_of(LABELS))
    with pytest.raises(UserError, match="needs the arrays image and label, .* it holds label"):
        opened(path)
    with pytest.raises(UserError, match="not a readable .npz"):
        opened(tmp_path)


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_compressed_otherwise_than_numpy_does(tmp_path, method):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr("image.npy", bytes_of(IMAGES))
        file.writestr("label.npy", bytes_of(LABELS))
    with pytest.raises(UserError, match=r"member 'image\.npy' is neither stored nor deflated"):
        opened(path)


def test_an_encrypted_member(tmp_path):
    path = saved(tmp_path / "a.npz")
    data = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # bit 0 of the flags, in both headers
        at = data.find(signature)
        data[at + flags] |= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="is encrypted"):
        opened(path)


@pytest.mark.parametrize("shape", [(10**15,), (10**15, 1, 1), (2**62, 2**62, 4), (-12, -4, 3)])
def test_a_claimed_petabyte_is_not_believed(tmp_path, shape):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("image.npy", header(shape) + b"x" * 144)
        file.writestr("label.npy", bytes_of(LABELS))
    with pytest.raises(UserError, match="'image' has 144 bytes, not what uint8"):
        opened(path)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    """200 MB of zeros in 200 KB: more than this machine is said to have."""
    path = tmp_path / "a.npz"
    np.savez_compressed(path, image=np.zeros((200, 1000, 1000), np.uint8), label=np.arange(200))
    monkeypatch.setattr(checks, "memory", lambda: 100_000_000)
    tracemalloc.start()
    with pytest.raises(UserError, match=r"would take 0\.2 GB of memory, and there are 0\.1 GB"):
        opened(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000


@pytest.mark.parametrize("names", [("image", "label"), ("x_train", "y_train")])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
def test_memory_is_at_most_1_3_times_the_file(tmp_path, names, dtype):
    count = 24_000_000 // (1000 * np.dtype(dtype).itemsize)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 20, 50), np.uint8).astype(dtype)
    np.savez(tmp_path / "a.npz", **{names[0]: images, names[1]: np.arange(count) % 10})
    del images
    size = (tmp_path / "a.npz").stat().st_size
    tracemalloc.start()
    dataset = load(ConfigDict({"name": "npz", "path": str(tmp_path / "a.npz"), "splits": {"train": "train"}}))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    kept = sum(values.nbytes for values in dataset.splits["train"].features.values())
    assert kept <= peak <= 1.3 * size


@pytest.mark.parametrize("dtype", [np.uint8, ">i4", "<f8", bool, np.float16])
@pytest.mark.parametrize("shape", [(12, 4, 3), (12, 4, 3, 2)])
def test_any_order_and_type_is_what_numpy_reads(tmp_path, monkeypatch, dtype, shape):
    """Read piece by piece, of 16 bytes here, in both of NumPy's orders."""
    monkeypatch.setattr("dl.data.sources.npz_file.PIECE", 16)
    images = np.random.default_rng(1).integers(0, 2 if dtype is bool else 256, shape).astype(dtype)
    expected = images.astype(np.float32 if images.dtype.kind == "f" else np.uint8).reshape(12, 4, 3, -1)
    test = every_fifth(np.zeros(12, int))
    assert np.flatnonzero(test).tolist() == [4, 9]
    for order in ("C", "F"):
        np.savez(tmp_path / "a.npz", image=np.array(images, order=order), label=np.zeros(12, int))
        splits = opened(tmp_path / "a.npz").splits
        np.testing.assert_array_equal(splits["train"].features["image"], expected[~test], strict=True)
        np.testing.assert_array_equal(splits["test"].features["image"], expected[test], strict=True)


def test_every_fifth_of_every_class():
    labels = np.random.default_rng(0).integers(-2, 7, 500)
    expected = np.zeros(500, bool)
    for label in np.unique(labels):
        expected[np.flatnonzero(labels == label)[4::5]] = True
    np.testing.assert_array_equal(every_fifth(labels), expected)


def test_arrays_that_nobody_asked_for_are_not_read(tmp_path):
    path = saved(tmp_path / "a.npz", notes=np.array([{"made": "by hand"}], object))
    assert len(opened(path).splits["train"]) == 12


def test_names_of_classes_as_bytes(tmp_path):
    path = saved(tmp_path / "a.npz", class_names=np.array(["ä".encode(), b"b", b"c"]))
    assert opened(path).info.class_names == ("ä", "b", "c")
