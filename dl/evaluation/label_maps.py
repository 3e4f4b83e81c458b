"""Label maps: how many pixels of each class were taken for which, what follows from that, and how maps are shown.

With n_ij pixels of class i predicted as class j, over the whole split and void pixels left out (Long, Shelhamer & Darrell 2015,
section 5): the IoU of class i is n_ii / (sum_j n_ij + sum_j n_ji - n_ii), `mean_iou` their mean, `class_accuracy` the mean of
n_ii / sum_j n_ij, and `accuracy` sum_i n_ii / sum_ij n_ij. A class that neither occurs nor is predicted is in no mean.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int32, Integer, UInt8

from dl.artifacts import Matrix, Table
from dl.metric import HIGHER, Metric

SHARE = HIGHER._replace(format=".2%")
OPACITY = 0.55  # of a label map over its image


def confusion(
    labels: Integer[Array, "b h w"], predictions: Integer[Array, "b h w"], counted: Bool[Array, "b h w"], classes: int
) -> Int32[Array, "classes classes"]:
    """How many of the pixels that are `counted` are of each class (row) and predicted as each class (column)."""

    def hot(values: jax.Array) -> jax.Array:
        return jax.nn.one_hot(values, classes).reshape(len(values), -1, classes)

    actual = hot(labels) * counted.reshape(len(counted), -1, 1)
    # Of one image the numbers are exact in float32; images are added up as whole numbers.
    return jnp.einsum("bpi,bpj->bij", actual, hot(predictions)).astype(jnp.int32).sum(0)


def iou(counts: np.ndarray) -> np.ndarray:
    """Intersection over union of each class [C], of a confusion matrix [C, C]; NaN where a class is nowhere."""
    counts = np.asarray(counts, np.float64)
    hits, union = np.diag(counts), counts.sum(0) + counts.sum(1) - np.diag(counts)
    return np.where(union > 0, hits / np.maximum(union, 1), np.nan)


def recall(counts: np.ndarray) -> np.ndarray:
    """The part of the pixels of each class [C] that is found; NaN where there are none."""
    counts = np.asarray(counts, np.float64)
    actual = counts.sum(1)
    return np.where(actual > 0, np.diag(counts) / np.maximum(actual, 1), np.nan)


def measures(counts: np.ndarray, names: Sequence[str], prefix: str = "") -> dict[str, float]:
    """`mean_iou`, `class_accuracy`, `accuracy`, and `iou_NAME` of each class that is somewhere; see the module.

    Args:
        counts: confusion matrix [C, C].
        names: of the classes.
        prefix: of the names of the numbers.
    """
    total, of_classes = np.asarray(counts).sum(), iou(counts)
    if not total:
        return {}
    found = {
        "mean_iou": float(np.nanmean(of_classes)),
        "class_accuracy": float(np.nanmean(recall(counts))),
        "accuracy": float(np.diag(counts).sum() / total),
    }
    each = zip(metric_names(names), of_classes, strict=True)
    found |= {name: float(value) for name, value in each if not np.isnan(value)}
    return {f"{prefix}{name}": value for name, value in found.items()}


def metric_names(names: Sequence[str]) -> list[str]:
    """`iou_NAME` of each class."""
    return [f"iou_{'_'.join(name.split())}" for name in names]


def metrics(names: Sequence[str], prefix: str = "") -> dict[str, Metric]:
    """What is known of all that `measures` may give."""
    return {f"{prefix}{name}": SHARE for name in ("mean_iou", "class_accuracy", "accuracy", *metric_names(names))}


def class_table(counts: np.ndarray, names: Sequence[str]) -> Table:
    """IoU, recall and share of the pixels of each class, and the means, in percent."""
    counts = np.asarray(counts, np.float64)
    share = counts.sum(1) / max(counts.sum(), 1)

    def percent(value: float) -> float | str:
        return "-" if np.isnan(value) else round(100 * float(value), 2)

    columns = (iou(counts), recall(counts), share)
    rows: list[tuple[str | float, ...]] = []
    for i, name in enumerate(names):
        rows.append((name, *(percent(column[i]) for column in columns)))
    means: list[str | float] = [percent(float(np.nanmean(column))) if counts.sum() else "-" for column in columns[:2]]
    return Table(("class", "IoU %", "accuracy %", "pixels %"), [*rows, ("mean", *means, "")])


def confusion_percent(counts: np.ndarray, names: Sequence[str]) -> Matrix:
    """The confusion matrix in percent of each class's pixels."""
    counts = np.asarray(counts, np.float64)
    return Matrix(np.round(100 * counts / np.maximum(counts.sum(1, keepdims=True), 1), 1), names, names, "actual", "predicted")


def colours(count: int) -> UInt8[np.ndarray, "k 3"]:
    """A colour for each class, far from each other: those of Pascal VOC (Everingham et al. 2010), which begin with black."""
    numbers, out = np.arange(count), np.zeros((count, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            out[:, channel] |= ((numbers >> (3 * bit + channel) & 1) << (7 - bit)).astype(np.uint8)
    return out


def overlaid(image: Float[np.ndarray, "h w c"], labels: Integer[np.ndarray, "h w"], classes: int) -> UInt8[np.ndarray, "h w 3"]:
    """The image, 0..1, with the colours of its labels over it; where a label is none of the classes, the image alone."""
    known = labels < classes
    colour = colours(classes + 1)[1:][np.where(known, labels, 0)] / 255.0  # black would be no colour over an image
    opacity = OPACITY * known[..., None]
    return np.round(255 * (image.clip(0, 1) * (1 - opacity) + colour * opacity)).astype(np.uint8)
