"""The fingerprint changes where the data do, and nowhere else."""

import os
import pathlib
import shutil
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from dl.data import fingerprint as module
from dl.data.fingerprint import fingerprint
from dl.data.load import load
from dl.data.ragged import RaggedArrays, ragged
from dl.data.slicing import Slices
from dl.data.sources.celeba import Zipped
from dl.dataset import Arrays
from dl.errors import UserError

ROOT = pathlib.Path(__file__).parents[2]


def arrays(**changes):
    image = (np.arange(300 * 1024) ** 2 % 251).astype(np.uint8).reshape(300, 32, 32, 1)
    return Arrays({"image": image, "label": np.arange(300, dtype=np.int32) % 7} | changes)


@pytest.mark.parametrize("block", [1 << 20, 1 << 14])
def test_every_value_in_memory_counts(monkeypatch, block):
    """In blocks of 16 kilobytes, of which one in five is hashed and the others are added up, too."""
    monkeypatch.setattr(module, "BLOCK", block)
    monkeypatch.setattr(module, "WHOLE", 4 * block)
    base = arrays()
    expected = fingerprint({"train": base})
    for row in range(0, 300, 7):
        image = base.features["image"].copy()
        image[row, row % 8, 3] ^= 1
        assert fingerprint({"train": arrays(image=image)}) != expected
    label = base.features["label"].copy()
    label[[10, 11]] += [1, -1]
    for change in ({"label": label}, {"label": label.astype(np.int64)}, {"image": image.reshape(300, 16, 64, 1)}):
        assert fingerprint({"train": arrays(**change)}) != expected
    shorter = Arrays({name: values[:-1] for name, values in base.features.items()})
    for splits, names in (
        ({"train": shorter}, ()),
        ({"test": base}, ()),
        ({"train": base, "test": base}, ()),
        ({"train": base}, "ab"),
    ):
        assert fingerprint(splits, tuple(names)) != expected
    assert fingerprint({"train": arrays(image=np.asfortranarray(base.features["image"]))}) == expected
    two = {"a": base, "b": arrays(label=label)}
    assert fingerprint(dict(reversed(two.items()))) == fingerprint(two)


def test_it_is_the_same_in_another_process():
    program = "from tests.data.test_fingerprint import arrays, fingerprint; print(fingerprint({'train': arrays()}, ('ä', 'b')))"
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    here = fingerprint({"train": arrays()}, ("ä", "b"))
    assert ran.stdout.strip() == here
    assert here == "2caae33cd275364f01c4b480c2c8100989b4ff1fd75cd35519191f70dada1e8b"  # and on another machine


@pytest.fixture
def folder(tmp_path):
    for label, name in enumerate(("cat", "dog")):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(30):
            pixels = np.random.default_rng(100 * label + i).integers(0, 256, (9 + i % 3, 8, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "set" / name / f"{i}.png")
    return tmp_path / "set"


def of_folder(path, fit="crop", split="all"):
    settings = {"name": "folder", "path": str(path), "splits": {"train": split}, "size": (4, 4), "fit": fit}
    return fingerprint(load(ConfigDict(settings)).splits)


@pytest.mark.parametrize(("fit", "split"), [("crop", "all"), ("crop", "train[:50%]+train[50%:]"), ("resize", "all")])
def test_a_replaced_file_is_noticed_and_a_copied_folder_is_not(folder, tmp_path, fit, split):
    before = of_folder(folder, fit, split)
    os.utime(folder / "cat" / "3.png", (0, 0))
    shutil.copytree(folder, tmp_path / "elsewhere" / "else", copy_function=shutil.copyfile)
    assert of_folder(folder, fit, split) == of_folder(tmp_path / "elsewhere" / "else", fit, split) == before
    shutil.copyfile(folder / "dog" / "3.png", folder / "cat" / "3.png")
    if split == "all":
        assert of_folder(folder, fit, split) != before
    shutil.move(folder / "cat" / "0.png", folder / "dog" / "new.png")
    assert of_folder(folder, fit, split) != before


def test_a_file_that_is_gone_is_said(folder):
    settings = {"name": "folder", "path": str(folder), "splits": {"train": "all"}, "size": (4, 4), "fit": "crop"}
    splits = load(ConfigDict(settings)).splits
    (folder / "cat" / "0.png").unlink()
    with pytest.raises(UserError, match=r"0\.png can't be read: No such file"):
        fingerprint(splits)


def test_members_of_a_zip_count_and_nothing_is_decoded(tmp_path):
    marks = []
    for content in (b"no image", b"none either"):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
            file.writestr("1.jpg", content)
        marks.append(fingerprint({"train": Zipped(tmp_path / "a.zip", ["1.jpg"], (4, 4))}))
    assert marks[0] != marks[1]


def test_slices_of_arrays_count_by_its_sample():
    base, other = arrays(), arrays(label=np.zeros(300, np.int32))
    views = [Slices([(a, 10, 20), (b, 0, 5)]) for a, b in ((base, base), (base, other), (other, base))]
    assert len({fingerprint({"train": view}) for view in views}) == 3


def test_it_is_quick():
    """55 MB, as MNIST, and 1.3 million files of which 64 are read; the best of a few, as the machine may be busy."""
    small = {"train": Arrays({"image": np.zeros((70_000, 28, 28, 1), np.uint8), "label": np.zeros(70_000, np.int32)})}

    class Many:
        resident = False

        def __len__(self):
            return 1_300_000

        def gather(self, indices):
            raise AssertionError("nothing is to be decoded")

        def stored(self, indices):
            assert len(indices) == 64 and indices[0] == 0 and indices[-1] == 1_299_999
            return [bytes(100_000)] * len(indices)

    for splits, limit in ((small, 0.1), ({"train": Many(), "test": Many()}, 0.1)):
        times = []
        for _ in range(5):
            start = time.perf_counter()
            fingerprint(splits)
            times.append(time.perf_counter() - start)
        assert min(times) < limit


def test_ragged_features_count_by_their_values_and_lengths():
    def of(*sentences):
        return fingerprint({"train": RaggedArrays({"token": ragged([np.array(s, np.int32) for s in sentences])})})

    assert of([1, 2], [3]) == of([1, 2], [3])
    assert len({of([1, 2], [3]), of([1], [2, 3]), of([1, 2], [4]), of([3], [1, 2])}) == 4
