"""Confusion matrix, worst mistakes and the table of classes, against scikit-learn."""

import numpy as np
import pytest

from dl.evaluation.classification import beside_guessing, class_report, confusion_matrix, worst_mistakes

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 4, 500)
PREDICTIONS = np.where(RNG.random(500) < 0.7, LABELS, RNG.integers(0, 6, 500))  # classes 4 and 5 never occur


def test_confusion_matrix_equals_scikit_learns():
    from sklearn import metrics

    expected = metrics.confusion_matrix(LABELS, PREDICTIONS, labels=range(6))
    np.testing.assert_array_equal(confusion_matrix(LABELS, PREDICTIONS, 6), expected)


def test_rows_are_actual_classes():
    assert confusion_matrix(np.array([0, 0, 1]), np.array([1, 1, 1]), 2).tolist() == [[0, 2], [0, 1]]
    assert confusion_matrix(np.array([], np.int32), np.array([], np.int32), 2).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(("labels", "predictions"), [([0, 2], [0, 0]), ([0, 1], [-1, 0]), ([0], [0, 1])])
def test_classes_out_of_range_and_lengths_that_differ_are_refused(labels, predictions):
    with pytest.raises(ValueError):
        confusion_matrix(np.array(labels), np.array(predictions), 2)


def test_worst_mistakes_are_the_wrong_ones_worst_first():
    labels, predictions = np.array([0, 1, 2, 3, 4]), np.array([0, 2, 1, 0, 0])
    badness = np.array([0.99, 0.5, 0.9, 0.5, np.nan])
    assert worst_mistakes(labels, predictions, badness, 10).tolist() == [4, 2, 1, 3]
    assert worst_mistakes(labels, predictions, badness, 2).tolist() == [4, 2]
    assert worst_mistakes(labels, labels, badness, 2).tolist() == []


def test_class_report_equals_scikit_learns():
    from sklearn import metrics

    names = [f"class {i}" for i in range(6)]
    table = class_report(confusion_matrix(LABELS, PREDICTIONS, 6), names)
    expected = metrics.precision_recall_fscore_support(LABELS, PREDICTIONS, labels=range(6), zero_division=0.0)
    assert [row[0] for row in table.rows] == [*names, "mean"]
    np.testing.assert_allclose([row[1:] for row in table.rows[:-1]], np.transpose(expected), atol=5.1e-5)
    macro = metrics.precision_recall_fscore_support(LABELS, PREDICTIONS, labels=range(6), average="macro", zero_division=0.0)
    np.testing.assert_allclose(table.rows[-1][1:4], macro[:3], atol=5.1e-5)
    assert table.rows[-1][4] == 500


def test_what_guessing_errs_is_the_share_of_all_but_the_largest_class():
    """6 of class 0, 3 of class 1, 1 of class 2: 4 of 10; the run has 5 right."""
    table = beside_guessing(np.array([[4, 2, 0], [2, 1, 0], [1, 0, 0]]))
    assert table.rows == (("always the most frequent class", "40.00%"), ("this run", "50.00%"))
