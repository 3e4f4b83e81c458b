"""A word drawn with a font and photographed: perspective, slant, curve, colours, outline, shadow, texture, blur and noise.

Everything is drawn from one generator, so that an image is a function of its random numbers. One resampling takes the
letters to their place: a mesh of strips, each seen through a quadrilateral, which bends, leans and tapers the line of text.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from dl.data.rendering.fonts import SIZE, Face, set_in

STRIPS = 5  # of the mesh
Rng = np.random.Generator


class Style(NamedTuple):
    """`dataset.style`: how far images are from print.

    Each is a probability, or a strength as a share of the height of the letters or of the range of grey.

    curved: part of the words that stand on a curve.
    bend: height of that curve, at most.
    lean: slant and slope, at most.
    taper: how much lower one end is than the other, at most.
    margin: around the letters, at most.
    outlined, shadowed: parts of the words with an outline, a shadow.
    contrast: the least, between letters and background.
    texture: strength of the background's stains.
    blurred: part that is blurred.
    noise: deviation of each pixel, at most.
    """

    curved: float = 0.15
    bend: float = 0.35
    lean: float = 0.22
    taper: float = 0.25
    margin: float = 0.22
    outlined: float = 0.12
    shadowed: float = 0.12
    contrast: float = 0.2
    texture: float = 0.12
    blurred: float = 0.6
    noise: float = 0.05


def draw(
    rng: Rng,
    text: str,
    faces: Sequence[Face],
    shape: tuple[int, int],
    style: Style = Style(),  # noqa: B008  # never changed
    backgrounds: Sequence[np.ndarray] = (),
) -> UInt8[np.ndarray, "h w 1"]:
    """A grey image of a word.

    Args:
        rng: decides everything.
        text: what is written.
        faces: fonts to choose from.
        shape: height and width of the image; the word is squeezed or stretched to it.
        style: how far it is from print.
        backgrounds: grey images uint8 [H, W] of which a window lies behind the word; none: stains.
    """
    letters = letters_of(rng, text, faces[int(rng.integers(len(faces)))])
    quads = mesh(rng, letters.size, shape, style)
    ink = seen(letters, quads, shape)
    back, front = colours(rng, style)
    image = background(rng, shape, style, backgrounds, back)
    decoration = rng.random()
    if decoration < style.outlined:
        around = np.minimum(dilated(ink) * 1.5, 1)
        image = image * (1 - around) + around * (rng.random() if rng.random() < 0.5 else 1 - front)
    elif decoration < style.outlined + style.shadowed:
        down, right = rng.integers(-2, 3, 2)
        shadow = np.roll(ink, (int(down), int(right)), (0, 1)) * rng.uniform(0.3, 1)
        image = image * (1 - shadow) + shadow * rng.random()
    colour = front + rng.uniform(-0.1, 0.1) * (np.arange(shape[1], dtype=np.float32) / shape[1] - 0.5)
    image = image * (1 - ink) + ink * colour
    return photographed(rng, image, style)[:, :, None]


def letters_of(rng: Rng, text: str, face: Face) -> Any:
    """The letters as a mask (Pillow's "L"), cut out tightly; sometimes spaced or bold."""
    from PIL import Image

    gap = rng.uniform(-0.04, 0.35) * SIZE if rng.random() < 0.2 else 0.0
    mask = set_in(face, text, gap)
    if rng.random() < 0.1 and mask.shape[1] > 1:
        mask = np.maximum(mask, np.pad(mask, ((0, 0), (1, 0)))[:, :-1])
    return Image.fromarray(mask)


def mesh(rng: Rng, size: tuple[int, int], shape: tuple[int, int], style: Style) -> list[tuple[Any, Any]]:
    """Pillow's mesh: boxes of the output, and the quadrilaterals of the letters that they show."""
    (width, height), (rows, columns) = size, shape
    left, right, top, bottom = (height * (style.margin * v**1.5 - 0.02) for v in rng.random(4).tolist())
    lean, slope = (min(max(v * style.lean / 2, -style.lean), style.lean) * height for v in rng.standard_normal(2).tolist())
    slope *= min(1.0, width / height / 3)  # a long word climbs as far as a short one
    bent, bend, tapered, taper = rng.random(4).tolist()
    bend = style.bend * height * (2 * bend - 1) if bent < style.curved else 0.0
    taper = style.taper * (2 * taper - 1) if tapered < 0.5 else 0.0
    middle, half = (height + bottom - top) / 2, (height + top + bottom) / 2 + abs(slope) / 2 + abs(bend) / 2

    def edge(at: float) -> tuple[float, float, float, float]:
        """What the column of the output at a share of its width shows: the ends of a line through the letters."""
        across = -left + at * (width + left + right)
        rise = slope * (at - 0.5) + bend * (0.5 - (2 * at - 1) ** 2)
        high = half * (1 + taper * (at - 0.5) + abs(taper) / 2)  # where more is seen, letters look smaller
        return across - lean / 2, middle - high + rise, across + lean / 2, middle + high + rise

    quads, before = [], edge(0.0)
    for i in range(STRIPS):
        after = edge((i + 1) / STRIPS)
        box = (i * columns // STRIPS, 0, (i + 1) * columns // STRIPS, rows)
        quads.append((box, (*before, *after[2:], *after[:2])))
        before = after
    return quads


def seen(letters: Any, quads: list[tuple[Any, Any]], shape: tuple[int, int]) -> Float[np.ndarray, "h w"]:
    """The mask through the mesh, 0 to 1; long words are first made narrower, so that no pixel is skipped."""
    from PIL import Image

    rows, columns = shape
    fold = max(letters.width / columns, 1.0), max(letters.height / rows, 1.0)
    if fold != (1.0, 1.0):
        smaller = (max(round(letters.width / fold[0]), 1), max(round(letters.height / fold[1]), 1))
        scale = (smaller[0] / letters.width, smaller[1] / letters.height) * 4
        letters = letters.resize(smaller, Image.Resampling.BOX)
        quads = [(box, tuple(v * s for v, s in zip(quad, scale, strict=True))) for box, quad in quads]
    padded = Image.new("L", (letters.width + 2, letters.height + 2))  # what lies outside is empty, not cut off
    padded.paste(letters, (1, 1))
    quads = [(box, tuple(v + 1 for v in quad)) for box, quad in quads]
    out = padded.transform((columns, rows), Image.Transform.MESH, quads, Image.Resampling.BILINEAR)
    return np.asarray(out, np.float32) / 255


def colours(rng: Rng, style: Style) -> tuple[float, float]:
    """Greys of background and letters, apart by the least contrast."""
    while True:
        back, front = rng.random(2)
        if abs(back - front) >= style.contrast:
            return float(back), float(front)


def background(
    rng: Rng, shape: tuple[int, int], style: Style, images: Sequence[np.ndarray], grey: float
) -> Float[np.ndarray, "h w"]:
    """What is behind the letters: a window of an image whose mean is `grey`, or stains around it."""
    from PIL import Image

    if len(images):
        image = images[int(rng.integers(len(images)))]
        height = int(rng.integers(min(16, len(image)), len(image) + 1))
        width = min(image.shape[1], height * 3)
        top, left = int(rng.integers(len(image) - height + 1)), int(rng.integers(image.shape[1] - width + 1))
        window = Image.fromarray(image).resize(shape[::-1], Image.Resampling.BILINEAR, (left, top, left + width, top + height))
        values = np.asarray(window, np.float32) / 255
        return np.clip(grey + (values - values.mean()) * rng.uniform(0.2, 0.7), 0, 1)
    coarse = rng.standard_normal((int(rng.integers(2, 8)), int(rng.integers(2, 12)))).astype(np.float32)
    stains = Image.fromarray(coarse).resize(shape[::-1], Image.Resampling.BICUBIC)
    return grey + style.texture * rng.random() ** 2 * np.asarray(stains)


def dilated(ink: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """The maximum over 3x3."""
    wide = np.maximum(ink, np.maximum(np.roll(ink, 1, 1), np.roll(ink, -1, 1)))
    return np.maximum(wide, np.maximum(np.roll(wide, 1, 0), np.roll(wide, -1, 0)))


def photographed(rng: Rng, image: Float[np.ndarray, "h w"], style: Style) -> UInt8[np.ndarray, "h w"]:
    """Blur, by a lens or by few pixels, and noise."""
    from PIL import Image, ImageFilter

    pixels = Image.fromarray((image.clip(0, 1) * 255).astype(np.uint8))
    if rng.random() < style.blurred:
        if rng.random() < 0.5:
            pixels = pixels.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.2, 1.4))))
        else:
            fewer = rng.uniform(0.35, 0.9)
            small = (max(int(pixels.width * fewer), 1), max(int(pixels.height * fewer), 1))
            pixels = pixels.resize(small, Image.Resampling.BILINEAR).resize(pixels.size, Image.Resampling.BICUBIC)
    values = np.asarray(pixels)
    if rng.random() < 0.4:
        noise = rng.standard_normal(image.shape, np.float32) * (255 * style.noise * rng.random())
        values = (values + noise).clip(0, 255).astype(np.uint8)
    return values
