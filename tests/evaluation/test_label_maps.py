"""IoU and its kin on a case worked by hand and beside scikit-learn; the colours."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, jaccard_score, recall_score

from dl.evaluation import label_maps

LABELS = np.array([[[0, 0, 1, 1], [2, 2, 9, 9]], [[0, 1, 1, 1], [9, 0, 0, 2]]])
PREDICTED = np.array([[[0, 1, 1, 1], [2, 0, 0, 2]], [[0, 0, 1, 1], [1, 0, 2, 2]]])


def counts():
    return np.asarray(label_maps.confusion(jnp.array(LABELS), jnp.array(PREDICTED), jnp.array(LABELS != 9), 3))


def test_a_worked_example():
    np.testing.assert_array_equal(counts(), [[3, 1, 1], [1, 4, 0], [1, 0, 2]])
    found = label_maps.measures(counts(), ("sky", "road side", "car"))
    # sky: 3 of 5 found, 2 others taken for it; road: 4 of 5, and 1; car: 2 of 3, and 1
    wanted = {"iou_sky": 3 / 7, "iou_road_side": 4 / 6, "iou_car": 2 / 4}
    wanted |= {"mean_iou": (3 / 7 + 4 / 6 + 2 / 4) / 3, "class_accuracy": (3 / 5 + 4 / 5 + 2 / 3) / 3, "accuracy": 9 / 13}
    assert found == pytest.approx(wanted)
    assert set(found) == set(label_maps.metrics(("sky", "road side", "car")))


def test_as_scikit_learn_has_it():
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 5, (2, 3, 20, 30))
    found = np.asarray(label_maps.confusion(jnp.array(labels), jnp.array(predicted), jnp.array(labels != 4), 4 + 1))
    kept = labels != 4
    np.testing.assert_array_equal(found[:4], confusion_matrix(labels[kept], predicted[kept], labels=range(5))[:4])
    np.testing.assert_allclose(
        label_maps.iou(found)[:4], jaccard_score(labels[kept], predicted[kept], average=None, labels=range(4))
    )
    np.testing.assert_allclose(
        label_maps.recall(found)[:4], recall_score(labels[kept], predicted[kept], average=None, labels=range(4))
    )


def test_a_class_that_is_nowhere_is_in_no_mean():
    found = label_maps.measures(np.array([[8, 0, 0], [0, 4, 0], [0, 0, 0]]), "abc")
    assert found["mean_iou"] == found["class_accuracy"] == 1 and "iou_c" not in found
    never_there = label_maps.measures(np.array([[8, 0, 2], [0, 4, 0], [0, 0, 0]]), "abc")
    assert never_there["iou_c"] == 0 and never_there["mean_iou"] == pytest.approx((0.8 + 1 + 0) / 3)
    assert label_maps.measures(np.zeros((3, 3)), "abc") == {}
    table = label_maps.class_table(np.array([[8, 0, 0], [0, 4, 0], [0, 0, 0]]), "abc")
    assert table.rows[2] == ("c", "-", "-", 0.0) and table.rows[-1] == ("mean", 100.0, 100.0, "")


def test_colours_are_those_of_pascal_voc():
    published = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 8: (64, 0, 0), 15: (192, 128, 128), 20: (0, 64, 128)}
    found = label_maps.colours(21)
    assert {k: tuple(found[k].tolist()) for k in published} == published
    assert len(np.unique(label_maps.colours(256), axis=0)) == 256


def test_labels_lie_over_the_image_and_void_leaves_it():
    image = np.full((1, 2, 3), 0.5)
    shown = label_maps.overlaid(image, np.array([[0, 9]]), 3)
    np.testing.assert_array_equal(shown[0, 1], [128, 128, 128])
    assert shown[0, 0, 0] == round(255 * 0.5 * 0.45 + 128 * 0.55) and shown[0, 0, 1] == round(255 * 0.5 * 0.45)
