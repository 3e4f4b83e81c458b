"""Utterances with their transcripts as a dataset in memory: ragged frames, symbols and, where there is sound, its samples."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from dl.data.ragged import Ragged, RaggedArrays, ragged
from dl.dataset import Dataset, Feature, Features, Info, Kind
from dl.errors import UserError, unknown
from dl.vocabulary import Vocabulary, split_words

LEVELS = ("character", "word")
MULTIPLE = 8  # of the lengths that frames are padded to, so that networks which join frames lose nothing


class Utterances(NamedTuple):
    """One split.

    frames: float32 [T, D] each.
    texts: what was said.
    names: of the utterances, for errors.
    sounds: int16 samples each; empty where only frames were published.
    rate: samples of a sound a second.
    """

    frames: Sequence[np.ndarray]
    texts: Sequence[str]
    names: Sequence[str]
    sounds: Sequence[np.ndarray] = ()
    rate: int = 0


def vocabulary_of(texts: Sequence[str], level: str) -> Vocabulary:
    """The characters of the transcripts in the order of their code points, or their words in that of the alphabet.

    Raises:
        UserError: another level.
    """
    if level not in LEVELS:
        raise unknown("dataset.level", level, LEVELS)
    return Vocabulary(sorted({symbol for text in texts for symbol in _symbols(text, level)}), words=level == "word")


def _symbols(text: str, level: str) -> list[str]:
    return split_words(text) if level == "word" else list(text)


def described(depth: int, vocabulary: Vocabulary, sound: bool) -> Features:
    """The features of utterances: `frames` [T, depth], `text` [U], and with `sound` the samples [N] and their `rate`."""
    features = {
        "frames": Feature(Kind.FRAMES, (None, depth)),
        "text": Feature(Kind.TOKENS, (None,), vocabulary=vocabulary),
    }
    if sound:
        features |= {"sound": Feature(Kind.NUMBER, (None,)), "rate": Feature(Kind.NUMBER, ())}
    return features


def utterances(name: str, splits: Mapping[str, Utterances], vocabulary: Vocabulary, buckets: int) -> Dataset:
    """The dataset `name`.

    Args:
        name: of the dataset.
        splits: name -> utterances.
        vocabulary: of the transcripts.
        buckets: into so many groups of similar lengths at most a split is divided.

    Raises:
        UserError: a transcript has a symbol that the vocabulary lacks; no bucket.
    """
    if buckets < 1:
        raise UserError(f"dataset.buckets must be 1 at least, not {buckets}.")
    first = next(iter(splits.values()))
    info = Info(name, described(first.frames[0].shape[1], vocabulary, bool(first.sounds)))
    return Dataset(info, {split: _source(split, given, vocabulary, buckets) for split, given in splits.items()})


def _source(split: str, given: Utterances, vocabulary: Vocabulary, buckets: int) -> RaggedArrays:
    texts = [_encoded(text, vocabulary, f"{split}, {name}") for text, name in zip(given.texts, given.names, strict=True)]
    features = {"frames": ragged(given.frames), "text": ragged(texts)}
    if given.sounds:
        features["sound"] = ragged(given.sounds)
    source = RaggedArrays(bucketed(features, "frames", buckets))
    if given.sounds:
        source.features["rate"] = np.full(len(texts), given.rate, np.int32)
    return source


def _encoded(text: str, vocabulary: Vocabulary, what: str) -> np.ndarray:
    symbols = _symbols(text, "word" if vocabulary.words else "character")
    missing = [symbol for symbol in dict.fromkeys(symbols) if symbol not in vocabulary.numbers]
    if missing:
        raise UserError(f"{what}: the transcript has {missing[0]!r}, which the transcripts of the training split have not.")
    return np.array([vocabulary.numbers[symbol] for symbol in symbols], np.int32)


def bucketed(features: Mapping[str, Ragged], by: str, count: int) -> dict[str, Ragged]:
    """Ragged features with lengths to pad to, so that examples are in buckets by the length of one of them.

    Args:
        features: of the same examples.
        by: the feature that decides: its lengths are quantiles, rounded up to a multiple of `MULTIPLE`.
        count: of the buckets, at most. Each other feature gets the length that the examples up to each bucket need.
    """
    sizes = features[by].sizes
    ends = np.quantile(sizes, np.arange(1, count + 1) / count, method="higher")
    lengths = sorted({int(-(-max(end, 1) // MULTIPLE) * MULTIPLE) for end in ends})
    of = np.searchsorted(lengths, sizes)
    made = {}
    for name, values in features.items():
        if name == by:
            made[name] = values.padded_to(lengths)
            continue
        longest, needed = 0, []
        for bucket in range(len(lengths)):
            longest = max(longest + 1, int(values.sizes[of == bucket].max(initial=0)))
            needed.append(longest)
        made[name] = values.padded_to(needed)
    return made
