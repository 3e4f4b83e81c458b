"""The scenes and questions of SHAPES (Andreas, Rohrbach, Darrell & Klein 2016, section 5.1), as functions of (seed, position).

A scene is 30 x 30 pixels, 3 x 3 cells, each empty or with a circle, square or triangle in red, green or blue. A question has
a tree: `(is red (left_of square))` asks whether a red shape is the left neighbour of a square. Its layout is the tree in
postfix order, as modules take it: find red, find square, transform left_of, and, answer.
"""

import itertools
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from dl.errors import UserError
from dl.vocabulary import PAD, Vocabulary

CELLS, SIDE = 3, 10  # cells of a row, and pixels of a cell
COLOURS, SHAPES = ("red", "green", "blue"), ("circle", "square", "triangle")
RELATIONS = {"left_of": (0, -1), "right_of": (0, 1), "above": (-1, 0), "below": (1, 0)}  # rows and columns from the other
OCCUPIED = 0.8  # of the cells; this and what follows was measured on the published files
RADIUS, NOISE = (2.25, 4.125), 0.2  # in pixels, and of each colour in 0..1
SAMPLES = 4  # of each pixel, to a side
MODULES = ("none", "find", "transform", "and", "answer")
WORDS = ("a", "above", "below", "blue", "circle", "green", "is", "left", "of", "red", "right", "shape", "square", "triangle")
VOCABULARY = Vocabulary((PAD, *WORDS), words=True)
ARGUMENTS = ("none", *COLOURS, *SHAPES, *RELATIONS)  # what a module may be given
LONGEST, STEPS = 11, 6  # words of a question, and modules of a layout

Tree = Any  # a word, or (head, tree, ...)


class Scenes(NamedTuple):
    """Contents of the cells, int [N, 3, 3]; `colour` counts from 0, and so does `shape`; empty cells have -1 in both.

    radius: float [N, 3, 3], pixels. tint: float [N, 3, 3, 3], RGB in 0..1.
    """

    colour: Int[np.ndarray, "n r c"]
    shape: Int[np.ndarray, "n r c"]
    radius: Float[np.ndarray, "n r c"]
    tint: Float[np.ndarray, "n r c 3"]


def draws(seed: int, count: int, each: int, stream: int = 0) -> Float[np.ndarray, "n k"]:
    """Uniform numbers in 0..1, `each` of `count` positions; those of a position depend on (seed, stream, position) alone."""
    raw = np.random.Philox(key=np.array([seed, stream], np.uint64)).random_raw(count * each)
    return (raw >> np.uint64(11)).reshape(count, each) * 2.0**-53


def scenes(seed: int, count: int) -> Scenes:
    """The first `count` scenes of a seed."""
    u = draws(seed, count, 7 * CELLS**2).reshape(count, CELLS, CELLS, 7)
    there = u[..., 0] < OCCUPIED
    colour, shape = (np.where(there, (3 * u[..., k]).astype(np.int32), -1) for k in (1, 2))
    radius = RADIUS[0] + (RADIUS[1] - RADIUS[0]) * u[..., 3]
    tint = (np.arange(3) == colour[..., None]) + NOISE * (2 * u[..., 4:] - 1)
    return Scenes(colour, shape, radius, np.where(there[..., None], tint.clip(0, 1), 0.0))


def drawn(found: Scenes, side: int = SIDE) -> UInt8[np.ndarray, "n h w 3"]:
    """The scenes as images of 3 `side` pixels to a side, their edges smooth; of 10 pixels a cell, as published."""
    count, fine = len(found.colour), side * SAMPLES
    offset = (np.arange(fine, dtype=np.float32) + 0.5) / SAMPLES - side / 2
    y, x = offset[:, None] * SIDE / side, offset[None, :] * SIDE / side
    images = np.zeros((count, CELLS * side, CELLS * side, 3), np.uint8)
    for row, column in itertools.product(range(CELLS), repeat=2):
        r = found.radius[:, row, column, None, None].astype(np.float32)
        kind = found.shape[:, row, column]
        square = (np.abs(x) <= r) & (np.abs(y) <= r)
        inside = {0: x * x + y * y <= r * r, 1: square, 2: square & (np.abs(x) <= (y + r) / 2)}
        covered = np.select([(kind == k)[:, None, None] for k in inside], list(inside.values()), False)
        share = covered.reshape(count, side, SAMPLES, side, SAMPLES).mean((2, 4))
        cell = share[..., None] * found.tint[:, row, column, None, None] * 255
        images[:, row * side : (row + 1) * side, column * side : (column + 1) * side] = cell.round().astype(np.uint8)
    return images


def parse(question: str) -> Tree:
    """The tree of `(is red (left_of square))`.

    Raises:
        UserError: brackets that do not match, an unknown word, or another number of parts than a word takes.
    """
    symbols = re.findall(r"[()]|\w+", question)
    try:
        found = _tree(symbols)
        layout(found)
    except (IndexError, KeyError, ValueError, TypeError):
        raise UserError(f"{question!r} is no question of SHAPES, such as '(is red (left_of square))'.") from None
    if symbols:
        raise UserError(f"{question!r} goes on after its last bracket.")
    return found


def _tree(symbols: list[str]) -> Tree:
    symbol = symbols.pop(0)
    if symbol != "(":
        return symbol
    parts = []
    while symbols[0] != ")":
        parts.append(_tree(symbols))
    symbols.pop(0)
    return tuple(parts)


def layout(question: Tree) -> list[tuple[int, int]]:
    """Module and argument of each step, in postfix order; numbers of `MODULES` and `ARGUMENTS`."""
    head, *parts = question
    if head != "is" or not 1 <= len(parts) <= 2:
        raise ValueError(head)
    found = [step for part in parts for step in _steps(part)]
    return [*found, *([(3, 0)] if len(parts) == 2 else []), (4, 0)]


def _steps(tree: Tree) -> list[tuple[int, int]]:
    if isinstance(tree, str):
        if tree not in COLOURS + SHAPES:
            raise KeyError(tree)
        return [(1, ARGUMENTS.index(tree))]
    head, inner = tree
    if head not in RELATIONS:
        raise KeyError(head)
    return [*_steps(inner), (2, ARGUMENTS.index(head))]


def said(question: Tree) -> str:
    """The question in words, as the files have it: is a red shape left of a square; is a circle red."""
    first, *others = question[1:]
    return " ".join(["is", _thing(first), *(other if other in COLOURS else _thing(other) for other in others)])


def _thing(tree: Tree) -> str:
    if not isinstance(tree, str):
        return f"{tree[0].replace('_', ' ')} {_thing(tree[1])}"
    return f"a {tree} shape" if tree in COLOURS else f"a {tree}"


def answers(found: Scenes, question: Tree) -> Bool[np.ndarray, " n"]:
    """Whether the answer is yes, for each scene: some cell is of all parts of the question."""
    both: Bool[np.ndarray, " n"] = np.logical_and.reduce([_where(found, part) for part in question[1:]]).any((1, 2))
    return both


def _where(found: Scenes, tree: Tree) -> Bool[np.ndarray, "n r c"]:
    if isinstance(tree, str):
        return found.colour == COLOURS.index(tree) if tree in COLOURS else found.shape == SHAPES.index(tree)
    rows, columns = RELATIONS[tree[0]]
    padded = np.pad(_where(found, tree[1]), ((0, 0), (1, 1), (1, 1)))
    return padded[:, 1 - rows : 1 - rows + CELLS, 1 - columns : 1 - columns + CELLS]


def questions() -> list[str]:
    """All questions about two shapes with no, one or two relations between them, as they are written: 756."""
    things = COLOURS + SHAPES
    others = [*things, *(f"({r} {t})" for r, t in itertools.product(RELATIONS, things))]
    others += [f"({r} ({s} {t}))" for r, s, t in itertools.product(RELATIONS, RELATIONS, things)]
    return [f"(is {one} {other})" for one, other in itertools.product(things, others)]


def arrays(written: Sequence[str]) -> dict[str, np.ndarray]:
    """`question` int32 [N, 11], words padded with 0; `layout` int32 [N, 6, 2]; `form` int32 [N], relations in the question."""
    made: dict[str, tuple[np.ndarray, np.ndarray, int]] = {}
    for one in dict.fromkeys(written):
        tree = parse(one)
        words, steps = VOCABULARY.encode(said(tree)), layout(tree)
        if len(words) > LONGEST or len(steps) > STEPS:
            raise UserError(f"the question {one!r} is longer than {LONGEST} words or {STEPS} modules.")
        question, program = np.zeros(LONGEST, np.int32), np.zeros((STEPS, 2), np.int32)
        question[: len(words)], program[: len(steps)] = words, steps
        made[one] = question, program, sum(module == 2 for module, _ in steps)
    columns = zip(*(made[one] for one in written), strict=True)
    return {name: np.array(column, np.int32) for name, column in zip(("question", "layout", "form"), columns, strict=True)}


def captions(found: Scenes, seed: int, count: int = 5) -> list[list[str]]:
    """What may be said of each scene: sentences about a shape and one beside it, drawn among those that are true."""
    u = draws(seed, len(found.colour), 4 * count, 1).reshape(-1, count, 4)
    there = [(r, c) for r, c in itertools.product(range(CELLS), repeat=2)]
    made = []
    for colour, shape, of_scene in zip(found.colour, found.shape, u, strict=True):
        cells = [cell for cell in there if shape[cell] >= 0]
        texts = []
        for first, second, _, _ in of_scene if cells else ():
            one = cells[int(first * len(cells))]
            near = {name: (one[0] - step[0], one[1] - step[1]) for name, step in RELATIONS.items()}
            near = {name: cell for name, cell in near.items() if cell in cells}
            text = f"a {COLOURS[colour[one]]} {SHAPES[shape[one]]}"
            if near:
                name = sorted(near)[int(second * len(near))]
                text += f" {name.replace('_', ' ')} a {COLOURS[colour[near[name]]]} {SHAPES[shape[near[name]]]}"
            texts.append(text)
        made.append(texts or ["nothing"])
    return made
