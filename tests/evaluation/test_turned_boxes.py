"""Turned boxes: overlap against worked examples and against counted pixels, suppression, precision and recall."""

import math

import numpy as np
import pytest
from skimage.draw import polygon2mask

from dl.evaluation.boxes_drawn import scenes_with_boxes
from dl.evaluation.turned_boxes import corners, matched, overlaps, precision_and_recall, suppressed


def box(*values):
    return np.array([values], np.float64)


def test_corners_of_a_box_that_is_turned_to_the_left():
    np.testing.assert_allclose(corners(box(10, 20, 4, 8, 0))[0], [[8, 16], [8, 24], [12, 24], [12, 16]])
    # By a right angle, counter-clockwise as it is seen: what was its right end is above.
    np.testing.assert_allclose(corners(box(10, 20, 4, 8, math.pi / 2))[0], [[14, 18], [6, 18], [6, 22], [14, 22]], atol=1e-9)


@pytest.mark.parametrize(
    ("other", "overlap"),
    [
        ((50, 50, 20, 40, 0), 1.0),
        ((50, 70, 20, 40, 0), 1 / 3),
        ((50, 50, 20, 40, math.pi / 2), 400 / 1200),
        ((50, 50, 40, 20, math.pi / 2), 1.0),
        ((50, 100, 20, 40, 0), 0.0),
    ],
)
def test_overlaps_by_hand(other, overlap):
    assert overlaps(box(50, 50, 20, 40, 0), box(*other))[0, 0] == pytest.approx(overlap, abs=1e-9)


def test_two_squares_an_eighth_of_a_turn_apart_share_an_octagon():
    common = 2 * (math.sqrt(2) - 1)
    assert overlaps(box(0, 0, 1, 1, 0), box(0, 0, 1, 1, math.pi / 4))[0, 0] == pytest.approx(common / (2 - common))


def test_overlaps_as_pixels_count_them():
    rng = np.random.default_rng(0)
    boxes = np.stack(
        [rng.uniform(35, 65, 8), rng.uniform(35, 65, 8), *rng.uniform(15, 50, (2, 8)), rng.uniform(-0.8, 0.8, 8)], 1
    )
    masks = [polygon2mask((400, 400), corners(b[None])[0] * 4) for b in boxes]
    counted = np.array([[(a & b).sum() / (a | b).sum() for b in masks] for a in masks])
    np.testing.assert_allclose(overlaps(boxes, boxes), counted, atol=0.02)


def test_of_several_boxes_of_a_word_one_is_left_between_them():
    boxes = np.concatenate([box(10, 10, 8, 20, 0), box(10, 12, 8, 20, 0), box(40, 40, 8, 20, 0.1)])
    kept, scores = suppressed(boxes, np.array([0.6, 0.9, 0.95]), 0.3)
    assert scores.tolist() == [0.95, 0.9]
    np.testing.assert_allclose(kept[0], boxes[2])
    assert kept[1, 1] == pytest.approx((0.6 * 10 + 0.9 * 12) / 1.5)
    assert len(suppressed(boxes, np.array([0.6, 0.9, 0.95]), 0.99)[0]) == 3
    assert len(suppressed(boxes[:0], np.zeros(0), 0.5)[0]) == 0


def test_precision_and_recall_of_all_images_together():
    there = [np.concatenate([box(10, 10, 8, 20, 0), box(40, 40, 8, 20, 0)]), box(20, 20, 8, 20, 0)]
    twice = np.concatenate([box(10, 10, 8, 20, 0), box(10, 11, 8, 20, 0), box(80, 80, 8, 20, 0)])
    right, seen = matched(twice, there[0])
    assert right.tolist() == [True, False, False] and seen.tolist() == [True, False]  # a word is found once
    found = precision_and_recall([twice, there[1]], there)
    assert found == pytest.approx({"precision": 2 / 4, "recall": 2 / 3, "f1": 4 / 7})
    assert precision_and_recall([twice[:0]], [there[1]]) == {"precision": 0, "recall": 0, "f1": 0}


def test_what_was_found_missed_and_wrong_is_drawn():
    image = np.zeros((1, 64, 64, 1), np.float32)
    there = np.concatenate([box(20, 30, 8, 20, 0), box(50, 30, 8, 20, 0)])
    found = np.concatenate([box(20, 30, 8, 20, 0), box(40, 50, 6, 10, 0)])
    shown = scenes_with_boxes(image, [found], [there], [["one", "two"]])
    assert shown.pixels.shape == (1, 128, 128, 3) and shown.captions == ["1 of 2 found, 1 wrong"]
    colours = {tuple(c) for c in shown.pixels.reshape(-1, 3).tolist()}
    assert {(0, 170, 60), (220, 0, 0), (240, 150, 0)} <= colours
