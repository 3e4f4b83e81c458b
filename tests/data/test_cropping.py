"""Crops of images of many sizes: which windows are drawn, what is made of them, and that only seed and step decide."""

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from dl.data.batches.examples import NumbersAt, examples
from dl.data.cropping import NUMBERS, Cropped, RandomCrop, central_window, random_crop, random_window, resized
from dl.data.load import load
from dl.dataset import Drawn, Source
from dl.errors import UserError


@pytest.fixture
def folder(tmp_path):
    """Two classes of twelve JPEGs and PNGs of different sizes."""
    rng = np.random.default_rng(0)
    for label, name in enumerate(("cat", "dog")):
        for split in ("train", "validation"):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(6):
                pixels = rng.integers(0, 256, (20 + 3 * i, 41 - 2 * i - label, 3), np.uint8)
                Image.fromarray(pixels).save(tmp_path / split / name / f"{i}.{('jpg', 'png')[i % 2]}")
    return tmp_path


def settings(folder, **more):
    splits = {"train": "train", "validation": "validation"}
    made = ConfigDict({"name": "folder", "path": str(folder), "splits": splits, "size": (16, 12), "fit": "crop"})
    made.update(more)
    return made


def test_windows_have_the_areas_and_ratios_of_the_distribution():
    """5,000 windows of a large image: area uniform in 8 to 100 % (of those that fit), ratio log-uniform in 3/4 to 4/3."""
    numbers = NumbersAt(3)
    boxes = np.array([random_window((2000, 2000), RandomCrop(), numbers(p)) for p in range(5000)])
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    assert boxes.min() >= 0 and boxes.max() <= 2000
    share, ratio = width * height / 4e6, np.log(width / height)
    assert 0.0795 < share.min() < 0.09 and 0.95 < share.max() <= 1
    small = share[share < 0.7]  # these fit whatever their ratio, so they are uniform
    assert np.quantile(small, 0.5) == pytest.approx((0.08 + 0.7) / 2, abs=0.01)
    assert ratio.min() >= np.log(3 / 4) - 2e-3 and ratio.max() <= np.log(4 / 3) + 2e-3
    assert np.quantile(ratio[share < 0.7], [0.25, 0.5, 0.75]) == pytest.approx(
        np.log(4 / 3) * np.array([-0.5, 0, 0.5]), abs=0.02
    )
    start = boxes[share < 0.25][:, 0] / (2000 - width[share < 0.25])
    assert np.quantile(start, [0.25, 0.5, 0.75]) == pytest.approx([0.25, 0.5, 0.75], abs=0.03)


def test_where_no_draw_fits_the_centre_is_taken():
    """An image ten times as wide as high has no window of 90 % of its area with a ratio of 4/3 at most."""
    crop = RandomCrop(scale=(0.9, 1.0))
    assert random_window((30, 300), crop, NumbersAt(0)(0)) == (130, 0, 170, 30)
    assert random_window((300, 30), crop, NumbersAt(0)(0)) == (0, 130, 30, 170)


def test_the_central_window_is_resize_256_and_centre_224():
    assert central_window((256, 256), (224, 224)) == (16, 16, 240, 240)
    assert central_window((512, 1024), (224, 224)) == (288, 32, 736, 480)
    image = np.random.default_rng(0).integers(0, 256, (512, 684, 3), np.uint8)
    small = Image.fromarray(image).resize((342, 256), Image.Resampling.BILINEAR)
    two_steps = np.asarray(small.crop((59, 16, 59 + 224, 240)))
    np.testing.assert_array_equal(resized(image, central_window((512, 684), (224, 224)), (224, 224)), two_steps)


def test_the_whole_image_at_its_size_is_itself_and_greys_stay_grey():
    image = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    np.testing.assert_array_equal(resized(image, (0, 0, 7, 9), (9, 7)), image)
    np.testing.assert_array_equal(resized(image[..., :1], (2, 1, 6, 8), (7, 4)), image[1:8, 2:6, :1])


def test_evaluation_sees_centres_and_training_windows_that_seed_and_step_decide(folder):
    crop = {"scale": (0.3, 1.0)}
    dataset = load(settings(folder, random_crop=crop))
    source = dataset.splits["train"]
    assert dataset.info.shapes["image"] == (16, 12, 3) and isinstance(source, Drawn) and isinstance(source, Source)
    np.testing.assert_array_equal(
        source.gather(np.arange(12))["image"], load(settings(folder)).splits["train"].gather(np.arange(12))["image"]
    )

    options = {"workers": 0}
    whole = examples(source, 5, 8, options, False)(0, 6, np.arange(8))
    assert whole["image"].shape == (6, 8, 16, 12, 3) and whole["image"].dtype == np.uint8
    late = examples(source, 5, 8, options, False)(4, 2, np.arange(8))
    np.testing.assert_array_equal(late["image"], whole["image"][4:])  # taken up at step 4
    half = examples(source, 5, 8, options, False)(0, 6, np.arange(4, 8))
    np.testing.assert_array_equal(half["image"], whole["image"][:, 4:])  # the second of two processes
    other = examples(source, 6, 8, options, False)(0, 6, np.arange(8))
    assert (other["image"] != whole["image"]).any()
    first, second = ((whole["label"].reshape(-1), whole["image"].reshape(48, -1).astype(int)) for _ in range(2))
    assert len(np.unique(first[1], axis=0)) > 40  # 24 examples' four views each, next to none of them twice
    assert np.bincount(second[0]).tolist() == [24, 24]


def test_without_random_crop_training_sees_centres(folder):
    source = load(settings(folder)).splits["train"]
    block = examples(source, 5, 12, {"workers": 0}, False)(0, 1, np.arange(12))
    centres = source.gather(np.arange(12))["image"].reshape(12, -1)
    assert sorted(block["image"].reshape(12, -1).tolist()) == sorted(centres.tolist())


def test_slices_of_a_split_are_cropped_too(folder):
    sliced = settings(folder, splits={"train": "train[:50%]", "validation": "train[50%:]"}, random_crop={"ratio": (1.0, 1.0)})
    splits = load(sliced).splits
    numbers = np.stack([NumbersAt(0)(p) for p in range(6)])
    whole = Cropped(splits["train"].source.source.parts[0][0], (16, 12), RandomCrop(ratio=(1.0, 1.0)))
    np.testing.assert_array_equal(
        splits["validation"].draw(np.arange(6), numbers)["image"], whole.draw(np.arange(6, 12), numbers)["image"]
    )


def test_bad_settings_are_said(folder):
    with pytest.raises(UserError, match=r"scale must be \(low, high\)"):
        random_crop({"scale": (0.5, 1.5)})
    with pytest.raises(UserError, match="ratio"):
        random_crop({"ratio": (2, 1)})
    with pytest.raises(UserError, match="'area' is unknown|area"):
        random_crop({"area": 1})
    with pytest.raises(UserError, match="needs dataset.fit='crop'"):
        load(settings(folder, fit="resize", random_crop={"scale": (0.1, 1.0)}))


def test_numbers_do_not_repeat():
    drawn = np.stack([NumbersAt(seed)(p) for seed in (0, 1) for p in range(200)])
    assert drawn.shape == (400, NUMBERS) and len(np.unique(drawn)) == drawn.size
