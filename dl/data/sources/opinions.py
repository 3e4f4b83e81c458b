"""Made-up opinions about films, parsed, with a sentiment at every node: what "not", "very", "but" and "neither" do to it.

They need no file, and a net can learn them without error if it learns what each word does: a bag of words cannot.
"""

from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from dl.data.sources.treebank import DEFAULTS as OF_TREES
from dl.data.sources.treebank import treebank
from dl.dataset import Dataset
from dl.errors import UserError
from dl.trees import SentenceTree, parse

ADJECTIVES = (("awful", "dreadful"), ("bad", "dull"), ("long", "new"), ("good", "funny"), ("great", "superb"))  # 0..4
SUBJECTS = ("the film", "this movie", "her story")
NOT = (3, 3, 2, 1, 1)  # "not great" is no more than negative
VERY = (0, 0, 2, 4, 4)
SEEDS = {"train": 0, "validation": 1, "test": 2}


class Phrase(NamedTuple):
    """text: in labelled brackets; label: 0 (very negative) to 4 (very positive)."""

    text: str
    label: int


def load_opinions(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """`dataset.examples` (default 400) sentences to train on, a quarter as many for `validation` and `test` each; always the
    same ones. Features and settings are those of `dl.data.sources.treebank.treebank`.

    Raises:
        UserError: fewer than 8 examples, or a setting that there is not.
    """
    examples = settings.get("examples", 400)
    if examples < 8:
        raise UserError(f"dataset.examples={examples} must be at least 8.")
    counts = {"train": examples, "validation": examples // 4, "test": examples // 4}
    return treebank("opinions", {split: sentences(SEEDS[split], count) for split, count in counts.items()}, settings)


def sentences(seed: int, count: int) -> list[SentenceTree]:
    """So many sentences."""
    rng = np.random.default_rng(seed)
    return [parse(sentence(rng).text) for _ in range(count)]


def sentence(rng: np.random.Generator) -> Phrase:
    """A subject, "is", and what it is."""
    first, second = str(rng.choice(SUBJECTS)).split()
    subject = Phrase(f"(2 (2 {first}) (2 {second}))", 2)
    return _joined(subject, _joined(_word("is"), quality(rng, depth=3)))


def quality(rng: np.random.Generator, depth: int) -> Phrase:
    """What a film may be: an adjective, or others joined."""
    kind = int(rng.integers(5)) if depth else 0
    if kind == 0:
        label = int(rng.integers(len(ADJECTIVES)))
        return _word(str(rng.choice(ADJECTIVES[label])), label)
    if kind == 1:
        inner = quality(rng, 0)
        return _joined(_word("very"), inner, VERY[inner.label])
    if kind == 2:
        inner = quality(rng, min(depth - 1, 1))
        return _joined(_word("not"), inner, NOT[inner.label])
    left, right = quality(rng, depth - 1), quality(rng, depth - 1)
    if kind == 3:  # what comes after "but" counts
        return _joined(left, _joined(_word("but"), right, right.label), right.label)
    nor = _joined(_word("nor"), right, NOT[right.label])
    neither = _joined(_word("neither"), left, NOT[left.label])
    return _joined(neither, nor, (neither.label + nor.label + 1) // 2)


def _word(word: str, label: int = 2) -> Phrase:
    return Phrase(f"({label} {word})", label)


def _joined(left: Phrase, right: Phrase, label: int | None = None) -> Phrase:
    label = right.label if label is None else label
    return Phrase(f"({label} {left.text} {right.text})", label)


PUBLIC = {"opinions": load_opinions}
SETTINGS = {"opinions": {**OF_TREES, "examples": 400}}
