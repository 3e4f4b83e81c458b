"""EAST: losses worked by hand, and boxes that come back from the maps they were made into."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.evaluation.turned_boxes import overlaps
from dl.models.east import EAST
from dl.tasks.text_detection import box_loss, boxes_of, score_loss, targets

SHAPE = (24, 24)
maps_of = jax.jit(lambda words, count: targets(words, count, SHAPE, 4, 0.3))


@jax.jit
def back(wanted):
    """The boxes of the places with the highest scores, where the network says what it should."""
    logits = jnp.where(wanted.inside > 0, 9.0, -9.0)
    maps = jnp.concatenate([logits[..., None], wanted.distances, wanted.angle[..., None]], axis=-1)
    return boxes_of(maps, 4, 64)


def test_maps_say_where_the_words_are_and_boxes_come_back():
    words = np.array([[[20, 30, 16, 40, 0.3], [60, 50, 12, 30, -0.2], [5, 5, 0, 0, 0]]], np.float32)
    wanted = maps_of(words, np.array([2]))
    count = int(wanted.inside.sum())
    assert 8 < count < 40
    boxes, scores = back(wanted)
    assert (scores[0, :count] > 0.99).all() and (scores[0, count:] < 0.01).all()
    pairs = overlaps(np.asarray(boxes[0, :count], np.float64), words[0, :2].astype(np.float64))
    np.testing.assert_allclose(pairs.max(axis=1), 1, atol=1e-3)  # each place says the whole word
    assert set(pairs.argmax(axis=1).tolist()) == {0, 1}
    assert maps_of(words, np.array([0])).inside.sum() == 0  # words beyond the count are none


def test_a_place_sees_the_four_sides():
    words = np.zeros((1, 3, 5), np.float32)
    words[0, 0] = 8, 10, 12, 16, 0
    wanted = maps_of(words, np.array([1]))
    # Shrunk by 0.3 of its height at each side it is from 4.4 to 11.6 and from 5.6 to 14.4.
    inside = np.zeros(SHAPE)
    inside[1:3, 1:4] = 1
    np.testing.assert_array_equal(wanted.inside[0], inside)
    # At y 6, x 10: the box is from 2 to 14 and from 2 to 18.
    np.testing.assert_allclose(wanted.distances[0, 1, 2], [4, 8, 8, 8])


def test_losses_by_hand():
    logits, inside = jnp.zeros((1, 2, 2)), jnp.array([[[1.0, 0.0], [0.0, 0.0]]])
    # b = 3/4: one place within, 3/4 log 2, and three outside, 1/4 log 2 each; the mean of four.
    assert float(jax.jit(score_loss)(logits, inside)[0]) == pytest.approx((0.75 + 3 * 0.25) * math.log(2) / 4, rel=1e-6)
    ours, theirs = jnp.array([4.0, 8.0, 8.0, 8.0]), jnp.array([4.0, 8.0, 4.0, 2.0])
    both, union = 8 * 10, 12 * 16 + 8 * 10 - 8 * 10
    assert float(jax.jit(box_loss)(ours, theirs)) == pytest.approx(-math.log((both + 1) / (union + 1)), rel=1e-6)
    assert float(jax.jit(box_loss)(ours, ours)) == pytest.approx(0, abs=1e-6)


def test_easts_outputs_and_parameters():
    model = EAST(16)
    given = jax.eval_shape(lambda key: model.init_with_output(key, jnp.zeros((2, 64, 96, 1))), jax.random.key(0))
    assert sum(x.size for x in jax.tree.leaves(given[1]["params"])) == 378_230  # as its docstring says
    assert given[0].shape == (2, 16, 24, 6)
