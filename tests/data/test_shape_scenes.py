"""SHAPES: what scenes and questions mean, against the published files; what is generated, from a seed alone."""

import io
import json
import zipfile

import numpy as np
import pytest
from ml_collections import ConfigDict

from dl.data import shape_scenes as shapes
from dl.data.load import load
from dl.data.sources.shapes import MEMBERS, generated
from dl.errors import UserError
from dl.vocabulary import PAD

PUBLISHED = {"tiny": 64, "train": 640, "validation": 1024, "test": 1024}


def seen(images: np.ndarray) -> shapes.Scenes:
    """What is in the cells of images [N, 30, 30, 3], RGB, by their colours and by where their pixels lie."""
    cells = images.reshape(-1, 3, 10, 3, 10, 3).transpose(0, 1, 3, 2, 4, 5).astype(float)
    colour, light = cells.sum((3, 4)).argmax(-1), cells.max(-1)
    there = light.max((3, 4)) > 100
    share = light / np.maximum(light.max((3, 4), keepdims=True), 1)
    rows, columns, area = share.sum(4), share.sum(3), np.maximum(share.sum((3, 4)), 1e-9)
    filled = area / np.maximum(rows.max(-1) * columns.max(-1), 1e-9)
    kind = np.where(rows[..., :5].sum(-1) / area < 0.4, 2, np.where(filled > 0.87, 1, 0))
    nothing = np.zeros(there.shape)
    return shapes.Scenes(np.where(there, colour, -1), np.where(there, kind, -1), nothing, np.zeros((*there.shape, 3)))


def settings(name="shapes", **changes):
    splits = {split: split for split in changes.pop("splits", PUBLISHED)}
    return ConfigDict({"name": name, "splits": splits, **changes})


def test_the_published_answers_follow_from_the_scenes(shared_data):
    dataset = load(settings(), manual_dir=str(shared_data))
    with zipfile.ZipFile(shared_data / "shapes_vqa" / "shapes.zip") as archive:
        for split, count in PUBLISHED.items():
            member = f"shapes_dataset/{MEMBERS[split]}"
            written, said = (archive.read(f"{member}.{end}").decode().splitlines() for end in ("query", "query_str.txt"))
            layouts = json.loads(archive.read(f"{member}.query_layout_symbols.json"))
            bgr = np.load(io.BytesIO(archive.read(f"{member}.input.npy")))
            features = dataset.splits[split].features
            np.testing.assert_array_equal(features["image"], bgr[..., ::-1])
            scenes = seen(features["image"])
            assert len(written) == count
            for one in set(written):
                rows = [i for i, other in enumerate(written) if other == one]
                tree = shapes.parse(one)
                answers = shapes.answers(shapes.Scenes(*(part[rows] for part in scenes)), tree)
                np.testing.assert_array_equal(answers, features["label"][rows], one)
                assert {said[i] for i in rows} == {shapes.said(tree)}
                modules = ["_" + shapes.MODULES[module].title() for module, _ in shapes.layout(tree)]
                assert all(layouts[i] == modules for i in rows)


def test_what_is_drawn_is_what_is_meant():
    scenes = shapes.scenes(3, 200)
    again = seen(shapes.drawn(scenes))
    np.testing.assert_array_equal(again.colour, scenes.colour)
    assert (again.shape == scenes.shape).mean() > 0.98  # a small circle looks like a square
    assert 0.77 < (scenes.shape >= 0).mean() < 0.83


def test_a_scene_depends_on_its_seed_and_position_alone():
    few, many, other = shapes.scenes(0, 5), shapes.scenes(0, 50), shapes.scenes(1, 5)
    for one, two in zip(few, many, strict=True):
        np.testing.assert_array_equal(one, two[:5])
    assert (few.colour != other.colour).any()
    questions = shapes.questions()
    one, two = generated(4, 20, questions).features, generated(4, 30, questions).features
    for name, values in one.items():
        np.testing.assert_array_equal(values, two[name][:20])


def test_a_relation_is_about_neighbours():
    """A red circle in the middle, a green square to its right and a blue triangle below it."""
    colour, shape = np.full((2, 1, 3, 3), -1)
    colour[0, 1, 1], shape[0, 1, 1] = 0, 0
    colour[0, 1, 2], shape[0, 1, 2] = 1, 1
    colour[0, 2, 1], shape[0, 2, 1] = 2, 2
    scene = shapes.Scenes(colour, shape, np.zeros((1, 3, 3)), np.zeros((1, 3, 3, 3)))
    yes = ["(is red circle)", "(is red (left_of green))", "(is square (right_of circle))", "(is blue (below red))"]
    yes += ["(is circle (above triangle))", "(is square (right_of (above blue)))"]
    no = ["(is red square)", "(is green (left_of red))", "(is green (above blue))", "(is blue (below square))"]
    for written in yes + no:
        assert shapes.answers(scene, shapes.parse(written)) == [written in yes], written


def test_a_layout_is_the_tree_in_postfix_order():
    found = shapes.layout(shapes.parse("(is red (left_of (above square)))"))
    named = [(shapes.MODULES[module], shapes.ARGUMENTS[argument]) for module, argument in found]
    assert named == [
        ("find", "red"),
        ("find", "square"),
        ("transform", "above"),
        ("transform", "left_of"),
        ("and", "none"),
        ("answer", "none"),
    ]
    assert shapes.VOCABULARY.names[0] == PAD and len(shapes.questions()) == len(set(shapes.questions())) == 756
    assert shapes.arrays(shapes.questions())["form"].tolist().count(2) == 576


@pytest.mark.parametrize(
    "written", ["is red", "(is red", "(is purple)", "(red)", "(is (near red) blue)", "(is red blue green)"]
)
def test_what_is_no_question_is_one_line(written):
    with pytest.raises(UserError, match="is no question of SHAPES"):
        shapes.parse(written)


def test_generated_scenes_ask_no_question_of_the_tests(shared_data):
    dataset = load(settings(splits=("generated", "validation", "test"), generated=800), manual_dir=str(shared_data))
    asked = {name: {bytes(row) for row in source.features["question"]} for name, source in dataset.splits.items()}
    assert len(asked["generated"]) > 200 and len(asked["test"]) == len(asked["validation"]) == 16
    assert not asked["generated"] & (asked["test"] | asked["validation"])
    share = np.bincount(dataset.splits["generated"].features["form"]) / 800
    np.testing.assert_allclose(share, [2 / 11, 6 / 11, 3 / 11], atol=0.06)


def test_numbers_out_of_range_are_one_line():
    with pytest.raises(UserError, match="dataset.generated=0 must be at least 1"):
        load(settings("shape_scenes", splits=("train",), generated=0))


def test_captions_say_what_is_there():
    scenes = shapes.scenes(5, 30)
    for number, texts in enumerate(shapes.captions(scenes, 5)):
        assert len(texts) == 5
        one = shapes.Scenes(*(part[number : number + 1] for part in scenes))
        for text in texts:
            words = text.split()
            assert shapes.answers(one, ("is", words[1], words[2]))
            if len(words) > 3:
                relation = "_".join(words[3:-3])
                assert shapes.answers(one, ("is", words[1], (relation, words[-2])))
                assert shapes.answers(one, ("is", words[2], (relation, words[-1])))
