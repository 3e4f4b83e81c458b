"""What a classifier of texts got wrong: its confusions, the worst mistakes with their texts, the error by length."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int

from dl.artifacts import Artifact, Curves, Matrix, Table
from dl.dataset import Info
from dl.evaluation.classification import class_report, confusion_matrix

WORST, EXCERPT = 24, 300  # mistakes shown in the report, and characters of each
MOST_SHOWN = 40  # classes of a confusion matrix


def class_names(info: Info) -> tuple[str, ...]:
    """The names of the labels, or their numbers."""
    return info.class_names or tuple(str(number) for number in range(info.num_classes))


def shown(info: Info, out: Mapping[str, np.ndarray], worst: Int[np.ndarray, " k"], texts: Sequence[str]) -> dict[str, Artifact]:
    """Confusion matrix, a table of the classes, the worst mistakes with their texts, and the error by length.

    Args:
        info: of the data.
        out: an entry an example: `label`, `prediction`, `length` in words; `probability` of the prediction where it is known.
        worst: the examples of the worst mistakes, and `texts` theirs.
        texts: see `worst`.
    """
    names, label, prediction = class_names(info), out["label"], out["prediction"]
    found: dict[str, Artifact] = {}
    if len(names) <= MOST_SHOWN:
        counts = confusion_matrix(label, prediction, len(names))
        found["confusion matrix"] = Matrix(counts, names, names, "actual", "predicted")
        found["classes"] = class_report(counts, names)
    found["error by length"] = error_by_length(out["length"], label != prediction)
    sure = out.get("probability")
    header = ("text", "actual", "predicted", *(["probability"] if sure is not None else []))
    rows = [
        (text[:EXCERPT], names[label[i]], names[prediction[i]], *([f"{sure[i]:.0%}"] if sure is not None else []))
        for i, text in zip(worst, texts, strict=True)
    ]
    return {**found, "worst mistakes": Table(header, rows)} if rows else found


def error_by_length(lengths: Int[np.ndarray, " n"], wrong: np.ndarray, parts: int = 8) -> Curves:
    """The error on texts of similar lengths, as many in each part, against their mean length."""
    order = np.argsort(lengths, kind="stable")
    groups = [group for group in np.array_split(order, min(parts, len(order))) if len(group)]
    x = np.array([lengths[group].mean() for group in groups])
    return Curves({"error": (x, np.array([wrong[group].mean() for group in groups]))}, "words", "error")
