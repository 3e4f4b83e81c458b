"""Pairs and whole classes are drawn purely, in the stated ratio, and never an example with itself."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from dl.data import augmentation
from dl.data.batches.pairs import classes, pair_features, pairs
from dl.data.identities import feature_of, identities, sample_pairs
from dl.data.load import load
from dl.data.pipeline import fetch, standardise
from dl.data.resizing import Mapped, fitting
from dl.data.slicing import Slices
from dl.data.sources import folder
from dl.dataset import Arrays, Feature, Kind
from dl.errors import UserError


def source(count=240, of=12, groups=3):
    """Images whose only pixel is their number, so that it can be seen which were drawn."""
    number = np.arange(count, dtype=np.float32)
    label = (np.arange(count) % of).astype(np.int32)
    return Arrays({"image": number.reshape(-1, 1, 1, 1), "label": label, "alphabet": label % groups})


def drawn(read, start=0, count=1, rows=None):
    batch = read(start, count, np.arange(64) if rows is None else rows)
    return {k: v.reshape(v.shape[:2]).astype(int) for k, v in batch.items()}


@pytest.mark.parametrize("make", [pairs, classes])
def test_a_row_is_a_function_of_seed_step_and_row(make):
    read = make(source(), 3, 64, {"per_class": 8}, False)
    whole = read(0, 6, np.arange(64))
    some = np.array([5, 17, 40])
    for part in (make(source(), 3, 64, {"per_class": 8}, False)(4, 2, some), read(4, 2, some)):
        assert part.keys() == whole.keys()
        for name, values in part.items():
            np.testing.assert_array_equal(values, whole[name][4:][:, some])
    other = make(source(), 4, 64, {"per_class": 8}, False)(0, 6, np.arange(64))
    assert any((other[name] != whole[name]).any() for name in whole)


def test_a_pair_does_not_depend_on_the_batch_size():
    small, large = (drawn(pairs(source(), 0, size, {}, False), 7, 1, np.arange(16)) for size in (16, 64))
    for name in small:
        np.testing.assert_array_equal(small[name], large[name])


@pytest.mark.parametrize("ratio", [1.0, 3.0, 10])
def test_pairs_hit_the_ratio_and_are_what_they_say(ratio):
    batch = drawn(pairs(source(), 0, 64, {"ratio": ratio}, False), 0, 200)
    left, right, same = (batch[name].ravel() for name in ("left", "right", "same"))
    np.testing.assert_array_equal(left % 12 == right % 12, same)
    assert (left != right).all()
    share, expected = same.mean(), 1 / (1 + ratio)
    assert abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / len(same))
    for side in (left, right):  # every class, and every example of it, as often as any other
        assert np.bincount(side % 12, minlength=12).std() < 4 * np.sqrt(len(side) / 12)
        assert np.bincount(side, minlength=240).min() > 0


def test_dissimilar_pairs_stay_within_their_group():
    batch = drawn(pairs(source(), 0, 64, {"group": "alphabet", "ratio": 5.0}, False), 0, 50)
    left, right = batch["left"] % 12, batch["right"] % 12
    np.testing.assert_array_equal(left % 3, right % 3)
    seen = {(a, b) for a, b in zip(left.ravel(), right.ravel(), strict=True)}
    assert len(seen) == 3 * 4 * 4  # every pair of classes within a group, both ways


def test_classes_without_repetition():
    batch = drawn(classes(source(), 0, 64, {"per_class": 8}, False), 0, 40)
    for images, labels in zip(batch["image"], batch["label"], strict=True):
        assert len(set(images)) == 64
        np.testing.assert_array_equal(images % 12, labels)
        groups = labels.reshape(8, 8)
        assert (groups == groups[:, :1]).all() and len(set(groups[:, 0])) == 8
    assert np.bincount(batch["image"].ravel(), minlength=240).min() > 0


def test_on_the_device_indices_stand_for_the_same_images():
    data = source()
    for make in (pairs, classes):
        here, there = (make(data, 1, 32, {}, on_device)(2, 1, np.arange(32)) for on_device in (False, True))
        constants = {name: jnp.asarray(values) for name, values in data.features.items()}
        fetched = fetch(constants, {name: jnp.asarray(values[0]) for name, values in there.items()})
        for name, values in here.items():
            np.testing.assert_array_equal(values[0], fetched[name])


def test_both_sides_are_standardised_and_augmented_apart():
    """The sides of a pair are scaled like any image, and draw keys of their own; `same` stays as it is."""
    sides = {side: jnp.full((4, 2, 2, 1), 255, jnp.uint8) for side in ("left", "right")}
    batch = {**sides, "same": jnp.ones(4, bool)}
    settings = {"mean": (0.5,), "std": (0.25,)}

    features = pair_features({"image": Feature(Kind.IMAGE, (2, 2, 1))}, {})
    noise = augmentation.build({"gaussian_noise": {}}, features)
    plain = standardise(batch, features, settings)
    assert (np.asarray(plain["left"]) == 2.0).all() and (np.asarray(plain["right"]) == 2.0).all()
    noisy = standardise(batch, features, settings, partial(noise, jax.random.key(0)))
    assert (np.asarray(noisy["left"]) != np.asarray(noisy["right"])).all()
    assert noisy["same"].dtype == bool


def test_labels_are_found_below_slices_and_resizing():
    data = source()
    view = Slices([(data, 10, 20), (data, 0, 5)])
    np.testing.assert_array_equal(feature_of(view, "label"), np.r_[data.features["label"][10:20], data.features["label"][:5]])
    np.testing.assert_array_equal(feature_of(Mapped(data, fitting((2, 2), "pad")), "alphabet"), data.features["alphabet"])


@pytest.mark.parametrize("crop", [{}, {"random_crop": {"scale": (0.5, 1.0)}}])
@pytest.mark.parametrize("split", ["train", "train[:50%]+train[50%:]"])
def test_labels_of_images_that_are_not_in_memory_are_known_without_reading_one(tmp_path, monkeypatch, crop, split):
    for number in range(24):
        path = tmp_path / "train" / "abc"[number % 3] / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (6, 5 + number % 2), number).save(path)
    settings = {"name": "folder", "path": str(tmp_path), "splits": {"train": split}, "fit": "crop", "size": (4, 4), **crop}
    data = load(ConfigDict(settings)).splits["train"]
    read = []
    contents = folder.contents
    monkeypatch.setattr(folder, "contents", lambda path: read.append(path) or contents(path))
    np.testing.assert_array_equal(feature_of(data, "label"), [0] * 8 + [1] * 8 + [2] * 8, strict=False)
    made = [pairs(data, 0, 4, {}, False), classes(data, 0, 4, {"per_class": 2}, False)]
    with pytest.raises(UserError, match="'writer', and the data have none"):
        pairs(data, 0, 4, {"group": "writer"}, False)
    assert not read
    for make in made:
        make(0, 1, np.arange(4))
    assert len(read) == 8 + 4


def test_a_source_that_does_not_know_its_columns_is_read_once():
    class Slow:
        resident = False

        def __len__(self):
            return 2500

        def gather(self, indices):
            return {"image": np.zeros((len(indices), 1, 1, 1), np.uint8), "label": indices % 7}

    view = Slices([(Slow(), 5, 20), (source(), 0, 3)])
    np.testing.assert_array_equal(feature_of(view, "label"), np.r_[np.arange(5, 20) % 7, 0, 1, 2])
    with pytest.raises(UserError, match="'alphabet'"):
        feature_of(view, "alphabet")  # one of the two has it


def test_pairs_of_two_classes_of_two():
    """The smallest dataset there is: all of its 4 similar and 8 dissimilar ordered pairs come up."""
    raw = np.random.Philox(0).random_raw(6 * 500).reshape(-1, 6)
    left, right, same = sample_pairs(identities(np.array([7, 9, 7, 9])), 1.0, raw)
    assert len({(a, b) for a, b in zip(left[same], right[same], strict=True)}) == 4
    assert len({(a, b) for a, b in zip(left[~same], right[~same], strict=True)}) == 8


@pytest.mark.parametrize(
    ("make", "data", "given", "message"),
    [
        (pairs, source(), {"ratio": 0.5}, "ratio is of dissimilar to similar pairs and must be between 1 and 10"),
        (pairs, source(), {"ratio": 11}, "between 1 and 10"),
        (pairs, source(of=1, groups=1), {}, "need at least 2 classes, and the training split has 1"),
        (pairs, source(count=13), {}, "at least 2 examples of every class.*fewer of 11 of them .class 1 has 1."),
        (pairs, source(), {"group": "writer"}, "'writer', and the data have none"),
        (pairs, source(of=3), {"group": "alphabet"}, "within dataset.group='alphabet', and one has a single class"),
        (classes, source(), {"per_class": 1}, "per_class=1 must be at least 2"),
        (classes, source(), {"per_class": 3}, "batch_size=64 at least"),
        (classes, source(), {"per_class": 4}, "at least 16 classes, and the training split has 12"),
        (classes, source(count=48), {"per_class": 8}, "at least 8 examples of every class"),
    ],
)
def test_bad_input(make, data, given, message):
    with pytest.raises(UserError, match=message):
        make(data, 0, 64, given, False)
