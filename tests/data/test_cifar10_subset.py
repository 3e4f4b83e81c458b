"""The subset of CIFAR-10: counts, order, and pixels as the zip holds them."""

import io
import zipfile

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from dl.data.load import load
from dl.errors import UserError

SETTINGS = ConfigDict({"name": "cifar10_subset", "splits": {"train": "train", "test": "test", "some": "train[:500]"}})


def test_published_counts_and_pixels(shared_data):
    dataset = load(SETTINGS, manual_dir=str(shared_data))
    for split, count in (("train", 2000), ("test", 1000)):
        features = dataset.splits[split].features
        assert features["image"].shape == (count, 32, 32, 3) and features["image"].dtype == np.uint8
        assert np.bincount(features["label"]).tolist() == [count // 10] * 10
    assert np.bincount(dataset.splits["some"].features["label"]).min() > 30  # a slice holds all classes
    both = np.concatenate([dataset.splits[s].features["image"] for s in ("train", "test")]) / 255
    np.testing.assert_allclose(both.mean((0, 1, 2)), (0.494, 0.484, 0.448), atol=1e-3)
    with zipfile.ZipFile(shared_data / "cifar10_subset" / "cifar10_2000train_1000test_png.zip") as file:
        frog = np.asarray(Image.open(io.BytesIO(file.read(next(n for n in file.namelist() if n.startswith("test/frog/"))))))
    test = dataset.splits["test"].features
    found = np.flatnonzero((test["image"] == frog).all((1, 2, 3)))
    assert [dataset.info.class_names[test["label"][i]] for i in found] == ["frog"]


def test_without_the_archive_one_line_says_where_to_put_it(tmp_path):
    for folder in (None, str(tmp_path)):
        with pytest.raises(UserError, match="cifar10_2000train_1000test_png.zip"):
            load(SETTINGS, manual_dir=folder)
