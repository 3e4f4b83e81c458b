"""Published datasets: counts and statistics as published, every way of reading them the same, and what is said of bad files."""

import functools
import gzip
import hashlib
import http.server
import io
import shutil
import socket
import struct
import tarfile
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from dl.data.load import load
from dl.data.sources import archives, omniglot, preparing
from dl.errors import UserError


def settings(name, *, train="train", test="test", **more):
    return ConfigDict({"name": name, "splits": {"train": train, "test": test}, "size": (0, 0), "fit": "pad", **more})


def features(dataset, split):
    source = dataset.splits[split]
    return source.gather(np.arange(len(source)))


def test_digits_are_scikit_learns_split_by_the_stated_rule():
    from sklearn.datasets import load_digits

    published = load_digits()
    dataset = load(settings("digits"))
    train, test = features(dataset, "train"), features(dataset, "test")
    assert (len(train["label"]), len(test["label"])) == (1442, 355)
    rows = [i for d in range(10) for n, i in enumerate(np.flatnonzero(published.target == d)) if n % 5 == 4]
    rows = np.sort(rows)
    np.testing.assert_array_equal(test["label"], published.target[rows])
    np.testing.assert_array_equal(test["image"][..., 0], np.round(published.images[rows] * 255 / 16))
    assert train["image"].dtype == np.uint8 and train["label"].dtype == np.int32
    assert dataset.info.shapes["image"] == (8, 8, 1) and dataset.info.num_classes == 10


def test_mnist_from_its_archives(shared_data):
    start = time.process_time()
    dataset = load(settings("mnist"), manual_dir=str(shared_data))
    assert time.process_time() - start < 1.5  # 0.4 s without the checking of types
    train = features(dataset, "train")
    assert (len(dataset.splits["train"]), len(dataset.splits["test"])) == (60000, 10000)
    assert np.mean(train["image"]) / 255 == pytest.approx(0.1307, abs=5e-5)
    assert np.std(train["image"]) / 255 == pytest.approx(0.3081, abs=5e-5)
    assert np.bincount(train["label"]).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


def test_mnist_archives_begin_with_5_0_4_1(shared_data):
    from dl.data.sources.mnist import parse_mnist

    parsed = parse_mnist({path.name: path for path in (shared_data / "mnist").iterdir()}, "train")
    assert parsed.features["label"][:4].tolist() == [5, 0, 4, 1]
    assert parsed.features["image"].shape == (60000, 28, 28, 1)


def test_the_folder_itself_serves_as_manual_dir(shared_data):
    dataset = load(settings("usps", train="test"), manual_dir=str(shared_data / "usps"))
    assert len(dataset.splits["test"]) == 2007


def test_usps_counts_by_class_as_in_its_info_file(shared_data):
    dataset = load(settings("usps"), manual_dir=str(shared_data))
    train, test = features(dataset, "train"), features(dataset, "test")
    assert np.bincount(train["label"]).tolist() == [1194, 1005, 731, 658, 652, 556, 664, 645, 542, 644]
    assert np.bincount(test["label"]).tolist() == [359, 264, 198, 166, 200, 160, 170, 147, 166, 177]
    assert train["image"].shape == (7291, 16, 16, 1) and train["image"].min() == 0 and train["image"].max() == 255


def test_omniglot_zips_agree_with_the_arrays(shared_data):
    """The small zips are parts of the background set: their images, characters and alphabets are in it."""
    config = settings("omniglot", test="small1")
    config.splits.more = "small2"
    dataset = load(config, manual_dir=str(shared_data))
    train = features(dataset, "train")
    assert (len(train["label"]), len(dataset.splits["test"]), len(dataset.splits["more"])) == (19280, 2720, 3120)
    where = {image.tobytes(): i for i, image in enumerate(train["image"])}
    for split in ("test", "more"):
        small = features(dataset, split)
        rows = np.array([where[image.tobytes()] for image in small["image"]])
        for name in ("label", "alphabet", "alphabet_char_id"):
            np.testing.assert_array_equal(train[name][rows], small[name])
    names = {omniglot.ALPHABETS[i] for i in np.unique(features(dataset, "test")["alphabet"])}
    assert names == {"Balinese", "Early_Aramaic", "Greek", "Korean", "Latin"}


def test_omniglot_zip_names_match_the_table(shared_data):
    for number in (1, 2):
        with zipfile.ZipFile(shared_data / "omniglot" / f"images_background_small{number}.zip") as file:
            for name in file.namelist():
                if name.endswith(".png"):
                    _, alphabet, character, image = name.split("/")
                    assert omniglot.CHARACTERS[int(image[:4]) - 1] == (alphabet, int(character[-2:]) - 1)


def test_omniglot_has_1623_characters_of_50_alphabets():
    assert len(omniglot.CHARACTERS) == 1623 and len(omniglot.ALPHABETS) == 50
    assert sum(omniglot.BACKGROUND.values()) == 964


def test_tfds_order_is_that_of_tfds():
    from tensorflow_datasets.core import hashing

    hasher = hashing.Hasher("train")
    assert archives.tfds_order("train", range(500)).tolist() == sorted(range(500), key=hasher.hash_key)
    keys = ["Greek_3_0397_01.png", "Latin_0_0683_20.png", "ULOG_25_1623_07.png"]
    assert archives.tfds_order("train", keys).tolist() == sorted(range(3), key=lambda i: hasher.hash_key(keys[i]))


# Small archives in the published formats, in place of the large ones.


def idx(array):
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(header + array.tobytes(), mtime=0)


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Write files as the archives of a dataset, and let them count as those that TFDS registers."""

    def write(dataset, files):
        folder = tmp_path / "manual" / dataset
        folder.mkdir(parents=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)
        table = {n: archives.Archive(n, hashlib.sha256(d).hexdigest(), f"http://data.example/{n}") for n, d in files.items()}
        monkeypatch.setattr("dl.data.sources.known.registered", lambda name: table)
        return str(tmp_path / "manual")

    return write


def digits(seed, count=60):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 28, 28), np.uint8), rng.integers(0, 10, count, np.uint8)


@pytest.fixture
def small_mnist(publish):
    (images, labels), (test_images, test_labels) = digits(0), digits(1, 20)
    names = (
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
    )
    return publish("mnist", dict(zip(names, map(idx, (images, labels, test_images, test_labels)), strict=True)))


def test_prepared_and_parsed_are_equal_and_tfds_sees_the_set(small_mnist, tmp_path):
    import tensorflow_datasets as tfds

    data_dir = str(tmp_path / "data")
    parsed = load(settings("mnist"), manual_dir=small_mnist)
    preparing_ = load(settings("mnist"), data_dir=data_dir, manual_dir=small_mnist)
    shutil.rmtree(small_mnist)
    prepared = load(settings("mnist"), data_dir=data_dir)  # reads the arrays that the run before kept
    shutil.rmtree(Path(data_dir) / ".arrays")
    decoded = load(settings("mnist"), data_dir=data_dir)
    for dataset in (preparing_, prepared, decoded):
        assert dataset.info == parsed.info
        for split in ("train", "test"):
            for name, values in features(parsed, split).items():
                np.testing.assert_array_equal(features(dataset, split)[name], values)
                assert features(dataset, split)[name].dtype == values.dtype
    builder = tfds.builder("mnist", data_dir=data_dir)
    assert builder.is_prepared() and builder.info.full_name == "mnist/3.0.1"
    first = builder.as_data_source(split="train")[0]
    np.testing.assert_array_equal(first["image"], features(parsed, "train")["image"][0])


def test_download_and_prepare(small_mnist, tmp_path, monkeypatch):
    """From a server on this machine, with TFDS's download manager, as from the published address."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=f"{small_mnist}/mnist")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        table = {path.name: archives.Archive(path.name, "", url + path.name) for path in Path(small_mnist, "mnist").iterdir()}
        monkeypatch.setattr("dl.data.sources.known.registered", lambda name: table)
        downloaded = load(settings("mnist"), data_dir=str(tmp_path / "data"))
        server.shutdown()
    monkeypatch.undo()
    again = load(settings("mnist"), data_dir=str(tmp_path / "data"))
    images, labels = digits(0)
    order = archives.tfds_order("train", range(60))
    for dataset in (downloaded, again):
        np.testing.assert_array_equal(features(dataset, "train")["image"][..., 0], images[order])
        assert features(dataset, "train")["label"].tolist() == labels[order].tolist()


def test_cifar100(publish):
    rng = np.random.default_rng(0)
    rows = {split: rng.integers(0, 20, (n, 2 + 3072), np.uint8) for split, n in (("train", 12), ("test", 5))}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for split, values in rows.items():
            member = tarfile.TarInfo(f"cifar-100-binary/{split}.bin")
            member.size = values.nbytes
            tar.addfile(member, io.BytesIO(values.tobytes()))
    dataset = load(settings("cifar100"), manual_dir=publish("cifar100", {"cifar-100-binary.tar.gz": packed.getvalue()}))
    order = archives.tfds_order("test", range(5))
    test = features(dataset, "test")
    assert test["label"].tolist() == rows["test"][order, 1].tolist()
    assert test["coarse_label"].tolist() == rows["test"][order, 0].tolist()
    # Byte 2 + 1024 c + 32 y + x of a row is channel c at (y, x).
    assert test["image"][0, 3, 7, 2] == rows["test"][order[0], 2 + 2 * 1024 + 3 * 32 + 7]
    assert dataset.info.num_classes == 100 and dataset.info.class_names[99] == "worm"


def test_cifar10(publish, tmp_path):
    rows = np.random.default_rng(0).integers(0, 10, (6, 4, 1 + 3072), np.uint8)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for values, name in zip(rows, [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"], strict=True):
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = values.nbytes
            tar.addfile(member, io.BytesIO(values.tobytes()))
    manual_dir = publish("cifar10", {"cifar-10-binary.tar.gz": packed.getvalue()})
    parsed = load(settings("cifar10"), manual_dir=manual_dir)
    prepared = load(settings("cifar10"), data_dir=str(tmp_path / "data"), manual_dir=manual_dir)
    expected = rows[:5].reshape(20, -1)[archives.tfds_order("train", range(20)), 0]
    for dataset in (parsed, prepared):
        assert features(dataset, "train")["label"].tolist() == expected.tolist()
    np.testing.assert_array_equal(features(parsed, "train")["image"], features(prepared, "train")["image"])
    recorded = (tmp_path / "data" / "cifar10" / "3.0.2" / "label.labels.txt").read_text().split()
    assert recorded[0] == "airplane" and recorded[9] == "truck"


def test_svhn(publish):
    from scipy.io import savemat

    rng = np.random.default_rng(0)
    files, labels = {}, {}
    for split in ("train", "test"):
        packed, labels[split] = io.BytesIO(), rng.integers(1, 11, (9, 1), np.uint8)
        savemat(packed, {"X": rng.integers(0, 256, (32, 32, 3, 9), np.uint8), "y": labels[split]})
        files[f"{split}_32x32.mat"] = packed.getvalue()
    files["extra_32x32.mat"] = b"not needed"
    manual_dir = publish("svhn_cropped", files)
    dataset = load(settings("svhn_cropped"), manual_dir=manual_dir)
    order = archives.tfds_order("train", range(9))
    assert features(dataset, "train")["label"].tolist() == (labels["train"][order, 0] % 10).tolist()
    assert features(dataset, "train")["image"].shape == (9, 32, 32, 3)


@pytest.mark.parametrize(("name", "variant"), [("emnist/letters", None), ("emnist", "letters")])
def test_emnist(publish, name, variant):
    images, labels = digits(3)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for split in ("train", "test"):
            file.writestr(f"gzip/emnist-letters-{split}-images-idx3-ubyte.gz", idx(images))
            file.writestr(f"gzip/emnist-letters-{split}-labels-idx1-ubyte.gz", idx(labels))
    more = {} if variant is None else {"variant": variant}
    dataset = load(settings(name, **more), manual_dir=publish("emnist", {"gzip.zip": packed.getvalue()}))
    assert features(dataset, "test")["label"].tolist() == labels[archives.tfds_order("test", range(60))].tolist()
    assert dataset.info.name == "emnist/letters" and dataset.info.class_names[1] == "A"


def test_class_names_of_emnist_are_as_many_as_tfds_classes():
    from tensorflow_datasets.image_classification.mnist import EMNIST as STOCK

    from dl.data.sources.mnist import EMNIST

    stock = {config.name: config.class_number for config in STOCK.BUILDER_CONFIGS}
    # TFDS gives "letters" 37 classes, of which 1 to 26 occur.
    assert {name: len(names) for name, names in EMNIST.items()} == {**stock, "letters": 27}


def test_omniglot_prepared_from_zips(publish, tmp_path):
    rng = np.random.default_rng(0)
    files = {}
    for split, name in omniglot.ZIPS.items():
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as file:
            for label in (1200, 3) if split == "test" else (3, 900):
                alphabet, number = omniglot.CHARACTERS[label]
                for drawer in (1, 2):
                    png = io.BytesIO()
                    Image.fromarray(rng.integers(0, 2, (105, 105), np.uint8) * 255).convert("1").save(png, "png")
                    stem = f"{name[:-4]}/{alphabet}/character{number + 1:02d}/{label + 1:04d}_{drawer:02d}.png"
                    file.writestr(stem, png.getvalue())
        files[name] = packed.getvalue()
    manual_dir = publish("omniglot", files)
    parsed = load(settings("omniglot"), manual_dir=manual_dir)
    prepared = load(settings("omniglot"), data_dir=str(tmp_path / "data"), manual_dir=manual_dir)
    assert parsed.info == prepared.info
    for split in ("train", "test"):
        for name, values in features(parsed, split).items():
            np.testing.assert_array_equal(features(prepared, split)[name], values)
    assert sorted(features(parsed, "train")["label"].tolist()) == [3, 3, 900, 900]


# What is said when something is wrong.


def test_unknown_dataset():
    with pytest.raises(UserError, match=r"unknown dataset 'mnits'. Did you mean 'mnist'\? Choices: .*digits.*usps"):
        load(settings("mnits"))


def test_unknown_variant():
    with pytest.raises(UserError, match=r"unknown variant of emnist 'small'.*balanced"):
        load(settings("emnist/small"), manual_dir="nowhere")


def test_unknown_split():
    with pytest.raises(UserError, match=r"unknown split 'tests'. Did you mean 'test'"):
        load(settings("digits", test="tests"))


@pytest.mark.parametrize("spec", ["tests", "tests[:5]"])
def test_unknown_split_of_archives(small_mnist, spec):
    with pytest.raises(UserError, match=r"unknown split 'tests'. Did you mean 'test'"):
        load(settings("mnist", test=spec), manual_dir=small_mnist)


def test_missing_archive(small_mnist):
    (Path(small_mnist) / "mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(UserError, match=r"dataset 'mnist': .*mnist lacks t10k-labels-idx1-ubyte.gz\. Put .*published at"):
        load(settings("mnist"), manual_dir=small_mnist)


def test_missing_folder(tmp_path):
    with pytest.raises(UserError, match=r"mnist lacks train-images-idx3-ubyte.gz, train-labels"):
        load(settings("mnist"), manual_dir=str(tmp_path))


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: data[:100] + b"\0" + data[101:]])
def test_corrupt_archive(small_mnist, damage):
    path = Path(small_mnist) / "mnist" / "train-images-idx3-ubyte.gz"
    good = hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(damage(path.read_bytes()))
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(UserError, match=rf"{path.name} is corrupt.* starts with {found[:12]}, expected {good[:12]}"):
        load(settings("mnist"), manual_dir=small_mnist)


def test_corrupt_usps(shared_data, tmp_path):
    shutil.copytree(shared_data / "usps", tmp_path / "usps")
    path = tmp_path / "usps" / "zip.test.gz"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"zip.test.gz is corrupt or another version"):
        load(settings("usps"), manual_dir=str(tmp_path))


def test_no_network_is_told_within_a_second(tmp_path):
    start = time.perf_counter()
    with pytest.raises(UserError) as raised:
        load(settings("fashion_mnist"), data_dir=str(tmp_path))
    assert time.perf_counter() - start < 1.0
    message = str(raised.value)
    assert "there is no network" in message and "--manual_dir=DIR" in message and "\n" not in message
    assert "DIR/fashion_mnist/train-images-idx3-ubyte.gz" in message
    assert not list(tmp_path.iterdir())


def test_a_host_that_never_answers_counts_as_no_network(monkeypatch):
    monkeypatch.setattr(preparing.socket, "create_connection", lambda *args, **kwargs: time.sleep(2) or socket.socket())
    start = time.perf_counter()
    assert not preparing.reachable("http://data.example/file")
    assert time.perf_counter() - start < 1.5


def test_a_download_that_fails_is_told_at_once(monkeypatch, small_mnist, tmp_path):
    monkeypatch.setattr(preparing, "reachable", lambda url: True)
    with pytest.raises(UserError, match=r"dataset 'mnist' could not be downloaded .*DIR/mnist/train-images-idx3-ubyte.gz"):
        load(settings("mnist"), data_dir=str(tmp_path / "data"))


def test_usps_without_manual_dir():
    with pytest.raises(UserError, match=r"Put DIR/usps/zip.train.gz, DIR/usps/zip.test.gz and give --manual_dir=DIR"):
        load(settings("usps"))


def test_idx_that_is_shorter_than_its_header_says():
    with pytest.raises(EOFError, match="too early"):
        archives.read_idx(io.BytesIO(b"\0\0\x08\x01" + struct.pack(">I", 5) + b"abc"))
    assert archives.read_idx(io.BytesIO(b"\0\0\x08\x01" + struct.pack(">I", 3) + b"abc")).tolist() == [97, 98, 99]
