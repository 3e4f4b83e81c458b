"""Rendered roads: the wheel's angle by hand, what is seen where, and that an example is a function of seed and number."""

import numpy as np
import pytest
from ml_collections import ConfigDict

from dl.data.load import load_unread
from dl.data.sources import rendered_roads
from dl.data.sources.rendered_roads import Road, render, steering
from dl.errors import UserError


def roads(**settings):
    splits = {"train": "train", "test": "test"}
    return load_unread(ConfigDict({"name": "rendered_roads", "splits": splits, "examples": 300, **settings})).splits


def test_the_wheel_by_hand():
    assert steering(Road(0.0, 0.0, 0.0)) == 0
    # Straight ahead and 12 m to the right: 45 degrees, sqrt(288) m away; atan(2 * 2.7 * sqrt(1/2) / sqrt(288)) = 12.68 degrees.
    assert steering(Road(12.0, 0.0, 0.0)) == pytest.approx(15 * np.degrees(np.arctan(5.4 * 0.5**0.5 / 288**0.5)), rel=1e-6)
    # A circle through the car, tangent to its heading, is driven with atan(L / R): R = 100 m, and x(12) is nearly 12^2 / 200.
    assert steering(Road(0.0, 0.0, 0.01)) == pytest.approx(15 * np.degrees(np.arctan(2.7 / 100)), rel=5e-3)
    assert steering(Road(-0.5, 0.0, 0.0)) < 0 < steering(Road(0.0, 0.05, 0.0))


def test_the_lane_is_seen_where_it_is():
    """On a straight road the right line is 1.8 m to the right: at the bottom row f * 1.8 / z pixels from the middle."""
    columns = []
    for offset in (0.0, -0.6):
        image = render(Road(offset, 0.0, 0.0), np.random.default_rng(5)).astype(float)
        row = image[-1].mean(-1)
        columns.append(110 + np.argmax(row[110:]))  # the line is brighter than asphalt and grass
    horizon = rendered_roads.HORIZON + np.random.default_rng(5).uniform(-2, 2)
    z = rendered_roads.FOCAL * rendered_roads.CAMERA / (65.5 - horizon)
    seen = [100 + rendered_roads.FOCAL * (1.8 + offset) / z for offset in (0.0, -0.6)]
    np.testing.assert_allclose(columns, seen, atol=4)
    assert columns[1] < columns[0] - 10


def test_an_example_is_a_function_of_seed_split_and_number():
    train, test = roads()["train"], roads()["test"]
    some = train.gather(np.array([3, 7, 3]))
    again = roads()["train"].gather(np.array([7]))
    np.testing.assert_array_equal(some["image"][1], again["image"][0])
    np.testing.assert_array_equal(some["image"][0], some["image"][2])
    assert not np.array_equal(some["image"][0], some["image"][1])
    assert not np.array_equal(test.gather(np.array([3]))["image"][0], some["image"][0])
    assert not np.array_equal(roads(seed=1)["train"].gather(np.array([3]))["image"][0], some["image"][0])
    np.testing.assert_array_equal(train.column("target")[[3, 7]], some["target"][:2])
    numbers = np.array([[1, 2], [1, 3]], np.uint64)
    first, second = train.draw(np.array([0, 0]), numbers), train.draw(np.array([9, 9]), numbers)
    np.testing.assert_array_equal(first["image"], second["image"])  # of the numbers alone
    assert not np.array_equal(first["image"][0], first["image"][1])


def test_angles_go_both_ways_and_can_be_seen():
    """Half of the asphalt's centre of mass follows the bend, so that even a straight line through it says something."""
    found = roads()["train"].gather(np.arange(120))
    assert abs(found["target"].mean()) < 15 and 35 < found["target"].std() < 65
    image = found["image"].astype(float)
    grey = image.max(-1) - image.min(-1) < 25  # asphalt and paint have no colour
    columns = np.arange(200)
    middle = np.stack([(grey[:, r] * columns).sum(1) / np.maximum(grey[:, r].sum(1), 1) for r in (30, 40, 60)], 1)
    design = np.concatenate([middle, np.ones((120, 1))], 1)
    weights = np.linalg.lstsq(design[:80], found["target"][:80], rcond=None)[0]
    left = found["target"][80:] - design[80:] @ weights
    assert 1 - left.var() / found["target"][80:].var() > 0.5


def test_no_examples_are_a_line():
    with pytest.raises(UserError, match=r"dataset.examples=0 must be at least 1"):
        roads(examples=0)
