"""Boxes with classes, as annotations in pixels give them: checked, as fractions of their image, as features of a split.

The features are `boxes` [N, 4], `boxes_label` [N] and `boxes_ignored` [N], 1 where a box is difficult (VOC) or around a crowd
(COCO) and counts neither as found nor as missed; all three are ragged and have one row for each object.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dl.data.ragged import Ragged, ragged
from dl.dataset import Feature, Kind
from dl.errors import UserError, unknown

RIM = 1.0  # pixels that a box may reach beyond its image, as those do that count pixels from 0 or from 1; they are cut off
WITHOUT_OBJECTS = ("error", "keep", "skip")


class Objects(NamedTuple):
    """What is on one image.

    pixels: float [N, 4]: left, top, right, bottom, from the image's upper left corner. classes: of each. ignored: 0 or 1.
    """

    pixels: list[tuple[float, float, float, float]]
    classes: list[int]
    ignored: list[int]


def features_of(names: Sequence[str], channels: int) -> dict[str, Feature]:
    """Of images with boxes of these classes."""
    return {
        "image": Feature(Kind.IMAGE, (None, None, channels)),
        "boxes": Feature(Kind.BOXES, (None, 4)),
        "boxes_label": Feature(Kind.CLASS, (None,), num_classes=len(names), class_names=tuple(names)),
        "boxes_ignored": Feature(Kind.NUMBER, (None,)),
    }


def fractions(pixels: Sequence[tuple[float, float, float, float]], shape: tuple[int, int], name: object) -> np.ndarray:
    """Boxes of an image of `shape` (height, width) as float32 [N, 4]: ymin, xmin, ymax, xmax in 0..1. `name` is for errors.

    Raises:
        UserError: a box is empty, or reaches more than `RIM` out of the image.
    """
    height, width = shape
    out = np.zeros((len(pixels), 4), np.float32)
    for number, (left, top, right, bottom) in enumerate(pixels):
        what = f"{name}: box {number}, from ({left:g}, {top:g}) to ({right:g}, {bottom:g}),"
        if not all(map(np.isfinite, (left, top, right, bottom))) or right <= left or bottom <= top:
            raise UserError(f"{what} is empty: correct or remove it.")
        if min(left, top) < -RIM or right > width + RIM or bottom > height + RIM or left >= width or top >= height:
            raise UserError(f"{what} is not within its image of {width} x {height} pixels: correct or remove it.")
        out[number] = top / height, left / width, bottom / height, right / width
    return out.clip(0, 1)


def kept(objects: Sequence[Objects], names: Sequence[object], empty: str) -> list[int]:
    """Which images are examples: all, or those with objects, as `dataset.empty` says.

    Args:
        objects: of each image.
        names: of the images, for errors.
        empty: "error", "keep" or "skip".

    Raises:
        UserError: an image is without objects, and nothing was said about such; all are; or an unknown `empty`.
    """
    if empty not in WITHOUT_OBJECTS:
        raise unknown("dataset.empty", empty, WITHOUT_OBJECTS)
    without = [i for i, found in enumerate(objects) if not found.pixels]
    if without and empty == "error":
        raise UserError(
            f"{names[without[0]]} has no objects, and so {len(without):,} of {len(objects):,} images: annotate them, or take "
            "dataset.empty='keep' for images of nothing but background, or 'skip'."
        )
    left_out = set(without if empty == "skip" else ())
    found = [i for i in range(len(objects)) if i not in left_out]
    if not found:
        raise UserError(f"none of {len(objects):,} images has an object; nothing is left with dataset.empty='skip'.")
    return found


def small_features(
    objects: Sequence[Objects], shapes: Sequence[tuple[int, int]], names: Sequence[object]
) -> dict[str, np.ndarray | Ragged]:
    """`boxes`, `boxes_label` and `boxes_ignored` of images of these shapes, ragged. See `fractions`."""
    boxes = [fractions(found.pixels, shape, name) for found, shape, name in zip(objects, shapes, names, strict=True)]
    return {
        "boxes": ragged(boxes),
        "boxes_label": ragged([np.array(found.classes, np.int32) for found in objects]),
        "boxes_ignored": ragged([np.array(found.ignored, np.int32) for found in objects]),
    }
