"""What sources of texts share: words become numbers of a vocabulary, a text an example of a ragged feature."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from dl.data.ragged import Ragged
from dl.data.tokenisation import vocabulary_of, words
from dl.dataset import Feature, Kind
from dl.errors import UserError, unknown
from dl.vocabulary import PAD, RARE, Vocabulary

LEVELS = ("word", "character")
DEFAULTS = {"level": "word", "lower": True, "minimum": 1, "most": 0, "lengths": ()}  # of a source of texts


def symbols(text: str, settings: ConfigDict | Mapping[str, Any]) -> list[str]:
    """The symbols of a text: `level` is "word" (words and marks) or "character"; `lower`: in small letters.

    Raises:
        UserError: another level.
    """
    level, lower = settings.get("level", "") or "word", settings.get("lower", True)
    if level not in LEVELS:
        raise unknown("dataset.level", level, LEVELS)
    return words(text, lower) if level == "word" else list(text.lower() if lower else text)


def vocabulary(texts: Sequence[Sequence[str]], settings: ConfigDict) -> Vocabulary:
    """`<pad>`, `<unk>` and the symbols of some texts that occur `minimum` times at least, the `most` frequent (0: all).

    Raises:
        UserError: a limit that leaves none.
    """
    minimum, most = settings.get("minimum", 1), settings.get("most", 0)
    for name, value in (("minimum", minimum), ("most", most)):
        if not isinstance(value, int) or value < 0:
            raise UserError(f"dataset.{name} must be a whole number from 0, not {value!r}.")
    of_words = (settings.get("level", "") or "word") == "word"
    made = vocabulary_of(texts, minimum, most, (PAD, RARE), of_words)
    if len(made) == 2:
        raise UserError(f"dataset.minimum={minimum} leaves no word: lower it.")
    return made


def numbered(texts: Sequence[Sequence[str]], of: Vocabulary) -> Ragged:
    """Texts as numbers of the smallest type that fits; what the vocabulary lacks is `<unk>`."""
    numbers, rare = of.numbers, of.numbers[RARE]
    kind = np.min_scalar_type(len(of) - 1)
    values = np.fromiter((numbers.get(s, rare) for s in itertools.chain.from_iterable(texts)), kind)
    return Ragged(values, np.cumsum([0, *map(len, texts)]), fill=of.numbers[PAD])


def feature(of: Vocabulary) -> Feature:
    """The description of such a feature."""
    return Feature(Kind.TOKENS, (None,), vocabulary=of)


def features(texts: Mapping[str, Sequence[Sequence[str]]], settings: ConfigDict) -> tuple[Vocabulary, dict[str, Ragged]]:
    """The vocabulary of the split `train` (of all, where there is none), and the feature of each split."""
    known = texts["train"] if "train" in texts else [text for split in texts.values() for text in split]
    of = vocabulary(known, settings)
    return of, {split: numbered(examples, of) for split, examples in texts.items()}
