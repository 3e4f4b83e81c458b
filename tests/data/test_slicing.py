"""Splits by TFDS's rules, and images brought to size."""

import numpy as np
import pytest
from PIL import Image

from dl.config import base
from dl.data.load import load
from dl.data.resizing import Mapped, changed, check_size, cutting, fit_images, fitting
from dl.data.slicing import Slices, names_in, resolve, take
from dl.dataset import Arrays
from dl.errors import UserError

LENGTHS = {"train": 1797, "test": 55}
SPECS = [
    "train",
    "train[:50]",
    "train[-100:]",
    "train[33%:66%]",
    "test[:-5]",
    "train[:10%]+train[80%:]",
    "test + train[7:9]",
    "all",
]


@pytest.mark.parametrize("spec", SPECS)
def test_slices_are_those_of_tfds(spec):
    import tensorflow_datasets as tfds

    infos = {name: tfds.core.SplitInfo(name=name, shard_lengths=[n - 3, 3], num_bytes=0) for name, n in LENGTHS.items()}
    stock = tfds.core.ReadInstruction.from_spec(spec).to_absolute(infos)
    expected = [(s.splitname, range(LENGTHS[s.splitname])[s.from_ : s.to][0]) for s in stock]
    lengths = [len(range(LENGTHS[s.splitname])[s.from_ : s.to]) for s in stock]
    parts = resolve(spec, LENGTHS)
    assert [(name, start) for name, start, _ in parts] == expected
    assert [stop - start for _, start, stop in parts] == lengths


def test_percentages_round_to_the_closest():
    assert resolve("train[:33%]", {"train": 100}) == [("train", 0, 33)]
    assert resolve("train[:33%]", {"train": 10}) == [("train", 0, 3)]
    assert resolve("train[90%:]", {"train": 60000}) == [("train", 54000, 60000)]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("valid", "unknown split 'valid'"),
        ("valid[:5]", "Unknown split 'valid'"),
        ("train[:9999]", "incompatible with 1797 examples"),
        ("train[:5", "Unrecognized split format"),
        ("train[5:5]", "has no examples"),
        ("train[:1shard]", "slices by shard"),
        ("", "Unrecognized split format"),
    ],
)
def test_bad_specifications(spec, message):
    with pytest.raises(UserError, match=message) as raised:
        resolve(spec, LENGTHS)
    assert "\n" not in str(raised.value)


class Unbuffered(Arrays):
    resident = False


def test_slices_give_what_arrays_give():
    rng = np.random.default_rng(0)
    arrays = {name: {"x": rng.normal(size=(n, 2)), "label": np.arange(n)} for name, n in LENGTHS.items()}
    spec = "train[5:20]+test+train[:3]"
    resident = take(spec, {name: Arrays(values) for name, values in arrays.items()})
    view = Slices([(Unbuffered(arrays[name]), start, stop) for name, start, stop in resolve(spec, LENGTHS)])
    assert len(resident) == len(view) == 15 + 55 + 3 and not view.resident
    rows = np.array([72, 0, 14, 15, 69, 70, 3, 3])
    for name in ("x", "label"):
        np.testing.assert_array_equal(resident.gather(rows)[name], view.gather(rows)[name])
    assert resident.gather(rows)["label"].tolist() == [2, 5, 19, 0, 54, 0, 8, 8]


def test_slices_of_arrays_are_not_copied():
    whole = np.zeros((10, 2))
    assert np.shares_memory(take("train[2:]", {"train": Arrays({"x": whole})}).features["x"], whole)


def test_only_the_splits_that_are_asked_for():
    assert names_in(["train[:5%]+extra", "test"], ["train", "test", "extra", "small"]) == ["train", "test", "extra"]
    assert names_in(["all"], ["train", "test"]) == ["train", "test"]


def test_padding_is_centred_and_the_odd_row_goes_last():
    padded = fit_images(np.full((1, 2, 3, 1), 9, np.uint8), (5, 4), "pad")
    expected = np.zeros((5, 4), np.uint8)
    expected[1:3, 0:3] = 9
    np.testing.assert_array_equal(padded[0, ..., 0], expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_resizing_is_pillows_antialiased_bilinear(channels):
    images = np.random.default_rng(0).integers(0, 256, (3, 9, 12, channels), np.uint8)
    resized = fit_images(images, (4, 5), "resize")
    for image, got in zip(images, resized, strict=True):
        squeezed = image[..., 0] if channels == 1 else image
        stock = np.asarray(Image.fromarray(squeezed).resize((5, 4), Image.Resampling.BILINEAR)).reshape(4, 5, channels)
        np.testing.assert_array_equal(got, stock)


def test_resizing_floats_keeps_a_constant():
    assert fit_images(np.full((2, 9, 9, 2), 0.3, np.float32), (5, 5), "resize") == pytest.approx(0.3)


def test_streamed_images_are_fitted_as_resident_ones():
    values = {"image": np.random.default_rng(0).integers(0, 256, (6, 9, 12, 3), np.uint8), "label": np.arange(6)}
    rows = np.array([4, 1])
    resident, streamed = changed(Arrays(values), fitting((5, 6), "resize")), Mapped(Arrays(values), fitting((5, 6), "resize"))
    np.testing.assert_array_equal(resident.gather(rows)["image"], streamed.gather(rows)["image"])


def test_size_errors():
    with pytest.raises(UserError, match=r"\(3, 9\) is smaller than the images \(4, 4\); set dataset.fit to 'resize'"):
        fit_images(np.zeros((1, 4, 4, 1), np.uint8), (3, 9), "pad")
    with pytest.raises(UserError, match=r"fit 'squeeze' is unknown. Choices: pad, resize, crop"):
        check_size((0, 0), "squeeze")
    with pytest.raises(UserError, match="set dataset.size"):
        check_size((0, 0), "crop")
    for size in ((0, 3), (-1, -1), (4,)):
        with pytest.raises(UserError, match="must be"):
            check_size(size, "pad")


def test_a_margin_is_cut_off_every_side_before_resizing():
    config = base().dataset
    config.update(name="digits", splits={"test": "test"})
    whole = load(config).splits["test"].gather(np.arange(5))["image"]
    config.margin = 2
    cut = load(config)
    assert cut.info.shapes["image"] == (4, 4, 1)
    np.testing.assert_array_equal(cut.splits["test"].gather(np.arange(5))["image"], whole[:, 2:6, 2:6])
    config.update(size=(8, 8), fit="resize")
    np.testing.assert_array_equal(
        load(config).splits["test"].gather(np.arange(5))["image"], fit_images(whole[:, 2:6, 2:6], (8, 8), "resize")
    )
    config.margin = 4
    with pytest.raises(UserError, match=r"dataset.margin 4 must leave something of images of \(8, 8\)"):
        load(config)


def test_a_margin_of_images_that_are_read_as_they_are_needed():
    values = np.arange(2 * 5 * 6, dtype=np.uint8).reshape(2, 5, 6, 1)
    streamed = changed(Mapped(Arrays({"image": values}), fitting((5, 6), "pad")), cutting(1))
    np.testing.assert_array_equal(streamed.gather(np.array([1]))["image"], values[1:, 1:4, 1:5])
