"""Fonts: those of the machine, of a folder, or the one that Pillow embeds; only such as have every letter and digit.

Of each font the letters are drawn once, so that a word is put together from pictures of its letters.
"""

import functools
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from dl.errors import UserError

EMBEDDED = "embedded"  # as `dataset.fonts`: the font within Pillow, the same on every machine
SUFFIXES = (".ttf", ".otf", ".ttc", ".woff", ".woff2", ".pfb", ".t1")
# Where Linux, macOS and Windows keep fonts.
FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.fonts",
    "~/.local/share/fonts",
    "/Library/Fonts",
    "C:/Windows/Fonts",
)
CHARACTERS = string.ascii_letters + string.digits
MARKS = ".,!?:'\"-()&$"  # which a font may lack
MISSING = "\U0010fffe"  # no character, so that every font shows its sign for a missing glyph
SIZE = 32  # pixels of a font
EDGE = 64  # of 255, from which a pixel belongs to a letter when a line is cut out
MOST_PIXELS = 4 * SIZE  # of a glyph's sides


class Glyph(NamedTuple):
    """A letter: its mask, where its upper left corner is from the pen on the base line, and how far the pen moves on."""

    pixels: UInt8[np.ndarray, "h w"]
    left: int
    top: int
    advance: float


Face = Mapping[str, Glyph]  # a font: character -> how it looks


def find(folder: str) -> tuple[str, ...]:
    """The paths of fonts, in order of their names, so that the order is the same everywhere.

    Args:
        folder: a folder with fonts, searched with its sub-folders; "embedded"; or "" for those of the machine, and the embedded
            one where it has none.

    Raises:
        UserError: no such folder, or no font in it.
    """
    if folder == EMBEDDED:
        return (EMBEDDED,)
    roots = [Path(root).expanduser() for root in ([folder] if folder else FOLDERS)]
    if folder and not roots[0].is_dir():
        raise UserError(f"dataset.fonts={folder}: there is no such folder; leave it out for the fonts of this machine.")
    paths = [path for root in roots if root.is_dir() for path in root.rglob("*") if path.suffix.lower() in SUFFIXES]
    if folder and not paths:
        raise UserError(f"dataset.fonts={folder} holds no fonts ({', '.join(SUFFIXES)}): name another folder.")
    return tuple(map(str, sorted(paths, key=lambda path: (path.name, path)))) or (EMBEDDED,)


@functools.lru_cache(maxsize=4)
def faces(folder: str) -> tuple[Face, ...]:
    """The fonts of a folder (see `find`) that have all letters and digits; others are left out.

    Raises:
        UserError: as `find`, or no font has all of them.
    """
    found = {path: face(path) for path in find(folder)}
    usable = tuple(each for each in found.values() if not lacking(each))
    if usable:
        return usable
    if not folder:
        return (face(EMBEDDED),)
    path, missing = min(((path, lacking(each)) for path, each in found.items()), key=lambda pair: len(pair[1]))
    raise UserError(
        f"dataset.fonts={folder}: none of its {len(found)} fonts has all letters and digits; {Path(path).name} lacks "
        f"{missing[:20]!r}. Name another folder."
    )


def lacking(face: Face, characters: str = CHARACTERS) -> str:
    """Those of `characters` that a font does not have."""
    return "".join(character for character in characters if character not in face)


def face(path: str, characters: str = CHARACTERS + MARKS) -> Face:
    """A font, without those of `characters` for which it has no glyph or an empty one; with none where it can't be read."""
    glyphs: dict[str, Glyph] = {}
    try:
        font = _opened(path)
        sign = _glyph(font, MISSING)
        for character in characters:
            glyph = _glyph(font, character)
            same = glyph.pixels.shape == sign.pixels.shape and np.array_equal(glyph.pixels, sign.pixels)
            if glyph.pixels.any() and not same and max(glyph.pixels.shape) <= MOST_PIXELS:
                glyphs[character] = glyph
    except (OSError, ValueError, RuntimeError):  # FreeType's errors, and Pillow's of glyphs that are too large
        return {}
    return glyphs


def _opened(path: str) -> Any:
    from PIL import ImageFont

    if path == EMBEDDED:
        return ImageFont.load_default(SIZE)
    with open(path, "rb") as file:  # from memory: no file stays open
        return ImageFont.truetype(file, SIZE, layout_engine=ImageFont.Layout.BASIC)


def _glyph(font: Any, character: str) -> Glyph:
    mask, (left, top) = font.getmask2(character, "L", anchor="ls")
    pixels = np.frombuffer(bytes(mask), np.uint8).reshape(mask.size[1], mask.size[0])
    return Glyph(pixels, round(left), round(top), float(font.getlength(character)))


def set_in(face: Face, text: str, gap: float = 0.0) -> UInt8[np.ndarray, "h w"]:
    """The mask of a line of text, cut out tightly; characters that the font lacks are left out.

    Args:
        face: the font.
        text: what is set.
        gap: more than the font's distance between letters, in pixels.
    """
    pen, placed = 0.0, []
    for glyph in (face[character] for character in text if character in face):
        placed.append((round(pen) + glyph.left, glyph.top, glyph.pixels))
        pen += glyph.advance + gap
    if not placed:
        return np.zeros((1, 1), np.uint8)
    left, top = min(x for x, _, _ in placed), min(y for _, y, _ in placed)
    right, low = max(x + p.shape[1] for x, _, p in placed), max(y + p.shape[0] for _, y, p in placed)
    canvas = np.zeros((low - top, right - left), np.uint8)
    for x, y, pixels in placed:
        part = canvas[y - top : y - top + pixels.shape[0], x - left : x - left + pixels.shape[1]]
        np.maximum(part, pixels, out=part)
    rows, columns = (np.flatnonzero(canvas.max(axis=axis) > EDGE) for axis in (1, 0))
    if not len(rows):
        return canvas
    return canvas[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
