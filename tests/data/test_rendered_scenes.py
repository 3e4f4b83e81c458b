"""Scenes of rendered words: boxes are around their words as these are turned, and a scene is a function of its numbers."""

import math

import numpy as np
import pytest
from ml_collections import ConfigDict

from dl.data.load import load
from dl.data.rendering import fonts, vocabulary
from dl.data.rendering.scenes import Scenery, line, room
from dl.errors import UserError
from dl.evaluation.turned_boxes import corners, overlaps


def config(**more):
    splits = {"train": "train", "test": "test"}
    return ConfigDict({"name": "rendered_scenes", "splits": splits, "fonts": "embedded", "side": 96, **more})


def test_a_scene_is_a_function_of_its_numbers():
    source = load(config()).splits["train"].source
    keys = np.random.Philox(0).random_raw(12).reshape(6, 2)
    first, again = source.draw(np.arange(6), keys), source.draw(np.arange(6)[::-1], keys)
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    assert first["image"].shape == (6, 96, 96, 1) and first["words"].shape == (6, 6, 5)
    assert (first["words_length"] >= 1).all() and len(np.unique(first["words_length"])) > 1
    for boxes, count, length in zip(first["words"], first["words_length"], first["text_length"], strict=True):
        assert (boxes[count:] == 0).all() and (length[count:] == 0).all()
        inside = corners(boxes[:count])
        assert inside.min() > -2 and inside.max() < 98  # in the image
        pairs = overlaps(boxes[:count], boxes[:count])
        assert (pairs[~np.eye(count, dtype=bool)] == 0).all()  # no word on another one


@pytest.mark.parametrize("seed", range(4))
def test_the_box_is_around_the_ink_as_the_line_is_turned(seed):
    faces = fonts.faces(fonts.EMBEDDED)
    ink, (height, width), angle = line(np.random.default_rng(seed), "HANDLE", faces, 128, Scenery(turn=30.0))
    y, x = np.nonzero(ink > 0.5)
    dy, dx = y + 0.5 - ink.shape[0] / 2, x + 0.5 - ink.shape[1] / 2
    right, down = dx * math.cos(angle) - dy * math.sin(angle), dx * math.sin(angle) + dy * math.cos(angle)
    assert abs(right.max() - width / 2) < 2 and abs(right.min() + width / 2) < 2
    assert abs(down.max() - height / 2) < 2 and abs(down.min() + height / 2) < 2


def test_a_full_wall_has_no_room():
    rng = np.random.default_rng(0)
    assert room(rng, (4, 4), np.ones((16, 16), bool)) is None and room(rng, (20, 4), np.zeros((16, 16), bool)) is None
    top, left = room(rng, (4, 4), np.zeros((16, 16), bool))
    assert 0 <= top <= 12 and 0 <= left <= 12


def test_the_words_are_what_the_scene_says():
    batch = load(config(examples=10)).splits["test"].gather(np.arange(3))
    for row, lengths, count in zip(batch["text"], batch["text_length"], batch["words_length"], strict=True):
        read = [vocabulary.SYMBOLS.decode(symbols[:n]) for symbols, n in zip(row, lengths, strict=True)]
        assert sum(bool(word) for word in read) <= count


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"side": 100}, "dataset.side=100 must be a multiple of 32"),
        ({"scenery": {"most": 0}}, "most=0 must be at least 1"),
        ({"scenery": {"heights": (30, 10)}}, "heights"),
        ({"fonts": "nowhere"}, "there is no such folder"),
    ],
)
def test_one_line_for_what_is_wrong(wrong, message):
    with pytest.raises(UserError, match=message):
        load(config(**wrong))
