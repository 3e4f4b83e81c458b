"""EAST: losses worked by hand, and boxes that come back from the maps they were made into."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.evaluation.turned_boxes import overlaps
from dl.models.east import EAST
from dl.tasks.text_detection import box_loss, boxes_of, score_loss, targets


def test_maps_say_where_the_words_are_and_boxes_come_back():
    words = np.array([[[20, 30, 16, 40, 0.3], [60, 50, 12, 30, -0.2], [5, 5, 0, 0, 0]]], np.float32)
    wanted = targets(jnp.asarray(words), jnp.array([2]), (24, 24), 4, 0.3)
    assert 8 < wanted.inside.sum() < 40
    logits = jnp.where(wanted.inside > 0, 9.0, -9.0)
    maps = jnp.concatenate([logits[..., None], wanted.distances, wanted.angle[..., None]], axis=-1)
    count = int(wanted.inside.sum())
    boxes, scores = boxes_of(maps, 4, count)
    assert (scores > 0.99).all()
    pairs = overlaps(np.asarray(boxes[0], np.float64), words[0, :2].astype(np.float64))
    np.testing.assert_allclose(pairs.max(axis=1), 1, atol=1e-3)  # each place says the whole word
    assert set(pairs.argmax(axis=1).tolist()) == {0, 1}
    none = targets(jnp.asarray(words), jnp.array([0]), (24, 24), 4, 0.3)
    assert none.inside.sum() == 0  # words beyond the count are none


def test_a_place_sees_the_four_sides():
    wanted = targets(jnp.array([[[8.0, 10.0, 12.0, 16.0, 0.0]]]), jnp.array([1]), (4, 6), 4, 0.3)
    # Shrunk by 0.3 of its height at each side it is from 5.6 to 10.4 and from 5.6 to 14.4.
    assert wanted.inside[0].astype(int).tolist() == [[0] * 6, [0, 1, 1, 1, 0, 0], [0, 1, 1, 1, 0, 0], [0] * 6]
    place = wanted.distances[0, 1, 2]  # at y 6, x 10: the box is from 2 to 14 and from 2 to 18
    np.testing.assert_allclose(place, [4, 8, 8, 8])


def test_losses_by_hand():
    logits, inside = jnp.zeros((1, 2, 2)), jnp.array([[[1.0, 0.0], [0.0, 0.0]]])
    # b = 3/4: one place within, 3/4 log 2, and three outside, 1/4 log 2 each; the mean of four.
    assert float(score_loss(logits, inside)[0]) == pytest.approx((0.75 + 3 * 0.25) * math.log(2) / 4, rel=1e-6)
    ours, theirs = jnp.array([4.0, 8.0, 8.0, 8.0]), jnp.array([4.0, 8.0, 4.0, 2.0])
    both, union = 8 * 10, 12 * 16 + 8 * 10 - 8 * 10
    assert float(box_loss(ours, theirs)) == pytest.approx(-math.log((both + 1) / (union + 1)), rel=1e-6)
    assert float(box_loss(ours, ours)) == pytest.approx(0, abs=1e-6)


def test_easts_outputs_and_parameters():
    model = EAST(16)
    variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 64, 96, 1)))
    assert sum(x.size for x in jax.tree.leaves(variables["params"])) == 378_230  # as the docstring says, counted by hand
    maps = jax.eval_shape(model.apply, variables, jnp.zeros((2, 64, 96, 1)))
    assert maps.shape == (2, 16, 24, 6)
