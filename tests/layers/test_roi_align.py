import jax
import jax.numpy as jnp
import numpy as np

from dl.layers.roi_align import pyramid_roi_align, roi_align


def bilinear(image, y, x):
    """A sample as torchvision's roi_align takes it."""
    height, width = image.shape[:2]
    if not (-1 <= y <= height and -1 <= x <= width):
        return np.zeros(image.shape[2])
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    v, u = y - top, x - left
    upper = image[top, left] * (1 - u) + image[top, right] * u
    lower = image[bottom, left] * (1 - u) + image[bottom, right] * u
    return upper * (1 - v) + lower * v


def by_samples(image, box, stride, cells, samples=2):
    """Sample by sample, as in the paper's figure 3."""
    top, left, bottom, right = (v / stride - 0.5 for v in box)
    height, width = (bottom - top) / cells, (right - left) / cells
    out = np.zeros((cells, cells, image.shape[2]))
    for row in range(cells):
        for column in range(cells):
            at = [(k + 0.5) / samples for k in range(samples)]
            places = [(top + (row + a) * height, left + (column + b) * width) for a in at for b in at]
            out[row, column] = np.mean([bilinear(image, *place) for place in places], 0)
    return out


BOXES = np.array(
    [[[8, 4, 40, 30], [0, 0, 48, 64], [-20, 50, 20, 90]], [[1, 2, 3, 4], [47, 10, 60, 20], [5, 5, 5, 5]]], np.float32
)  # within, the whole image, over a rim; smaller than a place, over a rim, empty


def test_cells_are_averages_of_bilinear_samples():
    maps = np.random.default_rng(0).normal(size=(2, 12, 16, 3)).astype(np.float32)
    found = jax.jit(roi_align, static_argnums=(2, 3))(maps, BOXES, 4.0, 5)
    for image, boxes, cells in zip(maps, BOXES, found, strict=True):
        for box, cell in zip(boxes, cells, strict=True):
            np.testing.assert_allclose(cell, by_samples(image, box, 4.0, 5), atol=1e-5)


def test_of_a_ramp_the_cells_are_the_ramp_at_their_centres():
    ramp = jnp.broadcast_to(jnp.arange(16.0)[:, None, None] + 0.5, (1, 16, 16, 1))  # the places' own y
    found = roi_align(ramp, jnp.array([[[16.0, 16, 48, 48]]]), 4, 4)[0, 0, :, :, 0]
    np.testing.assert_allclose(found, np.broadcast_to(np.array([[5.0], [7], [9], [11]]), (4, 4)), atol=1e-5)


def test_boxes_are_read_from_their_own_maps_and_gradients_reach_those_alone():
    fine, coarse = jax.random.normal(jax.random.key(1), (2, 2, 12, 16, 3))
    boxes, level = jnp.asarray(BOXES), jnp.array([[0, 1, 1], [0, 0, 1]])
    found = pyramid_roi_align((fine, coarse[:, :6, :8]), boxes, level, (4, 8), 3)
    np.testing.assert_allclose(found[0, 1], by_samples(np.asarray(coarse)[0, :6, :8], BOXES[0, 1], 8.0, 3), atol=1e-5)
    np.testing.assert_allclose(found[0, 0], by_samples(np.asarray(fine)[0], BOXES[0, 0], 4.0, 3), atol=1e-5)
    first = jax.grad(lambda x: pyramid_roi_align((x, coarse[:, :6, :8]), boxes, level, (4, 8), 3)[0, 1].sum())(fine)
    assert not np.asarray(first).any()  # image 0's box 1 is read from the coarse map
    moved = jax.grad(lambda b: roi_align(fine, b, 4, 3).sum())(boxes)
    assert not np.asarray(moved).any()
