"""The errors of a classifier: confusion matrix, precision and recall of every class, the worst mistakes."""

from collections.abc import Sequence

import numpy as np

from dl.artifacts import Table


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
    """How often each class (row) was taken for each class (column).

    Args:
        labels: integers [N] in 0..num_classes-1, the actual classes.
        predictions: integers [N] in 0..num_classes-1.
        num_classes: C.

    Returns:
        int64 [C, C]; rows are actual, columns predicted classes, and the sum is N.

    Raises:
        ValueError: the lengths differ, or a class is out of range.
    """
    labels, predictions = np.asarray(labels, np.int64), np.asarray(predictions, np.int64)
    if labels.shape != predictions.shape or labels.ndim != 1:
        raise ValueError(f"labels {labels.shape} and predictions {predictions.shape} must both be [N]")
    for name, classes in (("labels", labels), ("predictions", predictions)):
        if classes.size and (classes.min() < 0 or classes.max() >= num_classes):
            raise ValueError(f"{name} span {classes.min()}..{classes.max()}, outside of 0..{num_classes - 1}")
    counts = np.bincount(labels * num_classes + predictions, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def worst_mistakes(labels: np.ndarray, predictions: np.ndarray, badness: np.ndarray, k: int) -> np.ndarray:
    """Indices of the at most `k` worst mistakes, the worst first; ties in the order of the split.

    Args:
        labels: integers [N], the actual classes.
        predictions: integers [N].
        badness: [N], higher is worse: the probability given to the incorrect class, or the loss. NaN counts as the worst.
        k: how many.

    Returns:
        int64 [at most k]; empty where all predictions are correct.
    """
    incorrect = np.flatnonzero(np.asarray(labels) != np.asarray(predictions))
    badness = np.nan_to_num(np.asarray(badness, np.float64)[incorrect], nan=np.inf, posinf=np.inf, neginf=-np.inf)
    return incorrect[np.argsort(-badness, kind="stable")][:k]


def beside_guessing(confusion: np.ndarray) -> Table:
    """The error of a predictor that has learned nothing, beside that of a confusion matrix [C, C] (rows: true classes).

    Always saying the most frequent class is wrong on the share of all others; an error near it is no learning.
    """
    counts = np.asarray(confusion, np.float64)
    total = max(counts.sum(), 1.0)
    most = 1 - counts.sum(axis=1).max(initial=0.0) / total
    rows = (("always the most frequent class", f"{most:.2%}"), ("this run", f"{1 - np.trace(counts) / total:.2%}"))
    return Table(("predictor", "error"), rows)


def class_report(confusion: np.ndarray, names: Sequence[str]) -> Table:
    """Precision, recall and F1 of each class and their unweighted (macro) means, from a confusion matrix [C, C].

    A class that is never predicted has precision 0, one that never occurs recall 0, as scikit-learn has it.
    """
    confusion = np.asarray(confusion, np.float64)
    hits, actual, predicted = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    precision = hits / np.maximum(predicted, 1)
    recall = hits / np.maximum(actual, 1)
    f1 = 2 * hits / np.maximum(actual + predicted, 1)
    rows: list[tuple[str | int | float, ...]] = [
        (name, *(round(float(v[i]), 4) for v in (precision, recall, f1)), int(actual[i])) for i, name in enumerate(names)
    ]
    mean: tuple[str | int | float, ...] = (
        "mean",
        *(round(float(v.mean()), 4) for v in (precision, recall, f1)),
        int(actual.sum()),
    )
    return Table(("class", "precision", "recall", "F1", "examples"), (*rows, mean))
