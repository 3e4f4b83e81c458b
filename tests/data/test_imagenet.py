"""ImageNet's archives, in small: of the same form, with two or three images for each of four classes."""

import hashlib
import io
import pickle
import tarfile

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from dl.data import decoding
from dl.data.fingerprint import fingerprint
from dl.data.load import load
from dl.data.slicing import Slices
from dl.data.sources import imagenet
from dl.data.streaming import Readers, Streamed
from dl.dataset import column_of
from dl.errors import UserError

WNIDS = ("n02119789", "n01440764", "n03000684", "n01531178")  # in the devkit's order, which is not the sorted one
TRUTH = (3, 1, 1, 4, 2)


def image(seed, mode="RGB"):
    rng = np.random.default_rng(seed)
    channels = {"RGB": 3, "L": 1, "CMYK": 4}[mode]
    pixels = rng.integers(0, 256, (20 + seed % 7, 30 - seed % 5, channels), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze(), mode=mode if mode == "CMYK" else None).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def add(tar, name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def trusted(folder):
    path = folder / imagenet.DEVKIT.name
    return imagenet.DEVKIT._replace(sha256=hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.fixture
def archives(tmp_path, monkeypatch):
    """The folder, and name -> JPEG of every image; this devkit counts as the published one."""
    from scipy.io import savemat

    folder, images = tmp_path / "archives" / "imagenet2012", {}
    folder.mkdir(parents=True)
    with tarfile.open(folder / "ILSVRC2012_img_train.tar", "w") as outer:
        for number, wnid in enumerate(WNIDS):
            inner = io.BytesIO()
            with tarfile.open(fileobj=inner, mode="w") as tar:
                for i in range(2 + number % 2):
                    name = f"{wnid}_{i}.JPEG"
                    images[name] = image(10 * number + i, ("RGB", "L", "CMYK")[i % 3])
                    add(tar, name, images[name])
            add(outer, f"{wnid}.tar", inner.getvalue())
    with tarfile.open(folder / "ILSVRC2012_img_val.tar", "w") as tar:
        for i in (3, 1, 5, 2, 4):  # in any order: the labels go by name
            name = f"ILSVRC2012_val_0000000{i}.JPEG"
            images[name] = image(100 + i)
            add(tar, name, images[name])
    kind = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O")]
    rows = [(i, wnid, "a thing") for i, wnid in enumerate(WNIDS, 1)] + [(1001, "n00001740", "a group")]
    meta = io.BytesIO()
    savemat(meta, {"synsets": np.array(rows, kind)[:, None]})
    with tarfile.open(folder / "ILSVRC2012_devkit_t12.tar.gz", "w:gz") as tar:
        add(tar, "ILSVRC2012_devkit_t12/data/meta.mat", meta.getvalue())
        truth = "".join(f"{number}\n" for number in TRUTH).encode()
        add(tar, "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt", truth)
    monkeypatch.setattr(imagenet, "DEVKIT", trusted(folder))
    return tmp_path / "archives", images


def settings(**more):
    made = {"name": "imagenet2012", "splits": {"train": "train", "validation": "validation"}, "size": (8, 8), "fit": "crop"}
    return ConfigDict({**made, **more})


def decoded(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def test_every_image_with_its_class(archives, tmp_path):
    folder, images = archives
    for data_dir in (None, str(tmp_path / "data"), str(tmp_path / "data")):  # the third finds the index that the second kept
        dataset = load(settings(), data_dir, str(folder))
        assert dataset.info.class_names == tuple(sorted(WNIDS)) and dataset.info.shapes["image"] == (8, 8, 3)
        train = dataset.splits["train"]
        members = train.source.source
        assert sorted(members.index.names) == sorted(name for name in images if name.startswith("n"))
        for i, name in enumerate(members.index.names):
            example = members.gather(np.array([i]))
            np.testing.assert_array_equal(example["image"][0], decoded(images[name]))
            assert dataset.info.class_names[example["label"][0]] == name[:9]
        validation = dataset.splits["validation"]
        by_name = dict(
            zip(validation.source.source.index.names.tolist(), validation.gather(np.arange(5))["label"], strict=True)
        )
        for i, number in enumerate(TRUTH, 1):
            assert dataset.info.class_names[by_name[f"ILSVRC2012_val_0000000{i}.JPEG"]] == WNIDS[number - 1]
    assert list((tmp_path / "data" / ".arrays" / "imagenet2012").glob("train-*.npz"))


def test_streamed_by_threads_and_sent_to_workers(archives):
    source = load(settings(), None, str(archives[0])).splits["train"].source
    expected = source.gather(np.arange(len(source)))["image"]  # opens the archive, which no other process can use
    sent = pickle.loads(pickle.dumps(source))
    batches = list(Streamed(sent, Readers(threads=2)).stream([np.arange(4), np.arange(4, len(source))]))
    np.testing.assert_array_equal(np.concatenate([b["image"] for b in batches]), expected)


def test_only_the_archives_of_the_splits_that_are_asked_for(archives):
    (archives[0] / "imagenet2012" / "ILSVRC2012_img_train.tar").unlink()
    splits = {"test": "validation"}
    assert len(load(settings(splits=splits), None, str(archives[0])).splits["test"]) == 5
    with pytest.raises(UserError, match="lacks ILSVRC2012_img_train.tar"):
        load(settings(), None, str(archives[0]))


def test_what_is_wrong_is_said(archives, tmp_path):
    folder, _ = archives
    with pytest.raises(UserError, match="set dataset.size=\\(224,224\\) and dataset.fit='crop'"):
        load(settings(size=(0, 0), fit="pad"), None, str(folder))
    with pytest.raises(UserError, match="is not prepared in .* Or: Put .*ILSVRC2012_img_train.tar"):
        load(settings(), str(tmp_path / "empty"), None)
    path = folder / "imagenet2012" / "ILSVRC2012_img_val.tar"
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(UserError, match="ILSVRC2012_img_val.tar is corrupt: "):
        load(settings(), None, str(folder))


def test_labels_and_stored_bytes_without_decoding(archives, monkeypatch):
    folder, images = archives
    source = load(settings(), None, str(folder)).splits["train"]
    labels, expected = source.gather(np.arange(len(source)))["label"], fingerprint({"train": source})
    monkeypatch.setattr(decoding, "opened", lambda *args: pytest.fail("an image was decoded"))
    np.testing.assert_array_equal(column_of(source, "label"), labels)
    assert column_of(source, "alphabet") is None
    name = source.source.source.index.names[2]
    assert source.stored(np.array([2])) == [f"{name} {labels[2]} ".encode() + images[name]]
    assert fingerprint({"train": source}) == expected != fingerprint({"train": Slices([(source, 1, len(source))])})


def test_what_a_tar_claims_is_not_believed(archives):
    """The header of the first image says a terabyte: noticed when the archive is listed."""
    path = archives[0] / "imagenet2012" / "ILSVRC2012_img_val.tar"
    data = bytearray(path.read_bytes())
    info = tarfile.TarInfo("ILSVRC2012_val_00000003.JPEG")
    info.size = 1 << 40
    data[:512] = info.tobuf(tarfile.GNU_FORMAT)
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"img_val\.tar is corrupt: .*claims 1,099,511,627,776 bytes"):
        load(settings(), None, str(archives[0]))


def test_a_kept_index_that_is_damaged_is_made_again(archives, tmp_path):
    folder, data_dir = str(archives[0]), str(tmp_path / "data")
    before = load(settings(), data_dir, folder).splits["train"].source.source.index
    for kept in (tmp_path / "data" / ".arrays" / "imagenet2012").iterdir():
        kept.write_bytes(b"PK\x03\x04" + kept.read_bytes()[4:200])
    after = load(settings(), data_dir, folder).splits["train"].source.source.index
    np.testing.assert_array_equal(after.names, before.names)
    np.testing.assert_array_equal(after.labels, before.labels)


def test_a_damaged_devkit_is_refused_before_it_is_read(archives, monkeypatch):
    """Some damage makes SciPy end the program with a segmentation fault, so nothing may reach it."""
    path = archives[0] / "imagenet2012" / imagenet.DEVKIT.name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    monkeypatch.setattr(imagenet, "_devkit", lambda path: pytest.fail("it was read"))
    with pytest.raises(UserError, match=r"devkit_t12\.tar\.gz is corrupt or another version: its SHA-256 starts with"):
        load(settings(), None, str(archives[0]))
