import numpy as np
import pytest

from dl.evaluation.average_precision import Objects, average_precision, mistakes, of_rows, pasted
from dl.evaluation.drawn_objects import drawn
from dl.evaluation.found_objects import Finds, precision_table, shown, sure


def objects(*rows, masks=None):
    """Rows of (ymin, xmin, ymax, xmax), class, score, ignored."""
    boxes = np.array([row[0] for row in rows], np.float32).reshape(-1, 4)
    rest = [np.array([row[i] for row in rows]) for i in (1, 2, 3)]
    return Objects(boxes, rest[0].astype(int), rest[1], rest[2].astype(bool), masks)


A, B, C = (0.0, 0.0, 0.4, 0.4), (0.5, 0.5, 0.9, 0.9), (0.0, 0.5, 0.4, 0.9)
TRUTH = [objects((A, 0, 0, 0), (B, 0, 0, 0)), objects((C, 0, 0, 0))]


def test_precision_of_a_worked_example():
    # Three objects; found by score: a hit, a false one, a hit; the third is missed. Precision is 1 up to a recall of 1/3, then
    # 2/3 up to 2/3, then 0: of COCO's 101 places of recall 34, 33 and 34.
    found = [objects((A, 0, 0.9, 0), (C, 0, 0.8, 0)), objects((C, 0, 0.7, 0))]
    values = average_precision(TRUTH, found, 1).values
    np.testing.assert_allclose(values, np.full((10, 1), (34 + 33 * 2 / 3) / 101), atol=1e-6)
    assert average_precision(TRUTH, found, 1).metrics("x_")["x_map50"] == pytest.approx(56 / 101)


def test_thresholds_classes_and_what_is_ignored():
    near = (0.0, 0.0, 0.4, 0.3)  # IoU 3/4 with A
    values = average_precision([objects((A, 0, 0, 0))], [objects((near, 0, 0.9, 0))], 2).values
    np.testing.assert_allclose(values[:, 0], [1] * 5 + [values[5, 0]] + [0] * 4, atol=1e-6)
    assert np.isnan(values[:, 1]).all()  # a class that does not occur has no precision, and does not count in the mean
    with_crowd = [objects((A, 0, 0, 0), (B, 0, 0, 1))]
    both = [objects((B, 0, 0.9, 0), (A, 0, 0.8, 0))]
    assert average_precision(with_crowd, both, 1).metrics()["map"] == pytest.approx(1)  # B counts neither way
    assert average_precision([objects((A, 0, 0, 0))], both, 1).metrics()["map"] == pytest.approx(0.5)
    assert average_precision([objects((A, 1, 0, 0))], [objects((A, 0, 0.9, 0))], 2).metrics()["map"] == 0  # another class


def test_images_without_objects_and_without_finds():
    assert average_precision([objects()], [objects((A, 0, 0.9, 0))], 1).metrics() == {}
    assert average_precision([*TRUTH, objects()], [objects()] * 3, 1).metrics()["map"] == 0
    perfect = [objects((A, 0, 0.5, 0), (B, 0, 0.5, 0)), objects((C, 0, 0.5, 0)), objects((A, 0, 0.9, 0))]
    assert average_precision([*TRUTH, objects()], perfect, 1).metrics()["map"] < 0.8  # a find where nothing is


def test_masks_are_compared_pixel_by_pixel():
    square, half = np.zeros((2, 1, 10, 10), bool)
    square[0, :8, :8], half[0, :8, :5] = True, True  # IoU 5/8, the boxes being equal
    truth = [objects(((0, 0, 0.8, 0.8), 0, 0, 0), masks=square)]
    found = [objects(((0, 0, 0.8, 0.8), 0, 0.9, 0), masks=half)]
    assert average_precision(truth, found, 1).metrics()["map"] == pytest.approx(1)
    np.testing.assert_allclose(average_precision(truth, found, 1, masks=True).values[:, 0], [1] * 3 + [0] * 7, atol=1e-6)


def test_a_mask_is_pasted_into_its_box():
    mask = np.zeros((4, 4))
    mask[:2] = 1
    pixels = pasted(mask, np.array([0.25, 0.5, 0.75, 1.0]), (16, 8))
    expected = np.zeros((16, 8), bool)
    expected[4:8, 4:] = True  # the upper half of rows 4 to 11, columns 4 to 7
    np.testing.assert_array_equal(pixels, expected)


def test_rows_without_padding():
    rows = {
        "found_boxes": np.array([[A, B, C]]),
        "found_labels": np.array([[1, 0, 0]]),
        "found_scores": np.array([[0.9, 0, 0.4]]),
    }
    rows |= {"found_mask": np.array([[True, False, True]]), "found_masks": np.full((1, 3, 4, 4), 255, np.uint8)}
    rows |= {"truth_boxes": np.array([[A, B]]), "truth_labels": np.zeros((1, 2), int), "truth_mask": np.array([[False, True]])}
    rows |= {"truth_ignored": np.zeros((1, 2), bool), "instances": np.full((1, 10, 10), 2, np.uint8)}
    found, truth = (of_rows(rows, 0, name, (10, 10)) for name in ("found", "truth"))
    assert found.labels.tolist() == [1, 0] and found.scores.tolist() == [0.9, 0.4]
    assert found.masks.sum((1, 2)).tolist() == [16, 16] and truth.masks.sum() == 100  # row 1 is instance 2


def test_mistakes_are_counted_and_drawn():
    found = objects((A, 0, 0.9, 0), (A, 0, 0.8, 0), (C, 1, 0.7, 0), (B, 1, 0.3, 0))
    truth = objects((A, 0, 0, 0), (B, 1, 0, 0), (C, 1, 0, 1))
    assert mistakes(truth, sure(found)) == (1, 1, 1)  # A found, B missed, A once too often; C is ignored
    assert mistakes(truth, found) == (2, 0, 1)
    picture = drawn(np.zeros((100, 100, 1), np.float32), found, ("cat", "dog"), truth)
    assert picture.shape == (500, 500, 3) and picture[0, 100].tolist() == [230, 60, 50]  # five times as large, A's upper rim
    assert picture[300, 250].tolist() == [60, 120, 230]  # B's left one, in the other class's colour


def test_the_report_shows_the_worst_first():
    truth = [objects((A, 0, 0, 0)) for _ in range(8)]
    found = [objects((A, 0, 0.9, 0))] * 7 + [objects((B, 0, 0.9, 0), (C, 0, 0.9, 0))]
    finds = Finds(truth, found, average_precision(truth, found, 1), False)
    images = shown(finds, lambda i: {"image": np.zeros((len(i), 40, 40, 3), np.float32)}, lambda x: x, ["cell"])
    assert images["worst images"].captions[0] == "image 7: 0 found, 1 missed, 2 wrong"
    assert len(images["objects found"].pixels) == 6
    rows = precision_table([finds], ["cell"])["average precision"].rows
    assert rows[0][:2] == ["cell", 8] and rows[0][2] == pytest.approx(finds.metrics()["map"], abs=1e-4)
