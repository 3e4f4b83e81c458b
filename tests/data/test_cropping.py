"""Crops of images of many sizes: which windows are drawn, what is made of them, and that only seed and step decide."""

import io

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from dl import registry
from dl.data.batches.examples import NumbersAt, examples
from dl.data.cropping import NUMBERS, Cropped, RandomCrop, central_window, numbers_of, random_crop, random_window, resized
from dl.data.load import load
from dl.data.ragged import in_memory, ragged
from dl.data.resizing import seen_through
from dl.dataset import Arrays, Dataset, Drawn, Feature, Info, Kind, Source
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
    assert central_window((4, 6), (4, 4)) == (1.25, 0.25, 4.75, 3.75)  # between pixels, where the middle is
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


SCENE = {
    "image": Feature(Kind.IMAGE, (16, 32, 1)),
    "depth": Feature(Kind.IMAGE, (16, 32, 3), image="image"),
    "classes": Feature(Kind.LABEL_MAP, (16, 32), void=9),
    "boxes": Feature(Kind.BOXES, (None, 4)),
    "points": Feature(Kind.POINTS, (2, 2)),
    "other": Feature(Kind.IMAGE, (16, 32, 1)),
    "score": Feature(Kind.NUMBER, (2,)),
}


def scene():
    """Two examples whose image, label map, second image and an image that moves by itself all show the column of each pixel."""
    columns = np.broadcast_to(np.arange(32, dtype=np.uint8), (2, 16, 32))
    boxes = [np.float32([[0.25, 0.5, 0.75, 0.75], [0.0, 0.0, 1.0, 0.25], [0.0, 0.0, 0.05, 1.0]]), np.zeros((0, 4), np.float32)]
    return in_memory(
        {
            "image": columns[..., None],
            "depth": np.repeat(columns[..., None], 3, axis=3),
            "classes": columns,
            "boxes": ragged(boxes),
            "points": np.float32([[[0.5, 0.5], [0.5, 0.2]]] * 2),
            "other": columns[..., None],
            "score": np.float32([[0.1, 0.2], [0.3, 0.4]]),
        }
    )


def test_what_lies_on_a_cropped_image_is_cropped_with_it():
    """By hand: of 16 x 32 the central 14 x 14 (rows 1 to 14, columns 9 to 22) becomes 7 x 7."""
    out = Cropped(scene(), (7, 7), features=SCENE).gather(np.arange(2))
    assert {name: values.shape[1:] for name, values in out.items() if name in SCENE} == {
        "image": (7, 7, 1),
        "depth": (7, 7, 3),
        "classes": (7, 7),
        "boxes": (3, 4),
        "points": (2, 2),
        "other": (7, 7, 1),
        "score": (2,),
    }
    np.testing.assert_array_equal(out["classes"][0], np.tile(np.arange(10, 23, 2), (7, 1)))  # the nearest of two, never a mean
    # Rows 4 to 12 and columns 16 to 24 of the image, of which 1 to 15 and 9 to 23 are seen; the second has no column left.
    np.testing.assert_allclose(out["boxes"][0, 0], [3 / 14, 7 / 14, 11 / 14, 1.0], atol=1e-6)
    np.testing.assert_array_equal(out["boxes"][0, 1:], np.zeros((2, 4)))
    np.testing.assert_array_equal(out["boxes_length"], [3, 0])
    np.testing.assert_allclose(out["points"][0], [[0.5, 0.5], [-1, -1]], atol=1e-6)
    np.testing.assert_array_equal(out["score"], scene().features["score"])
    np.testing.assert_array_equal(out["depth"], out["image"].repeat(3, axis=3))


def test_a_random_window_is_the_same_for_all_that_lies_on_the_image_and_another_for_another_image():
    source = Cropped(scene(), (8, 8), RandomCrop(scale=(0.1, 0.5)), SCENE)
    numbers = np.stack([NumbersAt(4)(position) for position in range(40)])
    out = source.draw(np.zeros(40, int), numbers)
    np.testing.assert_array_equal(out["depth"], out["image"].repeat(3, axis=3))
    assert abs(out["classes"].astype(int) - out["image"][..., 0]).max() <= 2  # the same columns, nearest and interpolated
    assert (out["other"] != out["image"]).any((1, 2, 3)).sum() > 35
    for row, drawn in enumerate(numbers):
        window = random_window((16, 32), source.crop, drawn)
        whole = scene().gather(np.array([0]))
        for name in ("boxes", "points", "classes"):
            expected = seen_through(SCENE[name], whole[name][0], window, (16, 32), (8, 8))
            np.testing.assert_array_equal(out[name][row], expected)
        other = random_window((16, 32), source.crop, numbers_of(drawn, 1))
        np.testing.assert_array_equal(out["other"][row], resized(whole["other"][0], other, (8, 8)))
    first = numbers[0]
    assert numbers_of(first, 0) is first and not np.isin(numbers_of(first, 1), first).any()


def test_files_are_cropped_with_what_lies_on_them_upright_or_turned():
    """Of a file that says the bytes of its images: the same as of the decoded image."""

    class OneFile:
        resident, channels = False, 1

        def __init__(self, orientation):
            self.whole = scene().gather(np.array([0]))
            pixels, exif, file = self.whole["image"][0], Image.Exif(), io.BytesIO()
            exif[0x0112] = orientation
            stored = pixels[::-1, ::-1] if orientation == 3 else pixels
            Image.fromarray(np.ascontiguousarray(stored[..., 0])).save(file, "PNG", exif=exif)
            self.content = file.getvalue()

        def __len__(self):
            return 1

        def gather(self, indices):
            return {name: values[indices] for name, values in self.whole.items()}

        def encoded(self, index):
            return self.content, "one.png"

        def rest(self, index):
            return {name: values[0] for name, values in self.whole.items() if name not in ("image", "depth", "other")}

    features = {name: SCENE[name] for name in ("image", "classes", "boxes", "points", "score")}
    numbers = NumbersAt(2)(0)[None]
    expected = Cropped(scene(), (7, 5), RandomCrop(), SCENE)
    for orientation in (1, 3):
        source = Cropped(OneFile(orientation), (7, 5), RandomCrop(), features)
        for found, wanted in (
            (source.gather(np.array([0])), expected.gather(np.array([0]))),
            (source.draw(np.array([0]), numbers), expected.draw(np.array([0]), numbers)),
        ):
            assert set(found) == {*features, "boxes_length"}
            for name, values in found.items():
                np.testing.assert_array_equal(values, wanted[name], err_msg=name)


def test_a_label_map_of_another_size_than_its_image_is_said():
    arrays = Arrays({"image": np.zeros((1, 8, 8, 3), np.uint8), "classes": np.zeros((1, 8, 9), np.uint8)})
    with pytest.raises(UserError, match=r"'classes' is of the size \(8, 9\) and its image of \(8, 8\)"):
        Cropped(arrays, (4, 4), features=SCENE).gather(np.array([0]))


def test_float_images_of_three_channels_are_cropped():
    image = np.random.default_rng(0).random((1, 8, 8, 3)).astype(np.float32)
    source = Cropped(Arrays({"image": image}), (7, 7))
    np.testing.assert_allclose(
        source.gather(np.array([0]))["image"][..., 1:2],
        Cropped(Arrays({"image": image[..., 1:2]}), (7, 7)).gather(np.array([0]))["image"],
    )


def test_the_configuration_crops_all_kinds(monkeypatch):
    own = Dataset(Info("own", SCENE), {"train": scene()})
    monkeypatch.setitem(registry.public("dl.data.sources"), "own", lambda *_: own)
    made = load(ConfigDict({"name": "own", "splits": {"train": "train"}, "size": (7, 7), "fit": "crop"}))
    assert made.info.shapes["classes"] == (7, 7) and made.info.shapes["boxes"] == (None, 4)
    batch = made.splits["train"].gather(np.array([1, 0]))
    assert batch["boxes"].shape == (2, 3, 4) and batch["boxes_length"].tolist() == [0, 3]
    assert made.splits["train"].ragged["boxes"].sizes.tolist() == [3, 0]


@pytest.mark.parametrize(("value", "fine"), [(4, True), (255, True), (5, False), (-1, False)])
def test_a_label_map_holds_classes_or_void_and_an_example_that_does_not_is_named(monkeypatch, value, fine):
    maps = np.zeros((1030, 2, 3), np.int32)
    maps[1027, 1, 2] = value
    features = {"classes": Feature(Kind.LABEL_MAP, (2, 3), num_classes=5)}
    own = Dataset(Info("own", features), {"train": Arrays({"classes": maps})})
    monkeypatch.setitem(registry.public("dl.data.sources"), "own", lambda *_: own)
    config = ConfigDict({"name": "own", "splits": {"train": "train"}})
    if fine:
        assert len(load(config).splits["train"]) == 1030
        return
    with pytest.raises(UserError, match=rf"classes {value} of example 1027 .* 5 classes, 0 to 4, and 255 is void"):
        load(config)
