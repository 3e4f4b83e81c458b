"""One's own boxes, in COCO's JSON or VOC's XML: what is read, and what is said of each mistake."""

import json

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from dl.config import base
from dl.data.batches.buckets import in_buckets, order
from dl.data.load import load
from dl.data.sources.voc import parse
from dl.dataset import Feature, Kind
from dl.errors import UserError
from dl.training.settings import prepare

SPLITS = {"train": "train", "test": "test"}
ALL = {"all": "all"}
XML = """<annotation><size><width>{w}</width><height>{h}</height></size>{objects}</annotation>"""
OBJECT = """<object><name>{name}</name><difficult>{difficult}</difficult>
<bndbox><xmin>{0}</xmin><ymin>{1}</ymin><xmax>{2}</xmax><ymax>{3}</ymax></bndbox></object>"""


def grey(i, shape=(6, 8)):
    """An image whose every pixel is its number."""
    return Image.fromarray(np.full((*shape, 3), i, np.uint8))


# Boxes: of image i there are 1 + i % 3 objects; object k begins at pixel (k, k) and is 2 wide and 3 high.


def rows(i):
    return [(k, k, k + 2, k + 3, "cat" if (i + k) % 2 else "dog", int(k == 2)) for k in range(1 + i % 3)]


def coco(root, count=12):
    root.mkdir(exist_ok=True)
    (root / "images").mkdir()
    images, annotations = [], []
    for i in range(count):
        grey(i).save(root / "images" / f"{i}.bmp")
        images.append({"id": 100 + i, "file_name": f"{i}.bmp", "height": 6, "width": 8})
        for x, y, right, bottom, name, crowd in rows(i):
            number = {"cat": 7, "dog": 3}[name]
            box = {"bbox": [x, y, right - x, bottom - y], "category_id": number, "iscrowd": crowd}
            annotations.append({"id": len(annotations), "image_id": 100 + i, **box})
    categories = [{"id": 7, "name": "cat"}, {"id": 3, "name": "dog"}]
    content = {"info": {}, "images": images, "annotations": annotations, "categories": categories}
    (root / "all.json").write_text(json.dumps(content))
    return content


def voc(root, count=12):
    for name in ("JPEGImages", "Annotations"):
        (root / name).mkdir(parents=True)
    for i in range(count):
        grey(i).save(root / "JPEGImages" / f"{i}.png")
        objects = [OBJECT.format(x + 1, y + 1, r, b, name=name, difficult=hard) for x, y, r, b, name, hard in rows(i)]
        (root / "Annotations" / f"{i}.xml").write_text(XML.format(w=8, h=6, objects="".join(objects)))
    (root / "classes.txt").write_text("dog\ncat\n")


def of_boxes(kind, root, **more):
    keys = {"coco": {"path": str(root / "all.json"), "images": str(root / "images")}, "voc": {"path": str(root)}}[kind]
    return ConfigDict({"name": kind, **keys, "splits": ALL, "channels": 3, "holdout": 20.0, **more})


MAKE = {"coco": coco, "voc": voc}


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("limit", [1 << 31, 0])
def test_boxes_are_fractions_of_their_images_with_their_classes(tmp_path, kind, limit):
    """Both formats say the same set; COCO's classes are in the order of their ids."""
    MAKE[kind](tmp_path)
    dataset = load(of_boxes(kind, tmp_path, memory_limit=limit))
    label_ = Feature(Kind.CLASS, (None,), num_classes=2, class_names=("dog", "cat"))
    assert dataset.info.features == {
        "image": Feature(Kind.IMAGE, (6, 8, 3)),
        "boxes": Feature(Kind.BOXES, (None, 4)),
        "boxes_label": label_,
        "boxes_ignored": Feature(Kind.NUMBER, (None,)),
    }
    source = dataset.splits["all"]
    assert source.resident == (limit > 0) and sorted(source.ragged["boxes"].sizes) == sorted(1 + i % 3 for i in range(12))
    batch = source.gather(np.arange(12))
    for row, i in enumerate(batch["image"][:, 0, 0, 0].tolist()):
        expected = rows(i)
        assert batch["boxes_length"][row] == batch["boxes_label_length"][row] == len(expected)
        for k, (x, y, right, bottom, name, ignored) in enumerate(expected):
            np.testing.assert_allclose(batch["boxes"][row, k], [y / 6, x / 8, bottom / 6, right / 8], atol=1e-6)
            assert batch["boxes_label"][row, k] == ("dog", "cat").index(name) and batch["boxes_ignored"][row, k] == ignored
        assert not batch["boxes"][row, len(expected) :].any()


@pytest.mark.parametrize("kind", MAKE)
def test_boxes_are_resized_padded_and_cropped_with_their_image(tmp_path, kind):
    MAKE[kind](tmp_path)
    for limit in (0, 1 << 31):
        padded = load(of_boxes(kind, tmp_path, size=(12, 8), memory_limit=limit)).splits["all"].gather(np.arange(12))
        np.testing.assert_allclose(padded["boxes"][:, 0], np.tile([3 / 12, 0, 6 / 12, 2 / 8], (12, 1)), atol=1e-6)
    cropped = load(of_boxes(kind, tmp_path, size=(7, 7), fit="crop"))
    boxes = cropped.splits["all"].gather(np.arange(12))["boxes"][
        :, 0
    ]  # the centre: rows 0.375 to 5.625, columns 1.375 to 6.625
    np.testing.assert_allclose(boxes, np.tile([0, 0, 2.625 / 5.25, 0.625 / 5.25], (12, 1)), atol=1e-6)


def test_splits_of_coco_are_files_and_those_of_voc_lists(tmp_path):
    content = coco(tmp_path)
    folder = tmp_path / "sets"
    folder.mkdir()
    for split, chosen in (("train", range(8)), ("test", range(8, 12))):
        ids = {100 + i for i in chosen}
        part = {"images": [e for e in content["images"] if e["id"] in ids], "categories": content["categories"]}
        part["annotations"] = [e for e in content["annotations"] if e["image_id"] in ids]
        (folder / f"{split}.json").write_text(json.dumps(part))
    config = of_boxes("coco", tmp_path, splits=SPLITS)
    config.path = str(folder)
    splits = load(config).splits
    np.testing.assert_array_equal(splits["test"].gather(np.arange(4))["image"][:, 0, 0, 0], np.arange(8, 12))
    assert len(splits["train"]) == 8

    voc(tmp_path / "voc")
    lists = tmp_path / "voc" / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for name, chosen in (("train", range(3)), ("val", [5, 4]), ("test", [9])):
        (lists / f"{name}.txt").write_text("".join(f"{i}\n" for i in chosen))
    splits = load(of_boxes("voc", tmp_path / "voc", splits={**SPLITS, "validation": "validation"})).splits
    assert {split: len(source) for split, source in splits.items()} == {"train": 3, "test": 1, "validation": 2}
    assert splits["validation"].gather(np.arange(2))["image"][:, 0, 0, 0].tolist() == [5, 4]


def test_boxes_in_batches_of_random_views_beyond_memory(tmp_path):
    """Buckets of boxes, of images that are read as needed: seed and step decide, and a run may be taken up anywhere."""
    coco(tmp_path, 20)
    more = {"size": (7, 7), "fit": "crop", "random_crop": {"scale": (0.5, 1.0)}, "lengths": (1, 2), "bucket_by": "boxes"}
    config = of_boxes("coco", tmp_path, **more)
    source, chosen = load(config).splits["all"], config.to_dict()
    steps = order(source, 4, chosen)
    whole, again = (in_buckets(source, 3, 4, chosen, False) for _ in range(2))
    batches = [whole(step, 1, np.arange(4)) for step in range(2 * steps.steps)]
    seen = np.concatenate([b["image"][b["mask"]] for b in batches]).reshape(40, -1)
    assert sorted(seen[:20, 0].tolist()) == sorted(seen[20:, 0].tolist()) == list(range(20))
    for step, batch in enumerate(batches):
        assert batch["boxes"].shape == (1, 4, (1, 2)[steps.bucket(step)], 4)
        assert (batch["boxes_length"] <= batch["boxes"].shape[2]).all()
    late = len(batches) - 2
    for name, values in again(late, 1, np.arange(4)).items():
        np.testing.assert_array_equal(values, batches[late][name])


@pytest.mark.parametrize("kind", MAKE)
def test_an_image_without_objects_is_an_error_or_kept_or_skipped(tmp_path, kind):
    MAKE[kind](tmp_path)
    if kind == "voc":
        (tmp_path / "Annotations" / "4.xml").write_text(XML.format(w=8, h=6, objects=""))
    else:
        content = json.loads((tmp_path / "all.json").read_text())
        content["annotations"] = [entry for entry in content["annotations"] if entry["image_id"] != 104]
        (tmp_path / "all.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"4\.(png|bmp) has no objects, and so 1 of \d+ images: .*dataset.empty='keep'.*'skip'"):
        load(of_boxes(kind, tmp_path))
    kept = load(of_boxes(kind, tmp_path, empty="keep")).splits["all"].gather(np.arange(12))
    assert kept["boxes_length"][kept["image"][:, 0, 0, 0] == 4].tolist() == [0]
    skipped = load(of_boxes(kind, tmp_path, empty="skip")).splits["all"]
    assert len(skipped) == 11 and 4 not in skipped.gather(np.arange(11))["image"][:, 0, 0, 0]
    with pytest.raises(UserError, match=r"unknown dataset\.empty 'leave'"):
        load(of_boxes(kind, tmp_path, empty="leave"))


def with_box(box):
    return lambda content: content["annotations"][0].update(bbox=box)


COCO_MISTAKES = {
    "outside": (with_box([6, 1, 4, 2]), r"box 0, from \(6, 1\) to \(10, 3\), is not within its image of 8 x 6 pixels"),
    "left of it": (with_box([-3, 1, 4, 2]), r"box 0, from \(-3, 1\) to \(1, 3\), is not within its image"),
    "below it": (with_box([1, 3, 2, 5]), r"box 0, from \(1, 3\) to \(3, 8\), is not within its image"),
    "empty": (with_box([1, 1, 0, 2]), r"box 0, from \(1, 1\) to \(1, 3\), is empty"),
    "no height": (with_box([1, 1, 2, -1]), r"is empty"),
    "not finite": (with_box([1, 1, float("nan"), 2]), r"is empty"),
    "no box": (with_box(None), r"annotation 0 has no 'bbox' \[left, top, width, height\]: it is not one of objects"),
    "three numbers": (with_box([1, 2, 3]), r"annotation 0 has no 'bbox'"),
    "category": (lambda c: c["annotations"][0].update(category_id=9), r"annotation 0 is of a category that is not listed"),
    "image": (lambda c: c["annotations"][0].update(image_id=9), r"annotation 0 is of an image that is not listed"),
    "no lists": (lambda c: c.pop("annotations"), r"is not COCO's: it should have the lists .*'annotations' is none"),
    "no id": (lambda c: c["images"][0].pop("id"), r"entry 0 of 'images' should have 'id', a whole number, and has None"),
    "twice": (lambda c: c["images"][1].update(file_name="0.bmp"), r"names an image or its id twice"),
    "no images": (lambda c: c["images"].clear(), r"has no images"),
    "file": (lambda c: c["images"][0].update(file_name="absent.bmp"), r"lacks absent.bmp, which the JSON names"),
    "size": (lambda c: c["images"][0].update(width=9), r"0.bmp is \(6, 8\) \(height, width\), and the JSON says \(6, 9\)"),
}


@pytest.mark.parametrize("what", COCO_MISTAKES)
def test_each_mistake_in_coco_is_one_line(tmp_path, what):
    spoiled, said = COCO_MISTAKES[what]
    content = coco(tmp_path)
    spoiled(content)
    (tmp_path / "all.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=said) as raised:
        load(of_boxes("coco", tmp_path))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "said"), [("[1]", "is not COCO's: it should have the lists"), ("{", "is no JSON"), ("[" * 10**5, "is no JSON")]
)
def test_a_json_that_is_not_cocos(tmp_path, text, said):
    coco(tmp_path)
    (tmp_path / "all.json").write_text(text)
    with pytest.raises(UserError, match=said):
        load(of_boxes("coco", tmp_path))


def test_classes_that_are_listed_are_those_and_no_others(tmp_path):
    coco(tmp_path)
    (tmp_path / "classes.txt").write_text("bird\ncat\ndog\n")
    found = load(of_boxes("coco", tmp_path)).info.features["boxes_label"]
    assert found.class_names == ("bird", "cat", "dog")
    (tmp_path / "classes.txt").write_text("bird\ncat\n")
    with pytest.raises(UserError, match=r"class in .*all.json 'dog'|unknown class in .*'dog'"):
        load(of_boxes("coco", tmp_path))
    voc(tmp_path / "voc")
    (tmp_path / "voc" / "classes.txt").unlink()
    assert load(of_boxes("voc", tmp_path / "voc")).info.features["boxes_label"].class_names == ("cat", "dog")
    (tmp_path / "voc" / "classes.txt").write_text("cat\n")
    with pytest.raises(UserError, match=r"unknown class in .*\.xml 'dog'"):
        load(of_boxes("voc", tmp_path / "voc"))


def test_vocs_pixels_are_counted_from_one_and_a_box_has_both_its_corners():
    one = OBJECT.format(1, 1, 8, 6, name="cat", difficult=0) + OBJECT.format(3, 2, 3, 2, name="dog", difficult=1)
    found = parse(XML.format(w=8, h=6, objects=one).encode(), "one.xml")
    assert found == ((6, 8), [(0, 0, 8, 6), (2, 1, 3, 2)], ["cat", "dog"], [0, 1])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<annotation>", "is no XML that can be read"),
        ("<html></html>", "is not VOC's: it should be an <annotation>, and is a <html>"),
        (XML.format(w=8, h=6, objects="<object><name>cat</name></object>"), r"<bndbox><xmin> should be a number, and is None"),
        (XML.format(w=9, h=6, objects=OBJECT.format(1, 1, 2, 2, name="cat", difficult=0)), r"says \(6, 9\): it is of another"),
        (XML.format(w=8, h=6, objects=OBJECT.format(5, 1, 4, 2, name="cat", difficult=0)), "is empty"),
        (XML.format(w=8, h=6, objects=OBJECT.format(5, 1, 10, 2, name="cat", difficult=0)), "is not within its image of 8 x 6"),
    ],
)
def test_each_mistake_in_voc_is_one_line(tmp_path, text, said):
    voc(tmp_path)
    (tmp_path / "Annotations" / "3.xml").write_text(text)
    with pytest.raises(UserError, match=said) as raised:
        load(of_boxes("voc", tmp_path))
    assert "\n" not in str(raised.value) and "3." in str(raised.value)


def test_a_file_that_is_missing_is_named(tmp_path):
    voc(tmp_path)
    (tmp_path / "Annotations" / "3.xml").unlink()
    with pytest.raises(UserError, match=r"Annotations lacks 3.xml"):
        load(of_boxes("voc", tmp_path))
    with pytest.raises(UserError, match=r"has no folder 'JPEGImages'"):
        load(of_boxes("voc", tmp_path / "Annotations"))
    with pytest.raises(UserError, match=r"'coco' needs dataset.images, the folder of its images"):
        coco(tmp_path)
        load(of_boxes("coco", tmp_path, images=""))


def test_a_box_a_pixel_beyond_the_rim_is_cut_off(tmp_path):
    """Tools differ in whether they count from 0 or 1."""
    content = coco(tmp_path)
    content["annotations"][0]["bbox"] = [-1, -0.5, 10, 4]
    (tmp_path / "all.json").write_text(json.dumps(content))
    batch = load(of_boxes("coco", tmp_path)).splits["all"].gather(np.arange(12))
    first = batch["boxes"][batch["image"][:, 0, 0, 0] == 0][0, 0]
    np.testing.assert_allclose(first, [0, 0, 3.5 / 6, 1])


@pytest.mark.parametrize("name", ["coco/2017", "voc/2007"])
def test_tfds_sets_of_these_names_have_a_configuration(tmp_path, name):
    with pytest.raises(UserError, match=rf"dataset '{name}' is not prepared in {tmp_path}"):
        load(ConfigDict({"name": name, "splits": ALL}), data_dir=str(tmp_path))
    config = base()
    config.lock()
    prepare(config, {"dataset.name": name, "dataset.image": "image", "dataset.label_maps": "('a',)"})
    assert "image" in config.dataset and "images" not in config.dataset


@pytest.mark.parametrize("name", ["coco", "voc", "folder_masks"])
def test_flags_say_all_of_it(name):
    """Every key of the documentation is one, of the type of its default, whatever the config was made for."""
    config = base()
    config.lock()
    keys = {"classes": "a.txt", "memory_limit": "1"}
    keys |= {"coco": {"images": "b", "empty": "skip", "lengths": "(8,)"}, "voc": {"empty": "keep"}}.get(name, {"void": "11"})
    prepare(config, {"dataset.name": name, **{f"dataset.{key}": value for key, value in keys.items()}})
    assert {type(config.dataset[key]) for key in keys} <= {str, int, tuple} and set(keys) <= set(config.dataset)
    with pytest.raises(UserError, match=r"no such key: dataset.maps"):
        prepare(config, {"dataset.name": name, "dataset.maps": "c"})
