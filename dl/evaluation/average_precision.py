"""Average precision of boxes and of masks, as COCO has it (Lin et al. 2014), by pycocotools.

`map` is the mean over classes and over the ten thresholds of IoU 0.5, 0.55, ..., 0.95; `map50` that at 0.5, `map75` at 0.75.
Boxes are (ymin, xmin, ymax, xmax) in fractions of images that were brought to one size; overlaps do not depend on the size.
"""

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

MOST = 100  # finds on an image that count, the best


class Objects(NamedTuple):
    """What is on an image, or was found there.

    boxes: float [N, 4]. labels: int [N]. scores: float [N]; of truth, not looked at. ignored: bool [N], of truth: those that
    count neither as found nor as missed. masks: bool [N, H, W], or None.
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    ignored: np.ndarray
    masks: np.ndarray | None = None


class Precision(NamedTuple):
    """Average precision of each threshold of IoU and class, [10, K]; NaN for a class without objects."""

    values: Float[np.ndarray, "t k"]

    def metrics(self, prefix: str = "") -> dict[str, float]:
        """`map`, `map50`, `map75`; none where there are no objects at all."""
        if np.isnan(self.values).all():
            return {}
        chosen = {"map": self.values, "map50": self.values[0], "map75": self.values[5]}
        return {f"{prefix}{name}": float(np.nanmean(values)) for name, values in chosen.items()}


def average_precision(truth: Sequence[Objects], found: Sequence[Objects], classes: int, masks: bool = False) -> Precision:
    """Average precision over a split.

    Args:
        truth: what is on each image.
        found: what was found on each.
        classes: how many there are.
        masks: whether masks are compared, and not boxes.
    """
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does
        test = COCOeval(_coco(truth, classes, masks), _coco(found, classes, masks), "segm" if masks else "bbox")
        test.params.areaRng, test.params.areaRngLbl = [[0.0, 1e10]], ["all"]
        test.params.maxDets = [MOST]
        test.evaluate()
        test.accumulate()
    precision = test.eval["precision"][:, :, :, 0, 0]  # threshold, recall, class; -1 where there is no object
    return Precision(np.where((precision > -1).all(1), precision.mean(1), np.nan))


def _coco(images: Sequence[Objects], classes: int, masks: bool) -> Any:
    """The images as pycocotools has them; everything is numbered from 1."""
    from pycocotools import mask as encoded
    from pycocotools.coco import COCO

    annotations: list[dict[str, Any]] = []
    shapes = [(0, 0) if image.masks is None else image.masks.shape[1:] for image in images]
    sizes = [{"id": number, "height": shape[0], "width": shape[1]} for number, shape in enumerate(shapes, 1)]
    for number, (boxes, labels, scores, ignored, drawn) in enumerate(images, 1):
        for i, (top, left, bottom, right) in enumerate(boxes.astype(np.float64)):
            # In units in which the sides are not tiny: pycocotools adds nothing to them, so any unit will do.
            box = [left * 1e3, top * 1e3, (right - left) * 1e3, (bottom - top) * 1e3]
            entry: dict[str, Any] = {"id": len(annotations) + 1, "image_id": number, "category_id": int(labels[i]) + 1}
            entry |= {"bbox": box, "area": box[2] * box[3], "iscrowd": int(ignored[i]), "score": float(scores[i])}
            if masks:
                assert drawn is not None
                entry["segmentation"] = encoded.encode(np.asfortranarray(drawn[i].astype(np.uint8)))
                entry["area"] = float(encoded.area(entry["segmentation"]))
            annotations.append(entry)
    made = COCO()
    made.dataset = {
        "images": sizes,
        "annotations": annotations,
        "categories": [{"id": number} for number in range(1, classes + 1)],
    }
    made.createIndex()
    return made


def pasted(mask: Float[np.ndarray, "m m"], box: np.ndarray, shape: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """The pixels of an image that a mask says are the object's: at least one half, interpolated bilinearly within the box.

    Args:
        mask: probabilities within the box.
        box: in fractions of the image.
        shape: height and width of the image.
    """
    ways = []
    for side, low, high in zip(shape, box[:2], box[2:], strict=True):
        at = (np.arange(side) + 0.5) / side
        inside = (at > low) & (at < high)
        place = ((at - low) / max(high - low, 1e-9) * len(mask) - 0.5).clip(0, len(mask) - 1)
        near = np.maximum(1 - abs(place[:, None] - np.arange(len(mask))), 0)
        ways.append(np.where(inside[:, None], near, 0))
    return ways[0] @ mask @ ways[1].T >= 0.5


def mistakes(truth: Objects, found: Objects, threshold: float = 0.5) -> tuple[int, int, int]:
    """How many objects of an image were found, missed, and how many finds are none, each matched once, the surest first."""
    left, hits = [i for i in range(len(truth.boxes)) if not truth.ignored[i]], 0
    wrong = 0
    for k in np.argsort(-found.scores, kind="stable"):
        overlaps = _ious(found.boxes[k], truth.boxes)
        best = max((i for i in left if truth.labels[i] == found.labels[k]), key=lambda i: overlaps[i], default=None)
        if best is not None and overlaps[best] >= threshold:
            left.remove(best)
            hits += 1
        elif not (truth.ignored.astype(bool) & (overlaps >= threshold)).any():
            wrong += 1
    return hits, len(left), wrong


def _ious(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    both = np.prod(np.maximum(high - low, 0), axis=1)
    areas = [np.prod(b[..., 2:] - b[..., :2], axis=-1) for b in (box, others)]
    return both / np.maximum(areas[0] + areas[1] - both, 1e-12)


def of_rows(rows: Mapping[str, np.ndarray], index: int, prefix: str, shape: tuple[int, int] | None = None) -> Objects:
    """One image's objects from an evaluator's outputs, without their padding.

    Args:
        rows: `PREFIX_boxes` [N, n, 4], `_labels`, `_mask` [N, n]; of finds `_scores`, and `_masks` [N, n, m, m], uint8 of 0..1;
            of truth `_ignored`, and `instances` [N, H, W].
        index: of the image.
        prefix: "truth" or "found".
        shape: height and width of the image, where masks are wanted.
    """
    keep = np.flatnonzero(rows[f"{prefix}_mask"][index])
    boxes, labels = rows[f"{prefix}_boxes"][index][keep], rows[f"{prefix}_labels"][index][keep]
    nothing, masks = np.zeros(len(keep)), None
    if prefix == "found":
        if shape and "found_masks" in rows:
            soft = rows["found_masks"][index][keep] / 255.0
            masks = np.array([pasted(m, b, shape) for m, b in zip(soft, boxes, strict=True)], bool).reshape(-1, *shape)
        return Objects(boxes, labels, rows["found_scores"][index][keep], nothing.astype(bool), masks)
    if shape and "instances" in rows:
        masks = rows["instances"][index] == keep[:, None, None] + 1
    return Objects(boxes, labels, nothing, rows["truth_ignored"][index][keep].astype(bool), masks)
