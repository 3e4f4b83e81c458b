"""What a task can show in a report, as plain data: no plotting library is needed to make one.

`dl.report` turns each of these into HTML. All arrays are NumPy arrays on the host.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Images(NamedTuple):
    """A grid of images. `pixels` [N, H, W, C], float 0..1 or uint8, C = 1 or 3; one caption per image, or none."""

    pixels: np.ndarray
    captions: Sequence[str] = ()
    columns: int = 8


class Matrix(NamedTuple):
    """A heat map with a number in each cell. `values` [R, C]; the titles say what a row and a column are."""

    values: np.ndarray
    rows: Sequence[str]
    columns: Sequence[str]
    row_title: str = ""
    column_title: str = ""


class Table(NamedTuple):
    """A table: the header, then rows of the same length."""

    header: Sequence[str]
    rows: Sequence[Sequence[str | int | float]]


class Text(NamedTuple):
    """A passage of text, shown as it is (monospaced, line breaks kept)."""

    text: str


class Curves(NamedTuple):
    """Lines in one plot: name -> (x [N], y [N])."""

    lines: dict[str, tuple[np.ndarray, np.ndarray]]
    x_title: str = ""
    y_title: str = ""


class Scatter(NamedTuple):
    """Points in the plane. `points` [N, 2]; `labels` [N] integers that colour them; `names` of the labels; `texts` stand where
    the points are, one each, or none.
    """

    points: np.ndarray
    labels: np.ndarray
    names: Sequence[str] = ()
    texts: Sequence[str] = ()


class ParseTree(NamedTuple):
    """A sentence and a binary tree over it, coloured: `values` from -1 by way of 0 to 1.

    Nodes are numbered, the N words first, then the inner nodes, children before their parents, so that the root is the last.
    `children` int [N - 1, 2] are those of each inner node, `values` [2 N - 1] and `notes`, a word on each, or none, of all.
    """

    words: Sequence[str]
    children: np.ndarray
    values: np.ndarray
    notes: Sequence[str] = ()


class Audio(NamedTuple):
    """Sounds to be played: `sounds` [N] each, float in -1..1 or int16, `rate` samples a second; one caption each, or none."""

    sounds: Sequence[np.ndarray]
    rate: int
    captions: Sequence[str] = ()


Artifact = Images | Matrix | Table | Text | Curves | Scatter | ParseTree | Audio
