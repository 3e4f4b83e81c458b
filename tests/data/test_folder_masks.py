"""One's own label maps: what is read, which example is where, and what is said of each mistake."""

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from dl.data.batches.examples import examples
from dl.data.load import load
from dl.dataset import Feature, Kind
from dl.errors import UserError

SPLITS = {"train": "train", "test": "test"}
ALL = {"all": "all"}


def grey(i, shape=(6, 8)):
    """An image whose every pixel is its number."""
    return Image.fromarray(np.full((*shape, 3), i, np.uint8))


def label(i, shape=(6, 8)):
    """The classes 0 to 2 in stripes of columns, shifted by the number of the image."""
    return (np.arange(shape[1], dtype=np.uint8)[None].repeat(shape[0], 0) + i) % 3


def masks(root, count=12, shape=(6, 8)):
    for name in ("images", "labels"):
        (root / name / "day").mkdir(parents=True)
    for i in range(count):
        name = f"{'day/' * (i % 2)}{i}"
        grey(i, shape).save(root / "images" / f"{name}.bmp")
        Image.fromarray(label(i, shape)).save(root / "labels" / f"{name}.png")
    (root / "classes.txt").write_text("sky\nroad\ntree\n")
    return root


def of_masks(root, **more):
    return ConfigDict({"name": "folder_masks", "path": str(root), "splits": ALL, "channels": 3, "holdout": 20.0, **more})


@pytest.mark.parametrize("limit", [1 << 31, 0])
def test_images_and_label_maps_of_the_same_names(tmp_path, limit):
    dataset = load(of_masks(masks(tmp_path), memory_limit=limit))
    assert dataset.info.features == {
        "image": Feature(Kind.IMAGE, (6, 8, 3)),
        "label_map": Feature(Kind.LABEL_MAP, (6, 8), num_classes=3, class_names=("sky", "road", "tree")),
    }
    source = dataset.splits["all"]
    assert source.resident == (limit > 0) and len(source) == 12
    batch = source.gather(np.arange(12))
    numbers = batch["image"][:, 0, 0, 0]
    assert sorted(numbers) == list(range(12)) and batch["image"].dtype == batch["label_map"].dtype == np.uint8
    for number, found in zip(numbers.tolist(), batch["label_map"], strict=True):
        np.testing.assert_array_equal(found, label(number))


def test_an_image_stays_in_its_split_when_others_come(tmp_path):
    few, more = (masks(tmp_path / str(count), count) for count in (20, 40))

    def members(root):
        splits = {split: split for split in ("train", "validation", "test")}
        found = load(of_masks(root, splits=splits)).splits
        return {
            split: set(source.gather(np.arange(len(source)))["image"][:, 0, 0, 0].tolist()) for split, source in found.items()
        }

    before, after = members(few), members(more)
    assert set.union(*after.values()) == set(range(40)) and sum(map(len, after.values())) == 40
    assert all(before[split] == after[split] & set(range(20)) for split in before)


def test_splits_that_are_folders_are_those(tmp_path):
    masks(tmp_path / "train", 3)
    masks(tmp_path / "test", 2)
    (tmp_path / "classes.txt").write_text("a\nb\nc\n\n")
    splits = load(of_masks(tmp_path, splits=SPLITS)).splits
    assert {split: len(source) for split, source in splits.items()} == {"train": 3, "test": 2}


def test_images_of_several_sizes_are_resized_padded_and_cropped_with_their_label_maps(tmp_path):
    masks(tmp_path)
    grey(50, (12, 16)).save(tmp_path / "images" / "large.bmp")
    Image.fromarray(label(0, (12, 16))).save(tmp_path / "labels" / "large.png")
    with pytest.raises(UserError, match=r"images differ in size: .* is \(6, 8\).*large.bmp is \(12, 16\).*set dataset.size"):
        load(of_masks(tmp_path))
    for limit in (0, 1 << 31):
        source = load(of_masks(tmp_path, size=(3, 4), fit="resize", memory_limit=limit)).splits["all"]
        batch = source.gather(np.arange(13))
        large = int(np.flatnonzero(batch["image"][:, 0, 0, 0] == 50)[0])
        np.testing.assert_array_equal(batch["label_map"][large], label(0, (12, 16))[2::4, 2::4])
    padded = load(of_masks(tmp_path, size=(14, 16), fit="pad", void=9)).splits["all"].gather(np.arange(13))
    assert (padded["label_map"][large][[0, 13]] == 9).all() and (padded["label_map"][large][1:13] < 3).all()
    cropped = load(of_masks(tmp_path, size=(7, 7), fit="crop", random_crop={"scale": (0.5, 1.0)}))
    assert cropped.info.shapes["label_map"] == (7, 7)
    block = examples(cropped.splits["all"], 0, 13, {"workers": 0}, False)(0, 1, np.arange(13))
    assert block["label_map"].shape == (1, 13, 7, 7) and block["label_map"].max() == 2


def test_a_palette_holds_numbers_and_sixteen_bits_are_kept(tmp_path):
    masks(tmp_path, 2)
    coloured = Image.fromarray(label(0)).convert("P")
    coloured.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    coloured.save(tmp_path / "labels" / "0.png")
    wide = label(1).astype(np.uint16)
    wide[0, 0] = 300
    Image.fromarray(wide).save(tmp_path / "labels" / "day" / "1.png")
    with pytest.raises(UserError, match=r"day/1.png has 300 at row 0, column 0; there are 3 classes, 0 to 2, and 255 is void"):
        load(of_masks(tmp_path))
    source = load(of_masks(tmp_path, void=300, memory_limit=0)).splits["all"]
    first = next(i for i in range(2) if source.gather(np.array([i]))["image"].max() == 0)
    np.testing.assert_array_equal(source.gather(np.array([first]))["label_map"][0], label(0))


def spoil(root, what):
    """One mistake in a set of label maps."""
    if what == "size":
        Image.fromarray(label(0, (6, 9))).save(root / "labels" / "0.png")
    elif what == "class":
        Image.fromarray(label(0) + 2).save(root / "labels" / "0.png")
    elif what == "colours":
        grey(1).save(root / "labels" / "0.png")
    elif what == "no map":
        (root / "labels" / "0.png").unlink()
    elif what == "no image":
        (root / "images" / "0.bmp").unlink()
    elif what == "twice":
        grey(1).save(root / "images" / "0.png")
    elif what == "no classes":
        (root / "classes.txt").unlink()
    elif what == "class twice":
        (root / "classes.txt").write_text("sky\nsky\n")
    elif what == "no folder":
        (root / "labels").rename(root / "maps")
    elif what == "broken":
        (root / "labels" / "0.png").write_bytes(b"\x89PNG")


MISTAKES = {
    "size": r"images/0.bmp is \(6, 8\) \(height, width\) and its label map .*labels/0.png \(6, 9\): make them equal",
    "class": r"labels/0.png has 3 at row 0, column 1; there are 3 classes, 0 to 2, and 255 is void",
    "colours": r"labels/0.png is no label map: it has 3 channels \(RGB\)",
    "no map": r"images/0.bmp has no file of the same name in .*labels",
    "no image": r"labels/0.png has no file of the same name in .*images",
    "twice": r"0.bmp and .*0.png have the same name",
    "no classes": r"which classes are there\? Name them in .*classes.txt",
    "class twice": r"names the class 'sky' twice",
    "no folder": r"has no folder 'labels'",
    "broken": r"labels/0.png can't be decoded",
}


@pytest.mark.parametrize("what", MISTAKES)
def test_each_mistake_in_label_maps_is_one_line(tmp_path, what):
    spoil(masks(tmp_path), what)
    with pytest.raises(UserError, match=MISTAKES[what]) as raised:
        load(of_masks(tmp_path))
    assert "\n" not in str(raised.value)


def test_classes_may_be_counted_or_listed_elsewhere(tmp_path):
    masks(tmp_path)
    (tmp_path / "classes.txt").rename(tmp_path / "names.txt")
    assert load(of_masks(tmp_path, num_classes=3)).info.features["label_map"].class_names == ()
    named = load(of_masks(tmp_path, classes=str(tmp_path / "names.txt")))
    assert named.info.features["label_map"].class_names == ("sky", "road", "tree")
    with pytest.raises(UserError, match=r"dataset.classes: there is no file .*absent.txt"):
        load(of_masks(tmp_path, classes=str(tmp_path / "absent.txt")))
    with pytest.raises(UserError, match=r"'folder_masks' needs dataset.path, a folder with the folders 'images' and 'labels'"):
        load(of_masks("", num_classes=3))
