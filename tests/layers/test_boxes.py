import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pycocotools import mask as coco

from dl.layers.boxes import area, clip, decode, encode, iou, nms, to_pixels


def drawn(seed, *shape, side=100.0):
    """Boxes (ymin, xmin, ymax, xmax) of some area."""
    low, extent = np.random.default_rng(seed).uniform(0, side, (2, *shape, 2))
    return jnp.asarray(np.concatenate([low, low + extent / 2 + 1], -1), jnp.float32)


def test_overlap_is_that_of_coco():
    a, b = drawn(0, 7), drawn(1, 5)
    xywh = [
        np.concatenate([x[:, [1, 0]], (x[:, 2:] - x[:, :2])[:, ::-1]], 1).astype(np.float64) for x in map(np.asarray, (a, b))
    ]
    expected = coco.iou(*xywh, [0] * 5)
    assert (expected > 0.3).any() and (expected == 0).any()
    np.testing.assert_allclose(iou(a, b), expected, atol=1e-6)


def test_boxes_without_area_overlap_nothing():
    boxes = jnp.array([[0, 0, 0, 0], [5, 5, 3, 9], [1, 1, 4, 4]], jnp.float32)
    np.testing.assert_array_equal(iou(boxes, boxes), np.diag([0, 0, 1]))
    np.testing.assert_array_equal(area(boxes), [0, 0, 9])


def test_regression_of_a_worked_example():
    # An anchor of 20 x 10 around (20, 30); a box of 40 x 10 whose centre is 5 lower and 2 to the left.
    anchor, box = jnp.array([10.0, 25, 30, 35]), jnp.array([5.0, 23, 45, 33])
    np.testing.assert_allclose(encode(box, anchor), [5 / 20, -2 / 10, np.log(2), 0], atol=1e-6)
    np.testing.assert_allclose(decode(jnp.array([0.25, -0.2, np.log(2), 0]), anchor), box, rtol=1e-5)


def test_decoding_undoes_encoding_and_growth_has_a_limit():
    boxes, anchors = drawn(2, 3, 9), drawn(3, 3, 9)
    np.testing.assert_allclose(decode(encode(boxes, anchors), anchors), boxes, rtol=1e-4, atol=1e-3)
    large = decode(jnp.array([0, 0, 100.0, 0]), jnp.array([0.0, 0, 16, 16]))
    np.testing.assert_allclose(large[2] - large[0], 1000, rtol=1e-5)
    assert np.isfinite(jax.grad(lambda a: encode(jnp.zeros(4), a).sum())(jnp.zeros(4))).all()


def test_clipping_and_units():
    boxes = jnp.array([[-5.0, 2, 50, 200], [60, 0, 70, 5]])
    np.testing.assert_array_equal(clip(boxes, 48, 64), [[0, 2, 48, 64], [48, 0, 48, 5]])
    np.testing.assert_allclose(to_pixels(jnp.array([0.5, 0.25, 1, 1]), 48, 64), [24, 16, 48, 64])


def greedy(boxes, scores, threshold, classes, mask):
    """Suppression as it is told: sorted boxes, each against those that were kept."""
    kept, overlap = [], np.asarray(iou(boxes, boxes))
    for i in sorted(np.flatnonzero(mask), key=lambda i: -scores[i]):
        rivals = [j for j in kept if classes[i] == classes[j]]
        if all(overlap[i, j] <= threshold for j in rivals):
            kept.append(i)
    return kept


@pytest.mark.parametrize("number", [1, 3])
def test_suppression_is_the_greedy_one(number):
    random = np.random.default_rng(4)
    boxes, scores = drawn(5, 2, 80, side=30), random.uniform(size=(2, 80)).astype(np.float32)
    classes, mask = random.integers(0, number, (2, 80), np.int32), random.uniform(size=(2, 80)) < 0.8
    found = jax.jit(jax.vmap(lambda *a: nms(*a[:2], 70, 0.4, *a[2:])))(boxes, scores, classes, mask)
    for row in range(2):
        expected = greedy(boxes[row], scores[row], 0.4, classes[row], mask[row])
        assert 3 < len(expected) < min(70, mask[row].sum())  # some were suppressed, and rows are left over
        assert found.indices[row][found.mask[row]].tolist() == expected
        assert found.mask[row].sum() == len(expected) and not found.indices[row][~found.mask[row]].any()


def test_suppression_with_less_room_than_boxes_keeps_the_best_and_with_none_nothing():
    boxes = jnp.array([[0, 0, 1, 1], [2, 2, 3, 3], [4, 4, 5, 5]], jnp.float32)
    found = nms(boxes, jnp.array([0.1, 0.9, 0.5]), 2)
    assert found.indices.tolist() == [1, 2] and found.mask.tolist() == [True, True]
    assert not nms(boxes, jnp.zeros(3), 4, mask=jnp.zeros(3, bool)).mask.any()
