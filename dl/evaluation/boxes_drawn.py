"""Scenes with the boxes of words drawn into them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from dl.artifacts import Images
from dl.evaluation.turned_boxes import corners, matched

RIGHT, WRONG, MISSED = (0, 170, 60), (220, 0, 0), (240, 150, 0)
TIMES = 2  # larger than the image, so that lines are thin


def scenes_with_boxes(
    images: Float[np.ndarray, "n h w c"],
    found: Sequence[Float[np.ndarray, "_ 5"]],
    there: Sequence[Float[np.ndarray, "_ 5"]],
    texts: Sequence[Sequence[str]] = (),
) -> Images:
    """Green: found; red: found where there is no word; orange: missed. Words stand above their boxes.

    Args:
        images: standardised or not.
        found: boxes that were found, the likeliest first.
        there: boxes of the words.
        texts: the words of each image, in the order of `there`, or none.
    """
    pixels, captions = [], []
    for i, (image, ours, truth) in enumerate(zip(images, found, there, strict=True)):
        right, seen = matched(ours, truth)
        words = list(texts[i]) if len(texts) else []
        drawn = [(box, RIGHT if good else WRONG, "") for box, good in zip(ours, right, strict=True)]
        drawn += [(box, MISSED, "") for box, was in zip(truth, seen, strict=True) if not was]
        named = [(box, RIGHT if was else MISSED, word) for box, was, word in zip(truth, seen, words, strict=False)]
        pixels.append(with_boxes(image, drawn, named))
        captions.append(f"{int(seen.sum())} of {len(truth)} found, {int((~right).sum())} wrong")
    return Images(np.stack(pixels), captions, columns=3)


def with_boxes(
    image: Float[np.ndarray, "h w c"],
    drawn: Sequence[tuple[np.ndarray, tuple[int, int, int], str]],
    named: Sequence[tuple[np.ndarray, tuple[int, int, int], str]] = (),
) -> np.ndarray:
    """An image uint8 [2H, 2W, 3] with boxes of a colour; of those in `named` the text alone, above where the box is."""
    from PIL import Image, ImageDraw, ImageFont

    low, high = float(image.min()), float(image.max())
    grey = ((image.mean(-1) - low) / max(high - low, 1e-6) * 255).clip(0, 255).astype(np.uint8)
    canvas = Image.fromarray(grey).convert("RGB").resize((TIMES * grey.shape[1], TIMES * grey.shape[0]))
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(12)
    for box, colour, text in (*drawn, *named):
        outline: list[Any] = [(TIMES * x, TIMES * y) for y, x in corners(np.asarray(box)[None])[0].tolist()]
        if text:
            pen.text((outline[0][0], max(outline[0][1] - 14, 0)), text, colour, font, stroke_width=1, stroke_fill="white")
        else:
            pen.polygon(outline, outline=colour, width=2)
    return np.asarray(canvas)
