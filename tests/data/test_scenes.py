"""Published sets of label maps, boxes and masks: counts, classes, and single examples as the archives hold them."""

import io
import zipfile

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from dl.data.load import load, load_unread
from dl.dataset import Kind
from dl.errors import UserError

COUNTS = {
    "camvid": {"train": 367, "validation": 101, "test": 233},
    "bccd": {"train": 205, "validation": 87, "test": 72},
    "penn_fudan": {"train": 120, "test": 50},
}
SIZES = {"camvid": (0, 0), "bccd": (0, 0), "penn_fudan": (320, 320)}
ARCHIVES = {"camvid": "CamVid_480x360.zip", "bccd": "BCCD_v1.0_data.zip", "penn_fudan": "PennFudanPed_320.zip"}


def config(name, *splits, **more):
    return ConfigDict({"name": name, "splits": {split: split for split in splits}, "size": SIZES[name], "channels": 3, **more})


def test_camvids_counts_and_classes(shared_data):
    dataset = load(config("camvid", "validation"), manual_dir=str(shared_data))
    source = dataset.splits["validation"]
    assert len(source) == 101 and dataset.info.shapes == {"image": (360, 480, 3), "label_map": (360, 480)}
    maps = source.features["label_map"]
    counts = np.bincount(maps.ravel(), minlength=12)
    assert counts.sum() == 101 * 360 * 480 and len(counts) == 12 and (counts > 0).all()
    with zipfile.ZipFile(shared_data / "camvid" / ARCHIVES["camvid"]) as file:
        last = np.asarray(Image.open(io.BytesIO(file.read("CamVid/valannot/0016E5_08159.png"))))
        image = np.asarray(Image.open(io.BytesIO(file.read("CamVid/val/0016E5_08159.jpg"))))
    np.testing.assert_array_equal(maps[-1], last)
    np.testing.assert_array_equal(source.features["image"][-1], image)
    names = dataset.info.features["label_map"].class_names
    assert len(names) == 11 and dataset.info.features["label_map"].void == 11
    # The sky is bright and above, the road below: what the classes are called is what they are.
    rows = np.broadcast_to(np.arange(360)[:, None], (360, 480))
    height = {name: np.mean([rows[m == c].mean() for m in maps[::20] if (m == c).any()]) for c, name in enumerate(names)}
    brightness = {c: source.features["image"][::20][maps[::20] == c].mean() for c in (0, 3)}
    assert height["sky"] < height["building"] < height["car"] < height["road"] and brightness[0] > 1.5 * brightness[3]


def test_bccds_published_counts_and_splits(shared_data):
    dataset = load(config("bccd", *COUNTS["bccd"], memory_limit=0), manual_dir=str(shared_data))
    assert {split: len(source) for split, source in dataset.splits.items()} == COUNTS["bccd"]
    assert dataset.info.features["boxes_label"].class_names == ("RBC", "WBC", "Platelets")
    found = [source.whole.split.small for source in dataset.splits.values()]
    classes = np.concatenate([small["boxes_label"].whole for small in found])
    assert np.bincount(classes).tolist() == [4155, 372, 361]  # as its README says
    boxes = np.concatenate([small["boxes"].whole for small in found])
    sides = (boxes[:, 2:] - boxes[:, :2]) * (480, 640)
    assert (sides > 0.99).all() and (sides < 1.01).all(axis=1).sum() == 2 and boxes.min() >= 0 and boxes.max() <= 1
    first = dataset.splits["train"].gather(
        np.array([0])
    )  # BloodImage_00001.xml: WBC at 68, 315, 286, 480, RBC at 346, 361, 446, 454
    np.testing.assert_allclose(first["boxes"][0, 0], [314 / 480, 67 / 640, 480 / 480, 286 / 640], atol=1e-6)
    np.testing.assert_allclose(first["boxes"][0, 1], [360 / 480, 345 / 640, 454 / 480, 446 / 640], atol=1e-6)
    assert first["boxes_label"][0, :2].tolist() == [1, 0] and first["image"].shape == (1, 480, 640, 3)


def test_penn_fudans_boxes_are_around_its_masks(shared_data):
    dataset = load(config("penn_fudan", "train", "test"), manual_dir=str(shared_data))
    assert {split: len(source) for split, source in dataset.splits.items()} == COUNTS["penn_fudan"]
    sizes = [source.ragged["boxes"].sizes for source in dataset.splits.values()]
    assert sum(map(np.sum, sizes)) == 423 and min(map(np.min, sizes)) >= 1  # annotated pedestrians
    assert dataset.info.features["instances"].kind is Kind.LABEL_MAP and dataset.info.shapes["instances"] == (320, 320)
    batch = dataset.splits["test"].gather(np.arange(50))
    for instances, boxes, length in zip(batch["instances"], batch["boxes"], batch["boxes_length"], strict=True):
        assert instances.max() == length
        for number in range(length):
            rows, columns = np.nonzero(instances == number + 1)
            around = np.array([rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]) / 320
            np.testing.assert_allclose(boxes[number], around, atol=1e-6)


def test_a_crop_keeps_masks_and_boxes_together(shared_data):
    """Where a pedestrian is seen, so is the box of the same number, and it is around what is seen."""
    made = config("penn_fudan", "test", size=(96, 96), fit="crop", random_crop={"scale": (0.3, 0.6)})
    source = load(made, manual_dir=str(shared_data)).splits["test"]
    numbers = np.random.default_rng(0).integers(0, np.iinfo(np.uint64).max, (50, 22), np.uint64)
    drawn = source.draw(np.arange(50), numbers)
    gone = 0
    for instances, boxes, length in zip(drawn["instances"], drawn["boxes"], drawn["boxes_length"], strict=True):
        for number in range(length):
            rows, columns = np.nonzero(instances == number + 1)
            if boxes[number, 2] <= boxes[number, 0]:
                gone += 1
                assert len(rows) == 0
            elif len(rows):
                seen = np.array([rows.min(), columns.min(), rows.max() + 1, columns.max() + 1])
                inner = boxes[number] * 96
                assert (seen[:2] >= inner[:2] - 1).all() and (seen[2:] <= inner[2:] + 1).all()
    assert 5 < gone < 100


@pytest.mark.parametrize("name", COUNTS)
def test_what_is_known_without_files_is_what_the_files_hold(name, shared_data):
    settings = config(name, *COUNTS[name], memory_limit=0)
    known = load_unread(settings, known=True)
    assert {split: len(source) for split, source in known.splits.items()} == COUNTS[name]
    if name != "camvid":
        read = load_unread(settings, manual_dir=str(shared_data))
        assert known.info.features == read.info.features and list(known.splits) == list(read.splits)
        for split in known.splits:
            ours, theirs = (dataset.splits[split].gather(np.array([0])) for dataset in (known, read))
            assert {k: (v.shape, v.dtype) for k, v in ours.items()} == {k: (v.shape, v.dtype) for k, v in theirs.items()}


@pytest.mark.parametrize("name", COUNTS)
def test_without_the_archive_one_line_says_where_to_put_it(name, tmp_path):
    for folder in (None, str(tmp_path)):
        with pytest.raises(UserError, match=ARCHIVES[name]) as raised:
            load(config(name, "test"), manual_dir=folder)
        assert "\n" not in str(raised.value)
    (tmp_path / name).mkdir()
    (tmp_path / name / ARCHIVES[name]).write_bytes(b"PK")
    with pytest.raises(UserError, match="is corrupt or another version"):
        load(config(name, "test"), manual_dir=str(tmp_path))
