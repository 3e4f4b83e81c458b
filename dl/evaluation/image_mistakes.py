"""What a page shows of a classifier of images: which classes it confuses, its worst mistakes, its first layer."""

import numpy as np

from dl.artifacts import Artifact, Images, Matrix
from dl.dataset import Info
from dl.evaluation.classification import beside_guessing, class_report, confusion_matrix, worst_mistakes
from dl.evaluation.filters import first_layer_filters
from dl.task import Evaluation, Tree

WORST = 32  # mistakes shown


def artifacts(info: Info, params: Tree, evaluation: Evaluation) -> dict[str, Artifact]:
    """Confusion matrix, a table of the classes, what guessing errs, the worst mistakes as images, the first layer's filters."""
    out = evaluation.outputs
    names = info.class_names or tuple(str(c) for c in range(info.num_classes))
    label, prediction, probability = out["label"], out["prediction"], out["probability"]
    counts = confusion_matrix(label, prediction, len(names))
    shown: dict[str, Artifact] = {"confusion matrix": Matrix(counts, names, names, "actual", "predicted")}
    shown["classes"] = class_report(counts, names)
    shown["beside guessing"] = beside_guessing(counts)
    worst = worst_mistakes(label, prediction, out["loss"], WORST)
    if len(worst):
        pixels = evaluation.examples(worst)["image"]
        pixels = (pixels - pixels.min()) / max(np.ptp(pixels), 1e-6)  # they were standardised
        captions = [f"{names[label[i]]} as {names[prediction[i]]} ({probability[i]:.0%})" for i in worst]
        shown["worst mistakes"] = Images(pixels, captions)
    filters = first_layer_filters(params, info.shapes["image"])
    if filters is not None:
        shown["first-layer filters"] = filters
    return shown
