import jax
import jax.numpy as jnp
import numpy as np

from dl.layers.regions import detections, matched, proposals, sampled

TRUTH = jnp.array([[0, 0, 10, 10], [20, 20, 30, 30], [40, 40, 60, 60], [0, 0, 60, 60]], jnp.float32)
THERE = jnp.array([True, True, True, False])
IGNORED = jnp.array([False, False, True, True])  # the last row is padding, whatever else is said of it


def test_boxes_are_matched_with_the_object_they_overlap_most():
    boxes = jnp.array([[0, 0, 10, 10], [0, 0, 10, 5], [24, 20, 34, 30], [45, 45, 55, 55], [0, 30, 9, 39]], jnp.float32)
    found = matched(boxes, TRUTH, THERE, IGNORED)
    np.testing.assert_allclose(found.overlap, [1, 0.5, 6 / 14, 0, 0], rtol=1e-5)
    assert found.which.tolist()[:3] == [0, 0, 1]
    assert found.covered.tolist() == [False, False, False, True, False]  # by the third object, which is ignored
    assert found.nearest.tolist() == [True, False, True, False, False]


def test_without_objects_nothing_is_matched_or_nearest():
    found = matched(TRUTH, TRUTH, jnp.zeros(4, bool), jnp.zeros(4, bool))
    assert not found.overlap.any() and not found.nearest.any() and not found.covered.any()


def test_positive_ones_come_first_and_have_their_share_at_most():
    positive, negative = jnp.arange(50) < 10, (jnp.arange(50) >= 20) & (jnp.arange(50) < 45)
    found = sampled(jax.random.key(0), positive, negative, 16, 0.25)
    assert found.positive.tolist() == [True] * 4 + [False] * 12 and found.counted.all()
    assert len(set(found.indices.tolist())) == 16
    assert all(i < 10 for i in found.indices[:4]) and all(20 <= i < 45 for i in found.indices[4:])
    other = sampled(jax.random.key(1), positive, negative, 16, 0.25)
    assert set(other.indices.tolist()) != set(found.indices.tolist())


def test_fewer_than_wanted_leave_rows_that_do_not_count():
    few = sampled(jax.random.key(0), jnp.arange(50) < 2, (jnp.arange(50) >= 2) & (jnp.arange(50) < 7), 16, 0.25)
    assert few.positive.tolist() == [True] * 2 + [False] * 14 and few.counted.tolist() == [True] * 7 + [False] * 9
    assert sorted(few.indices[:7].tolist()) == list(range(7))
    assert len(sampled(jax.random.key(0), jnp.ones(3, bool), jnp.zeros(3, bool), 16, 1.0).indices) == 3


def test_proposals_are_the_likeliest_of_each_map_without_those_that_overlap():
    fine = jnp.array([[0, 0, 8, 8], [0, 0, 8, 9], [30, 30, 38, 38]], jnp.float32)
    coarse = jnp.array([[0, 0, 8, 8], [-60, -60, -4, -4]], jnp.float32)  # the second has nothing on the image
    boxes, mask = proposals(jnp.array([0.9, 0.8, 0.7, 0.6, 5.0]), jnp.zeros((5, 4)), [fine, coarse], (40, 40), 3, 6, 0.7)
    assert mask.tolist() == [True] * 3 + [False] * 3
    np.testing.assert_allclose(boxes[:3], [fine[0], fine[2], coarse[0]], atol=1e-4)  # a map does not suppress another
    boxes, mask = proposals(jnp.array([0.9, 0.8, 0.7, 0.6, 5.0]), jnp.zeros((5, 4)), [fine, coarse], (40, 40), 1, 6, 0.7)
    assert mask.sum() == 1  # the likeliest of the coarse map is the one beyond the image


def test_what_is_found_is_sorted_and_suppressed_class_by_class():
    box = jnp.array([[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]], jnp.float32)
    boxes = jnp.stack([box, box], 1)  # of every region for two classes
    scores = jnp.array([[0.6, 0.3], [0.7, 0.2], [0.01, 0.9]])
    found, score, label, mask = detections(boxes, scores, 0.05, 5, 0.5)
    assert mask.tolist() == [True] * 3 + [False] * 2
    np.testing.assert_allclose(score[:3], [0.9, 0.7, 0.3])
    assert label[:3].tolist() == [1, 0, 1]
    np.testing.assert_allclose(found[:3], [box[2], box[1], box[0]])
