"""Tables, matrices and images as HTML."""

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from dl.artifacts import Images, Matrix, Table
from dl.report.axis import number

CELLS = 30  # a matrix of more rows or columns becomes an image without numbers
PHOTO = 160  # images with a longer side than this are stored as JPEG


def title(name: str) -> str:
    """`worst_mistakes` -> `Worst mistakes`."""
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def text(value: Any) -> str:
    """Any value of a configuration or a result as a short text."""
    if isinstance(value, bool) or value is None:
        return str(value).lower() if value is not None else "none"
    if isinstance(value, float | np.floating):
        return f"{float(value):.10g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {text(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(text, value)) or "none"
    return str(value) or "—"


def rows(header: Sequence[str], body: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A table of cells that are HTML already; the columns in `right` hold numbers."""

    def line(cells: Sequence[str], tag: str) -> str:
        marked = (f"<{tag}{' class=num' if i in right else ''}>{cell}</{tag}>" for i, cell in enumerate(cells))
        return f"<tr>{''.join(marked)}</tr>"

    head = f"<thead>{line(header, 'th')}</thead>" if header else ""
    lines = "".join(line(cells, "td") for cells in body)
    return f'<div class="scroll"><table>{head}<tbody>{lines}</tbody></table></div>'


def key_values(values: Mapping[str, Any]) -> str:
    """A table of two columns, the values in monospace."""
    lines = "".join(
        f'<tr><th scope="row">{escape(str(key))}</th><td class="mono">{escape(text(value))}</td></tr>'
        for key, value in values.items()
    )
    return f'<table class="key"><tbody>{lines}</tbody></table>'


def table(artifact: Table) -> str:
    """The artifact as HTML; a column is right-aligned where all its cells are numbers."""
    columns = range(len(artifact.header))
    right = [i for i in columns if all(isinstance(row[i], int | float) for row in artifact.rows)]
    cells = [[number(c) if isinstance(c, int | float) else escape(str(c)) for c in row] for row in artifact.rows]
    return rows([escape(str(h)) for h in artifact.header], cells, right)


def matrix(artifact: Matrix) -> str:
    """A heat map. In a confusion matrix (counts, rows and columns alike) mistakes have their own colour and scale."""
    values = np.asarray(artifact.values)
    strength, off = _strength(artifact)
    if max(values.shape) > CELLS:
        return _heat(artifact, strength, off)
    head = "".join(f"<th>{escape(str(name))}</th>" for name in artifact.columns)
    over = f'<tr><th></th><th class="title" colspan="{len(artifact.columns)}">{escape(artifact.column_title)}</th></tr>'
    corner = f'<th class="title">{escape(artifact.row_title)}</th>'
    body = ""
    for r, name in enumerate(artifact.rows):
        body += f'<tr><th scope="row">{escape(str(name))}</th>'
        for c, value in enumerate(values[r].tolist()):
            hue = "miss" if off[r, c] else "heat"
            alpha = f"{strength[r, c]:.2f}"
            style = ' class="zero"' if not value else f' style="background:rgb(var(--{hue}) / {alpha})"'
            body += f"<td{style}>{number(value)}</td>"
        body += "</tr>"
    upper = over if artifact.column_title else ""
    head = f"<thead>{upper}<tr>{corner}{head}</tr></thead>"
    return f'<div class="scroll"><table class="matrix">{head}<tbody>{body}</tbody></table></div>'


def _strength(artifact: Matrix) -> tuple[np.ndarray, np.ndarray]:
    """How strong each cell is coloured, 0..0.8 [R, C], and which cells have the second colour: mistakes, or negative values.

    In a confusion matrix it is the share of the row, so that a single mistake among many examples stays pale.
    """
    values = np.nan_to_num(np.asarray(artifact.values, np.float64))
    confusion = np.issubdtype(np.asarray(artifact.values).dtype, np.integer) and list(artifact.rows) == list(artifact.columns)
    off = np.eye(*values.shape) == 0 if confusion else values < 0
    size = np.abs(values)
    largest = size.sum(1, keepdims=True) if confusion else size.max(initial=0.0)
    strength = 0.8 * np.sqrt(size / np.where(largest == 0, 1.0, largest))  # the root lifts what is small
    return strength, off


def _heat(artifact: Matrix, strength: np.ndarray, off: np.ndarray) -> str:
    pixels = np.zeros((*strength.shape, 4), np.uint8)
    pixels[..., :3] = np.where(off[..., None], (213, 94, 0), (0, 114, 178))
    pixels[..., 3] = np.round(255 * strength / 0.8)
    shape = f"{len(artifact.rows)} by {len(artifact.columns)}"
    name = f"{artifact.row_title or 'rows'} down, {artifact.column_title or 'columns'} across, {shape}"
    return (
        f'<figure><img class="heat" alt="" src="{_uri(pixels)}"><figcaption class="soft">{escape(name)}</figcaption></figure>'
    )


def images(artifact: Images) -> str:
    """A grid of images with their captions. Small ones are enlarged, every pixel visible."""
    pixels = np.asarray(artifact.pixels)
    if not len(pixels):
        return '<p class="soft">none</p>'
    if pixels.dtype != np.uint8:
        pixels = np.round(255 * np.clip(np.nan_to_num(pixels.astype(np.float32)), 0, 1)).astype(np.uint8)
    side = max(pixels.shape[1:3])
    longest = max((len(line) for caption in artifact.captions for line in str(caption).splitlines()), default=0)
    width = min(max(2 * side, 72, min(7 * longest, 180)), 320)  # a caption keeps to its lines if it can
    columns = min(artifact.columns, len(pixels))
    css = " class=pixel" if side <= 64 else ""
    out = ""
    for i, image in enumerate(pixels):
        caption = str(artifact.captions[i]) if i < len(artifact.captions) else ""
        below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
        out += f'<figure><img{css} alt="{escape(caption.replace(chr(10), ", "))}" src="{_uri(image)}">{below}</figure>'
    size = f"grid-template-columns:repeat(auto-fill,minmax({width}px,1fr));width:{columns * width + 8 * (columns - 1)}px"
    return f'<div class="images" style="{size}">{out}</div>'


def _uri(pixels: np.ndarray) -> str:
    """Pixels uint8 [H, W, C], C = 1, 3 or 4, as a data URI."""
    from PIL import Image

    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    kind = "jpeg" if max(pixels.shape[:2]) > PHOTO and pixels.shape[-1] != 4 else "png"
    buffer = io.BytesIO()
    image.save(buffer, kind, **({"quality": 88} if kind == "jpeg" else {}))
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
