"""Scenes with words in them: lines of text, each turned a little, on a wall of stains, stripes and signs, none on another one.

A word's box is (y, x, height, width, angle): its centre and sides in pixels, and by how much its line turns from the
horizontal, in radians, counter-clockwise as it is seen.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from dl.data.rendering import vocabulary, words
from dl.data.rendering.fonts import Face, set_in

TRIES = 12  # to find a place for a word
GAP = 3  # pixels between two words, at least
Rng = np.random.Generator


class Scenery(NamedTuple):
    """What a scene has.

    most: words, at most.
    heights: of the lines in pixels, from and to.
    turn: of a line, in degrees, at most.
    signs: rectangles that carry no word, at most.
    """

    most: int = 6
    heights: tuple[int, int] = (12, 32)
    turn: float = 20.0
    signs: int = 3


class Scene(NamedTuple):
    """`image` uint8 [H, W, 1]; the `boxes` float32 [N, 5] of its words, and what they are."""

    image: UInt8[np.ndarray, "h w 1"]
    boxes: Float[np.ndarray, "n 5"]
    texts: list[str]


def compose(
    rng: Rng,
    list_: vocabulary.Words,
    faces: Sequence[Face],
    side: int,
    scenery: Scenery,
    style: words.Style,
    backgrounds: Sequence[np.ndarray] = (),
) -> Scene:
    """A square scene.

    Args:
        rng: decides everything.
        list_: the words that are written.
        faces: fonts to choose from.
        side: of the image, in pixels.
        scenery: what it has.
        style: how words and backgrounds look.
        backgrounds: images of which a window is the wall; none: stains.
    """
    grey = float(rng.uniform(0.1, 0.9))
    image = np.asarray(words.background(rng, (side, side), style, backgrounds, grey), np.float32).copy()
    for _ in range(int(rng.integers(0, scenery.signs + 1))):
        top, left = rng.integers(0, side - 8, 2)
        height, width = rng.integers(8, side // 2, 2)
        image[top : top + height, left : left + width] += rng.uniform(-0.35, 0.35)
    boxes: list[tuple[float, ...]] = []
    texts: list[str] = []
    taken = np.zeros((side, side), bool)
    for _ in range(int(rng.integers(1, scenery.most + 1))):
        text = vocabulary.written(rng, list_)
        ink, size, angle = line(rng, text, faces, side, scenery)
        place = room(rng, ink.shape, taken)
        if place is None:
            continue
        top, left = place
        here = (slice(top, top + ink.shape[0]), slice(left, left + ink.shape[1]))
        taken[top : top + ink.shape[0] + GAP, left : left + ink.shape[1] + GAP] = True
        image[here] = image[here] * (1 - ink) + ink * colour(rng, float(image[here].mean()), style.contrast)
        boxes.append((top + ink.shape[0] / 2, left + ink.shape[1] / 2, *size, angle))
        texts.append(text)
    pixels = words.photographed(rng, image, style)
    return Scene(pixels[:, :, None], np.array(boxes, np.float32).reshape(-1, 5), texts)


def line(
    rng: Rng, text: str, faces: Sequence[Face], side: int, scenery: Scenery
) -> tuple[Float[np.ndarray, "h w"], tuple[float, float], float]:
    """The mask of a turned word, 0 to 1; its height and width before it was turned; and the angle, in radians."""
    from PIL import Image

    letters = Image.fromarray(set_in(faces[int(rng.integers(len(faces)))], text))
    low, high = scenery.heights
    height = rng.uniform(low, high)
    width = height * letters.width / letters.height * rng.uniform(0.8, 1.2)
    shrunk = min(1.0, 0.9 * side / math.hypot(width, height))
    size = (max(round(height * shrunk), 4), max(round(width * shrunk), 4))
    degrees = float(rng.uniform(-scenery.turn, scenery.turn)) if rng.random() < 0.6 else 0.0
    turned: Any = letters.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    turned = turned.rotate(degrees, Image.Resampling.BILINEAR, expand=True)
    return np.asarray(turned, np.float32) / 255, (float(size[0]), float(size[1])), math.radians(degrees)


def room(rng: Rng, shape: tuple[int, ...], taken: np.ndarray) -> tuple[int, int] | None:
    """The upper left corner of a window that is free; None where none was found."""
    rows, columns = (free - size for free, size in zip(taken.shape, shape, strict=True))
    if rows < 0 or columns < 0:
        return None
    for _ in range(TRIES):
        top, left = int(rng.integers(rows + 1)), int(rng.integers(columns + 1))
        if not taken[max(top - GAP, 0) : top + shape[0], max(left - GAP, 0) : left + shape[1]].any():
            return top, left
    return None


def colour(rng: Rng, behind: float, contrast: float) -> float:
    """A grey that stands out from what is behind it."""
    choices = [part for part in ((0.0, behind - contrast), (behind + contrast, 1.0)) if part[1] > part[0]] or [(0.0, 1.0)]
    low, high = choices[int(rng.integers(len(choices)))]
    return float(rng.uniform(low, high))
