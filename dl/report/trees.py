"""Trees over sentences as inline SVG: the words in a row, above them the nodes that join them, each in the colour of its value.

Colours are mixed of the page's own, so that they follow the reader's light or dark scheme.
"""

from html import escape

import numpy as np

from dl.artifacts import ParseTree

CHARACTER, GAP, STEP, RADIUS = 7.0, 14.0, 26.0, 8.0  # pixels: of a character, between words, between levels, of a node
MARGIN, BELOW = 12.0, 26.0
FAINT = 12  # percent of the colour at 0, so that a node is seen


def drawn(tree: ParseTree) -> str:
    """The artifact as HTML. A node is as high as there are levels below it; its note is told when it is pointed at."""
    x, height = _layout(tree)
    words, nodes = len(tree.words), len(tree.values)
    bottom = MARGIN + RADIUS + STEP * height.max()
    y = bottom - STEP * height
    wide, tall = x[:words].max() + _half(tree.words[-1]) + MARGIN, bottom + BELOW
    lines = "".join(
        f'<path d="M{x[words + i]:.1f} {y[words + i]:.1f}L{x[child]:.1f} {y[child]:.1f}"/>'
        for i, pair in enumerate(np.asarray(tree.children).tolist())
        for child in pair
    )
    discs = "".join(
        f'<circle cx="{x[i]:.1f}" cy="{y[i]:.1f}" r="{RADIUS}" style="fill:{colour(float(tree.values[i]))}">{_note(tree, i)}'
        f"</circle>{_sign(float(tree.values[i]), x[i], y[i])}"
        for i in range(nodes)
    )
    texts = "".join(f'<text x="{x[i]:.1f}" y="{bottom + BELOW - 6:.1f}">{escape(w)}</text>' for i, w in enumerate(tree.words))
    label = escape(" ".join(tree.words))
    return (
        f'<div class="scroll"><svg class="tree" viewBox="0 0 {wide:.0f} {tall:.0f}" width="{wide:.0f}" height="{tall:.0f}" '
        f'role="img" aria-label="{label}">{lines}{discs}{texts}</svg></div>'
    )


def colour(value: float) -> str:
    """CSS: from the page's colour of what is bad, at -1, by way of nearly none to that of what is good."""
    share = FAINT + (100 - FAINT) * min(abs(value), 1.0) if np.isfinite(value) else FAINT
    return f"color-mix(in srgb, var(--{'c1' if value < 0 else 'c0'}) {share:.0f}%, var(--card))"


def _layout(tree: ParseTree) -> tuple[np.ndarray, np.ndarray]:
    """Where each node stands from the left, and on which level, the words on 0."""
    x, height = np.zeros(len(tree.values)), np.zeros(len(tree.values))
    at = MARGIN
    for i, word in enumerate(tree.words):
        x[i] = at + _half(word)
        at += 2 * _half(word) + GAP
    for i, (left, right) in enumerate(np.asarray(tree.children).tolist(), start=len(tree.words)):
        x[i], height[i] = (x[left] + x[right]) / 2, max(height[left], height[right]) + 1
    return x, height


def _half(word: str) -> float:
    return max(len(word) * CHARACTER / 2, RADIUS)


def _note(tree: ParseTree, node: int) -> str:
    return f"<title>{escape(tree.notes[node])}</title>" if len(tree.notes) else ""


def _sign(value: float, x: float, y: float) -> str:
    """The value in signs, so that it is seen without colours, too."""
    sign = (
        "" if not np.isfinite(value) or abs(value) < 0.2 else ("+" if value > 0 else "\u2212") * (2 if abs(value) > 0.6 else 1)
    )
    return f'<text class="sign" x="{x:.1f}" y="{y + 3.5:.1f}">{sign}</text>' if sign else ""
