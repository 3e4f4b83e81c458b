"""The look of the page: one style sheet, for light and dark, for a screen and for paper.

Colours are custom properties, so that the inline SVG of the plots follows the reader's colour scheme. The first six are close
to those of Okabe and Ito (2008), which the colour-blind can tell apart.
"""

from importlib.resources import files

COLOURS = 10  # --c0 to --c9
SPLITS = {"train": "var(--c0)", "test": "var(--c1)", "validation": "var(--c2)"}

CSS = files(__package__).joinpath("style.css").read_text(encoding="utf-8")


def colour(index: int) -> str:
    """The colour of series or class `index`; beyond the palette, hues a golden angle apart."""
    return f"var(--c{index})" if index < COLOURS else f"hsl({index * 137.508 % 360:.0f} 55% 52%)"
