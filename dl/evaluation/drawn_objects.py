"""Boxes and masks drawn over images, a colour for each class."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from dl.evaluation.average_precision import Objects

COLOURS = ((230, 60, 50), (60, 120, 230), (250, 190, 30), (50, 170, 90), (160, 80, 200), (20, 190, 200))
TRUTH = (255, 255, 255)
OPACITY = 0.45  # of a mask
MOST_PIXELS = 480  # the longer side of what is drawn on, at least: smaller images are enlarged, so that captions can be read


def drawn(
    pixels: Float[np.ndarray, "h w c"], found: Objects, classes: Sequence[str], truth: Objects | None = None
) -> UInt8[np.ndarray, "y x 3"]:
    """The image with what was found on it: masks, boxes, classes and scores; with what is there in thin white boxes.

    Args:
        pixels: in 0..1; grey or RGB. A small image is enlarged by a whole number.
        found: boxes in fractions; masks, if any, of the image's size.
        classes: their names.
        truth: what is there.
    """
    from PIL import Image, ImageDraw

    canvas = np.repeat(pixels, 3, -1) if pixels.shape[-1] == 1 else pixels[..., :3]
    canvas = np.array(canvas.clip(0, 1) * 255, np.float64)
    for number, label in enumerate(found.labels if found.masks is not None else ()):
        assert found.masks is not None
        inside = found.masks[number]
        canvas[inside] += OPACITY * (np.array(colour(int(label))) - canvas[inside])
    factor = max(round(MOST_PIXELS / max(canvas.shape[:2])), 1)
    picture = Image.fromarray(canvas.round().astype(np.uint8).repeat(factor, 0).repeat(factor, 1))
    pen = ImageDraw.Draw(picture)
    scale = np.array([picture.height, picture.width] * 2)
    for box in () if truth is None else truth.boxes:
        pen.rectangle(_corners(box * scale), outline=TRUTH, width=1)
    for box, label, score in zip(found.boxes, found.labels, found.scores, strict=True):
        corners = _corners(box * scale)
        pen.rectangle(corners, outline=colour(int(label)), width=2)
        _caption(pen, corners[:2], f"{classes[int(label)]} {score:.2f}", colour(int(label)))
    return np.asarray(picture)


def colour(label: int) -> tuple[int, int, int]:
    """Of a class."""
    return COLOURS[label % len(COLOURS)]


def _corners(box: np.ndarray) -> tuple[float, float, float, float]:
    """Left, top, right and bottom as Pillow wants them: the last pixels belong to the box."""
    top, left, bottom, right = (float(v) for v in box)
    return left, top, max(right - 1, left), max(bottom - 1, top)


def _caption(pen: Any, corner: tuple[float, ...], text: str, background: tuple[int, int, int]) -> None:
    left, top = corner
    around = pen.textbbox((left + 2, top), text)
    height = around[3] - around[1] + 2
    top = top - height if top >= height else top
    around = pen.textbbox((left + 2, top), text)
    pen.rectangle((left, around[1] - 1, around[2] + 1, around[3] + 1), fill=background)
    pen.text((left + 2, top), text, fill=TRUTH)
