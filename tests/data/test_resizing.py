"""What lies on images is brought to size with them, each kind in its own way."""

import pickle

import numpy as np
import pytest

from dl.data.ragged import in_memory, ragged
from dl.data.resizing import Mapped, changed, cutting, fitting, seen_through
from dl.dataset import Arrays, Feature, Info, Kind

FEATURES = {
    "image": Feature(Kind.IMAGE, (4, 6, 1)),
    "classes": Feature(Kind.LABEL_MAP, (4, 6)),
    "boxes": Feature(Kind.BOXES, (None, 4)),
    "points": Feature(Kind.POINTS, (2, 2)),
    "label": Feature(Kind.CLASS, num_classes=2),
    "vectors": Feature(Kind.NUMBER, (4, 6, 1)),
}
LABELS = np.arange(24, dtype=np.uint8).reshape(4, 6)


def source():
    return in_memory(
        {
            "image": np.stack([LABELS, LABELS + 100])[..., None],
            "classes": np.stack([LABELS, LABELS + 100]),
            "boxes": ragged([np.float32([[0.25, 0.5, 0.75, 1.0], [0.0, 0.0, 0.25, 0.5]]), np.zeros((0, 4), np.float32)]),
            "points": np.float32([[[0.5, 0.5], [0.1, 0.9]], [[-1, -1], [0.5, 0.25]]]),
            "label": np.array([0, 1], np.int32),
            "vectors": np.ones((2, 4, 6, 1), np.float32),
        }
    )


def after(change):
    return changed(source(), change, FEATURES).gather(np.arange(2))


def test_padding_moves_boxes_and_surrounds_label_maps_by_void():
    """From 4 x 6 to 8 x 12: two rows above and below, three columns on either side."""
    out = after(fitting((8, 12), "pad"))
    inside = (slice(None), slice(2, 6), slice(3, 9))
    np.testing.assert_array_equal(out["classes"][inside], source().features["classes"])
    assert (out["classes"] == 255).sum() == 2 * (96 - 24)
    np.testing.assert_array_equal(out["image"][..., 0], np.where(out["classes"] == 255, 0, out["classes"]))
    np.testing.assert_allclose(out["boxes"][0], [[0.375, 0.5, 0.625, 0.75], [0.25, 0.25, 0.375, 0.5]])
    np.testing.assert_array_equal(out["boxes_length"], [2, 0])
    np.testing.assert_allclose(out["points"], [[[0.5, 0.5], [0.3, 0.7]], [[-1, -1], [0.5, 0.375]]])
    assert out["vectors"].shape == (2, 4, 6, 1) and out["label"].tolist() == [0, 1]


def test_an_odd_remainder_goes_to_the_bottom_and_the_right():
    """From 4 x 6 to 7 x 11: a row above, two below; two columns to the left, three to the right."""
    out = after(fitting((7, 11), "pad"))
    np.testing.assert_array_equal(out["classes"][:, 1:5, 2:8], source().features["classes"])
    np.testing.assert_array_equal(out["image"][..., 0], np.where(out["classes"] == 255, 0, out["classes"]))
    np.testing.assert_allclose(out["boxes"][0, 0], [2 / 7, 5 / 11, 4 / 7, 8 / 11], atol=1e-6)


def test_a_point_that_was_none_is_none():
    outside = np.float32([[1.05, 0.5], [0.5, -0.1], [1.0, 1.0]])
    found = seen_through(FEATURES["points"], outside, (-3.0, -2.0, 9.0, 6.0), (4, 6), (8, 12))
    np.testing.assert_allclose(found, [[-1, -1], [-1, -1], [0.75, 0.75]])


def test_resizing_takes_the_nearest_label_and_leaves_fractions():
    out = after(fitting((8, 12), "resize"))
    np.testing.assert_array_equal(out["classes"][0], LABELS.repeat(2, 0).repeat(2, 1))
    np.testing.assert_allclose(out["boxes"], source().gather(np.arange(2))["boxes"])
    np.testing.assert_allclose(out["points"], source().features["points"])
    smaller = after(fitting((2, 3), "resize"))
    np.testing.assert_array_equal(smaller["classes"][0], LABELS[1::2, 1::2])


def test_labels_are_resized_as_pillow_does():
    image = pytest.importorskip("PIL.Image")
    labels = np.random.default_rng(0).integers(0, 255, (13, 17), dtype=np.uint8)
    for size in ((7, 9), (20, 31)):
        found = seen_through(FEATURES["classes"], labels, (0, 0, 17, 13), (13, 17), size)
        expected = image.fromarray(labels).resize((size[1], size[0]), image.Resampling.NEAREST)
        np.testing.assert_array_equal(found, np.asarray(expected))


def test_a_margin_clips_boxes_and_drops_what_has_gone():
    """Of 4 x 6 the middle 2 x 4 is left: the first box loses its last column, the second all."""
    out = after(cutting(1))
    np.testing.assert_array_equal(out["classes"], source().features["classes"][:, 1:3, 1:5])
    np.testing.assert_allclose(out["boxes"][0], [[0, 0.5, 1, 1], [0, 0, 0, 0]])
    np.testing.assert_allclose(out["points"], [[[0.5, 0.5], [-1, -1]], [[-1, -1], [0.5, 0.125]]], atol=1e-6)


def test_a_window_of_a_photograph_and_what_lies_on_it():
    """A window with corners between pixels, brought to another size: what `dl.data.cropping` will show."""
    window, shape, size = (1.0, 0.0, 4.0, 4.0), (4, 6), (4, 6)
    np.testing.assert_array_equal(
        seen_through(FEATURES["classes"], LABELS, window, shape, size), LABELS[:, 1:4].repeat(2, axis=1)
    )
    boxes = seen_through(FEATURES["boxes"], np.float32([[0.25, 0.5, 0.75, 1.0]]), window, shape, size)
    np.testing.assert_allclose(boxes, [[0.25, 2 / 3, 0.75, 1.0]], atol=1e-6)


def test_in_memory_and_as_it_is_read_are_the_same_and_the_description_follows():
    plain = {name: feature for name, feature in FEATURES.items() if name != "boxes"}
    arrays = Arrays({name: source().features[name] for name in plain})
    for change, size in ((fitting((9, 8), "pad"), (9, 8)), (cutting(1), (2, 4)), (fitting((3, 3), "resize"), (3, 3))):
        at_once = changed(arrays, change, plain).gather(np.array([1, 0]))
        as_read = pickle.loads(pickle.dumps(Mapped(arrays, change, plain))).gather(np.array([1, 0]))  # as workers have it
        for name, values in at_once.items():
            np.testing.assert_array_equal(values, as_read[name])
        shapes = change.described(Info("own", plain)).shapes
        assert shapes == {"image": (*size, 1), "classes": size, "points": (2, 2), "label": (), "vectors": (4, 6, 1)}
        assert {name: values.shape[1:] for name, values in at_once.items()} == shapes
