"""What a detector found on a split beside what is there: metrics, images with boxes and masks, a table of classes."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from dl.artifacts import Artifact, Images, Table
from dl.evaluation.average_precision import Objects, Precision, mistakes
from dl.evaluation.drawn_objects import drawn

SHOWN, WORST = 6, 6  # images in the report
SURE = 0.5  # the score from which a find is drawn and counted as a mistake


class Finds(NamedTuple):
    """Of each image of a split what is there and what was found, and the precision of boxes or of masks."""

    truth: Sequence[Objects]
    found: Sequence[Objects]
    precision: Precision
    masks: bool

    def metrics(self) -> dict[str, float]:
        """By name."""
        return self.precision.metrics("mask_" if self.masks else "")


def sure(found: Objects, least: float = SURE) -> Objects:
    """Those with a score of `least` or more."""
    keep = found.scores >= least
    masks = None if found.masks is None else found.masks[keep]
    return Objects(found.boxes[keep], found.labels[keep], found.scores[keep], found.ignored[keep], masks)


def shown(
    finds: Finds,
    examples: Callable[[np.ndarray], Mapping[str, np.ndarray]],
    pixels: Callable[[np.ndarray], np.ndarray],
    classes: Sequence[str],
) -> dict[str, Artifact]:
    """The first images and those with the most mistakes, what was found over them; white boxes are the truth.

    Args:
        finds: on all images.
        examples: indices -> a batch with `image`.
        pixels: images of such a batch in 0..1.
        classes: their names.
    """
    counts = [mistakes(truth, sure(found)) for truth, found in zip(finds.truth, finds.found, strict=True)]
    wrong = np.array([missed + more for _, missed, more in counts])
    groups = {"objects found": np.arange(min(SHOWN, len(counts))), "worst images": np.argsort(-wrong, kind="stable")[:WORST]}
    out: dict[str, Artifact] = {}
    for name, indices in groups.items():
        images = pixels(examples(indices)["image"])
        made = [drawn(p, sure(finds.found[i]), classes, finds.truth[i]) for p, i in zip(images, indices, strict=True)]
        captions = [f"image {i}: {counts[i][0]} found, {counts[i][1]} missed, {counts[i][2]} wrong" for i in indices]
        out[name] = Images(np.stack(made), captions, columns=2)
    return out


def precision_table(finds: Sequence[Finds], classes: Sequence[str]) -> dict[str, Artifact]:
    """Average precision of every class."""
    names = [f"{'mask' if one.masks else 'box'} {what}" for one in finds for what in ("AP", "AP50")]
    columns = [values for one in finds for values in (one.precision.values.mean(0), one.precision.values[0])]
    objects = [sum(int((truth.labels == k).sum()) for truth in finds[0].truth) for k in range(len(classes))]
    rows: list[list[str | int | float]] = [
        [name, objects[k], *(round(float(column[k]), 4) for column in columns)] for k, name in enumerate(classes)
    ]
    return {"average precision": Table(("class", "objects", *names), rows)}
