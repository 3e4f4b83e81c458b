"""Settings of a dataset that can't be meant are refused in one line before anything is read."""

import os

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from dl.data import checks
from dl.data.load import load
from dl.errors import UserError


def loaded(name="digits", manual_dir=None, **more):
    return load(ConfigDict({"name": name, "splits": {"train": "train"}, **more}), manual_dir=manual_dir)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mean": (0.1, 0.2)}, r"dataset\.mean has 2 values, and the images 1 channel: give one for all"),
        ({"std": (0.1, 0.2, 0.3)}, r"dataset\.std has 3 values, and the images 1 channel:"),
        ({"mean": ()}, r"dataset\.mean has 0 values"),
        ({"mean": (float("nan"),)}, r"dataset\.mean=\(nan,\) must be finite numbers\."),
        ({"std": (0.0,)}, r"dataset\.std=\(0\.0,\) must be finite numbers, not 0"),
        ({"std": (float("inf"),)}, r"dataset\.std=\(inf,\) must be finite"),
        ({"mean": ("a",)}, r"dataset\.mean=\('a',\) must be finite"),
        ({"size": (200_000, 200_000)}, r"dataset\.size=\(200000, 200000\) has more than 67,108,864 pixels"),
        ({"size": (1, 10**12), "fit": "resize"}, "more than 67,108,864 pixels"),
        ({"size": (8192, 8192), "fit": "resize"}, r"images of dataset\.size=\(8192, 8192\) would take 96\.8 GB of memory"),
        ({"size": (-8, -8)}, "both positive"),
        ({"size": (8.5, 8)}, "whole numbers"),
        ({"size": ("a", "b")}, "whole numbers"),
        ({"workers": -1}, r"dataset\.workers must be a whole number from 0 to 256, not -1"),
        ({"workers": 10**6}, r"dataset\.workers must be a whole number from 0 to 256"),
        ({"margin": -1}, r"dataset\.margin must be a whole number from 0, not -1"),
        ({"margin": 4}, r"dataset\.margin 4 must leave something of images of \(8, 8\)"),
        ({"num_classes": -3}, r"dataset\.num_classes must be a whole number from 0 to 1,000,000, not -3"),
        ({"num_classes": 10**9}, r"dataset\.num_classes must be"),
        ({"name": "sonnets", "margin": 1}, "the dataset 'sonnets' has no images: leave out dataset.margin"),
        ({"name": "sonnets", "size": (4, 4), "fit": "crop"}, "the dataset 'sonnets' has no images"),
        ({"name": "npz", "path": "~nobody-of-this-name/a.npz"}, "there is no such user's folder"),
        ({"name": "npz", "path": "a\0b.npz"}, "is no path: it has a zero character"),
        ({"name": "text", "path": "a\0b"}, "is no path"),
        ({"manual_dir": "~nobody-of-this-name"}, "there is no such user's folder"),
        ({"name": "random_images", "examples": 10**9, "shape": (1000, 1000, 3)}, "does not fit into this machine's memory"),
        ({"name": "random_images", "shape": (0, 4, 1)}, "dataset.shape"),
        ({"name": "random_images", "examples": -1}, "dataset.examples"),
        ({"name": "random_text", "examples": -1}, "dataset.examples"),
        ({"name": "gaussian_mixture", "deviation": float("nan")}, "dataset.deviation=nan"),
        ({"name": "gaussian_mixture", "radius": float("inf")}, "dataset.radius=inf"),
    ],
)
def test_what_can_not_be_meant(monkeypatch, given, message):
    monkeypatch.setattr(checks, "memory", lambda: 64_000_000_000)
    with pytest.raises(UserError, match=message) as raised:
        loaded(**given)
    assert "\n" not in str(raised.value)


def test_what_is_meant():
    means = {"mean": (0.1,), "std": (-1.0,)}
    assert loaded(**means, workers=8, margin=3, size=(4, 4)).info.shapes["image"] == (4, 4, 1)
    assert loaded("random_images", shape=(4, 4, 3), examples=5, mean=(0.1, 0.2, 0.3), std=(1.0,)).info.num_classes == 10


@pytest.mark.parametrize(
    "spec", ["", "+", "train[", "train[::2]", "train[:-200%]", "train[:300%]", "träin", "train[5:5]", "\n", "train[:1e9]"]
)
def test_slices_that_are_none(spec):
    with pytest.raises(UserError) as raised:
        loaded(splits={"train": spec})
    assert "\n" not in str(raised.value)


def test_memory_is_the_containers_where_there_is_one(tmp_path, monkeypatch):
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for content, expected in (("max\n", whole), ("1000000\n", 1_000_000), (str(1 << 60), whole)):
        (tmp_path / "memory.max").write_text(content)
        monkeypatch.setattr(checks, "CGROUP", tmp_path / "memory.max")
        assert checks.memory() == expected


@pytest.mark.parametrize("by", ["image", "class"])
def test_names_that_are_not_utf_8(tmp_path, by):
    """A folder as it came out of an old zip: its names are Latin-1."""
    for number, name in enumerate((b"caf\xe9", b"th\xe9", b"eau")):
        for i in range(8):
            path = os.path.join(os.fsencode(tmp_path), name, b"%d\xe9.png" % i)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            Image.fromarray(np.full((4, 4, 3), 10 * number + i, np.uint8)).save(os.fsdecode(path))
    for more in ({}, {"fit": "crop", "size": (4, 4)}):
        dataset = loaded("folder", path=str(tmp_path), splits={"all": "all"}, split_by=by, **more)
        assert dataset.info.class_names == ("caf\\xe9", "eau", "th\\xe9")
        got = dataset.splits["all"].gather(np.arange(24))
        assert sorted(zip(got["label"].tolist(), got["image"][:, 0, 0, 0].tolist(), strict=True)) == sorted(
            (label, 10 * number + i) for number, label in enumerate((0, 2, 1)) for i in range(8)
        )
    broken = os.path.join(os.fsencode(tmp_path), b"eau", b"\xff.png")
    with open(broken, "wb") as file:
        file.write(b"no image")
    with pytest.raises(UserError, match="can't be decoded") as raised:
        loaded("folder", path=str(tmp_path), splits={"all": "all"})
    assert str(raised.value).encode("utf-8", "backslashreplace")
