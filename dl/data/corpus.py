"""Texts by words, one after another, as vectors of words are learned from them.

A split holds two features for each word: `token`, its number, and `text` int32, the number of the text that it stands in, so
that no window reaches from one text into the next. An example is one word.
"""

from array import array
from collections.abc import Iterable, Mapping

import numpy as np

from dl.data.tokenisation import words
from dl.dataset import Arrays, Dataset, Feature, Info, Kind
from dl.errors import UserError
from dl.vocabulary import Vocabulary


def words_alone(text: str) -> list[str]:
    """The words of a text in small letters, without marks: what has no letter or digit is left out."""
    return [word for piece in text.split() for word in _within(piece)]


def _within(piece: str) -> list[str]:
    """The words of what stands between blanks."""
    return [word for word in words(piece) if any(map(str.isalnum, word))]


def corpus(name: str, splits: Mapping[str, Iterable[str]], minimum: int) -> Dataset:
    """The words of texts, those that are too rare left out; the vocabulary is that of all splits, the most frequent first.

    Leaving rare words out before windows are taken is what Mikolov et al. (2013) do: what stands beside one comes nearer.

    Args:
        name: of the dataset.
        splits: each as its texts.
        minimum: how often a word must come in all splits together.

    Raises:
        UserError: no word comes so often, or `minimum` is below 1.
    """
    if minimum < 1:
        raise UserError(f"dataset.minimum={minimum}: how often a word must come is at least 1.")
    numbers: dict[str, int] = {}
    read = {split: _read(texts, numbers) for split, texts in splits.items()}
    counts = sum((np.bincount(tokens, minlength=len(numbers)) for tokens, _ in read.values()), np.zeros(len(numbers), np.int64))
    symbols = sorted((word for word, n in numbers.items() if counts[n] >= minimum), key=lambda w: (-counts[numbers[w]], w))
    if not symbols:
        raise UserError(f"no word of {name!r} comes {minimum} times: lower dataset.minimum, or give a longer text.")
    renumbered = np.full(len(numbers), -1, np.int32)
    renumbered[[numbers[word] for word in symbols]] = np.arange(len(symbols))
    info = Info(name, {"token": Feature(Kind.TOKENS, (), Vocabulary(symbols, words=True)), "text": Feature(Kind.NUMBER)})
    return Dataset(info, {split: _split(renumbered[tokens], texts, len(symbols)) for split, (tokens, texts) in read.items()})


def _read(texts: Iterable[str], numbers: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the words of all texts, new words numbered as they come, and which text each stands in."""
    tokens, sizes = array("i"), []
    known: dict[str, list[int]] = {}  # most of what stands between blanks has been seen before
    for text in texts:
        size = len(tokens)
        for piece in text.split():
            found = known.get(piece)
            if found is None:
                found = known[piece] = [numbers.setdefault(word, len(numbers)) for word in _within(piece)]
            tokens.extend(found)
        sizes.append(len(tokens) - size)
    return np.frombuffer(tokens, np.int32), np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)


def _split(tokens: np.ndarray, texts: np.ndarray, size: int) -> Arrays:
    kept = tokens >= 0
    return Arrays({"token": tokens[kept].astype(np.min_scalar_type(size - 1)), "text": texts[kept]})


def known(name: str, size: int, counts: Mapping[str, int]) -> Dataset:
    """What is known of a corpus without its files: of how many words each split is. Which words they are is not known: they are
    as frequent as Zipf's law says, and stand in the order of the vocabulary.
    """
    vocabulary = Vocabulary([f"word{number}" for number in range(size)], words=True)
    info = Info(name, {"token": Feature(Kind.TOKENS, (), vocabulary), "text": Feature(Kind.NUMBER)})
    kind = np.min_scalar_type(size - 1)
    below = np.cumsum(1 / np.arange(1, size + 1))

    def split(count: int) -> Arrays:
        tokens = np.searchsorted(below, (np.arange(count) + 0.5) / count * below[-1]).astype(kind)
        return Arrays({"token": tokens, "text": np.zeros(count, np.int32)})

    return Dataset(info, {name: split(count) for name, count in counts.items()})
