"""Several datasets as one."""

import numpy as np
import pytest
from ml_collections import ConfigDict

from dl.data.load import load
from dl.errors import UserError


def settings(splits, parts=None, **more):
    parts = parts or {"a": {"name": "digits"}, "b": {"name": "digits", "size": (16, 16), "fit": "resize"}}
    return ConfigDict({"name": "join", "parts": parts, "splits": splits, "size": (16, 16), "fit": "pad", **more})


def images(source):
    return source.gather(np.arange(len(source)))["image"]


def test_splits_of_both_at_one_size():
    splits = {"train": "a_train[:100]", "unlabelled": "a_train[:100]+b_train", "test": "b_test"}
    data = load(settings(splits))
    assert {name: len(source) for name, source in data.splits.items()} == {"train": 100, "unlabelled": 1542, "test": 355}
    assert data.info.shapes["image"] == (16, 16, 1) and data.info.num_classes == 10
    alone = load(
        ConfigDict({"name": "digits", "splits": {"train": "train", "test": "test"}, "size": (16, 16), "fit": "resize"})
    )
    np.testing.assert_array_equal(images(data.splits["unlabelled"])[100:], images(alone.splits["train"]))
    np.testing.assert_array_equal(images(data.splits["test"]), images(alone.splits["test"]))
    padded = images(data.splits["train"])
    assert (padded[:, :4] == 0).all() and padded[:, 4:12, 4:12].max() == 255  # `fit` of the whole, where a part has none


def test_digits_of_two_origins(shared_data):
    splits = {"train": "uci_train[:200]+usps_test[:100]", "test": "usps_test"}
    parts = {"uci": {"name": "digits"}, "usps": {"name": "usps"}}
    data = load(settings(splits, parts, fit="resize"), None, str(shared_data))
    assert (len(data.splits["train"]), len(data.splits["test"])) == (300, 2007)
    np.testing.assert_array_equal(images(data.splits["train"])[200:], images(data.splits["test"])[:100])
    assert data.info.name == "digits+usps"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parts": {}}, "needs dataset.parts"),
        ({"splits": {"train": "c_train"}}, "unknown split of the joined dataset 'c_train'"),
        ({"splits": {"train": "a_training"}}, "unknown split 'training'"),
        ({"splits": {"train": "a_train+b_train"}, "size": (0, 0)}, r"images of \(8, 8, 1\) and \(16, 16, 1\) \(b\)"),
        ({"parts": {"a": {"name": "digts"}}}, "unknown dataset 'digts'"),
    ],
)
def test_mistakes_are_named(changes, message):
    made = settings({"train": "a_train"})
    for key, value in changes.items():
        made[key] = ConfigDict(value) if isinstance(value, dict) else value
    with pytest.raises(UserError, match=message):
        load(made)


def test_classes_must_be_the_same(tmp_path):
    path = tmp_path / "three.npz"
    pixels, labels = np.zeros((30, 8, 8, 1), np.uint8), np.arange(30) % 3
    np.savez(path, x_train=pixels, y_train=labels, x_test=pixels, y_test=labels)
    parts = {"a": {"name": "digits"}, "b": {"name": "npz", "path": str(path)}}
    with pytest.raises(UserError, match="differ in their classes: digits and npz"):
        load(settings({"train": "a_train+b_train"}, parts))
