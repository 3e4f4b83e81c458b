"""Words of a text with the words around them, and words drawn at random beside them: what word vectors are learned from.

A row is a piece of the text of `length` words. Of its words each stays with the probability sqrt(t / f) + t / f, where f is
the word's share of the text and t `sample`: frequent words are thinned out before windows are taken (Mikolov, Sutskever, Chen,
Corrado & Dean 2013, section 2.3, in the form of their program). The window of every word is drawn anew, from 1 to `window`
words on either side, so that near words come more often (Mikolov, Chen, Corrado & Dean 2013, section 3.2). The words of noise
are drawn from the counts to the power 3/4, for a block of words at a time: that makes matrix products of what would be
products of vectors (Ji, Satish, Li & Dubey 2016).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from dl.data.batches.examples import Read
from dl.data.order import example_indices
from dl.dataset import Arrays, Feature, Features, Kind, Source, column_of
from dl.errors import UserError

_STREAM = (1 << 64) - 5  # where an order has the epoch in its key
POWER = 0.75  # of the counts that noise is drawn by
NOISE_TABLE = 1 << 20  # entries; their shares are those of the words to a millionth
SPREAD = 6.0  # deviations that a row has room for beyond the mean of what stays of it


class Thinned(NamedTuple):
    """What of a text stays.

    tokens: int32 [N], begins: bool [N], whether a text begins with this word. keep: uint32 [V], of 2^32, how often a word
    stays. room: words that a row has room for, a multiple of the block.
    """

    tokens: np.ndarray
    begins: np.ndarray
    keep: np.ndarray
    room: int


class Settings(NamedTuple):
    """`config.dataset`.

    length: words of a row, before they are thinned out. window: words on either side, at most. sample: t; 0 keeps all words.
    block: words of a row that share their noise, and `noise` words of it are drawn for them.
    """

    length: int = 4096
    window: int = 5
    sample: float = 1e-3
    block: int = 16
    noise: int = 16


def read_settings(settings: Mapping[str, Any]) -> Settings:
    """Those of `config.dataset`.

    Raises:
        UserError: one is out of range.
    """
    found = Settings(**{name: settings.get(name, default) for name, default in Settings._field_defaults.items()})
    for name in ("length", "window", "block", "noise"):
        value = getattr(found, name)
        if not isinstance(value, int) or value < 1:
            raise UserError(f"dataset.{name} must be a whole number of at least 1, not {value!r}.")
    if found.window > found.block or found.window > 255:
        raise UserError(f"dataset.window={found.window} must be at most dataset.block={found.block}, and at most 255.")
    if found.sample < 0:
        raise UserError(f"dataset.sample={found.sample} must be at least 0.")
    return found


def keep_probability(counts: Int[np.ndarray, " v"], sample: float) -> np.ndarray:
    """sqrt(t / f) + t / f, 1 at most, of each word that comes so often; 1 where t is 0."""
    share = np.maximum(counts, 1) / max(counts.sum(), 1)
    return np.minimum(np.sqrt(sample / share) + sample / share, 1.0) if sample else np.ones(len(counts))


def noise_table(counts: Int[np.ndarray, " v"], size: int = NOISE_TABLE) -> Int[np.ndarray, " n"]:
    """Words, each as often as its share of the counts to the power 3/4: a uniform draw of an entry is a draw of noise."""
    shares = np.cumsum(counts.astype(np.float64) ** POWER)
    return np.searchsorted(shares / shares[-1], (np.arange(size) + 0.5) / size).astype(np.int32)


def thinned(source: Source, settings: Settings) -> tuple[Thinned, np.ndarray]:
    """The text of a source and how it is thinned out, with the counts of its words [V].

    Raises:
        UserError: the source is no text, or has fewer than two words.
    """
    tokens, texts = column_of(source, "token"), column_of(source, "text")
    if tokens is None or len(tokens) < 2:
        raise UserError("contexts are made of a text: take a dataset such as 'text' or 'imdb_text', of two words at least.")
    tokens = tokens.astype(np.int32)
    begins = np.zeros(len(tokens), bool) if texts is None else np.diff(texts, prepend=texts[:1] - 1) != 0
    begins[0] = True
    counts = np.bincount(tokens)
    keep = keep_probability(counts, settings.sample)
    # How many words stay of a row is a sum of coins: its mean, and some deviations more.
    ends = np.append(np.arange(0, len(tokens), settings.length), len(tokens))
    mean, variance = (np.diff(np.append(0.0, np.cumsum(p[tokens]))[ends]) for p in (keep, keep * (1 - keep)))
    room = min(int(np.ceil((mean + SPREAD * np.sqrt(variance)).max())), settings.length)
    whole = np.minimum(np.round(keep * 2.0**32), 2.0**32 - 1).astype(np.uint32)
    return Thinned(tokens, begins, whole, -(-room // settings.block) * settings.block), counts


def contexts(source: Source, seed: int, batch_size: int, settings: Mapping[str, Any], on_device: bool) -> Read:
    """Rows of words with their windows and noise: a pure function of seed, step and row, whatever the batch size.

    Features: `tokens` int32 [steps, rows, C], the words that stay, then padding; `left` and `right` uint8 [steps, rows, C], how
        many words on either side are of the window: those of the text that have as near a neighbour; 0 for padding. `noise`
        int32 [steps, rows, C / block, noise].

    Args:
        source: with the feature `token`, a word an example, and, where there are several texts, `text`, the number of each.
        seed: of the order of the rows and of all that is drawn.
        batch_size: rows a step.
        settings: `config.dataset`, see `Settings`.
        on_device: not used: what is read is smaller than where it is from.

    Raises:
        UserError: a setting out of range, or a source that is no text.
    """
    chosen = read_settings(settings)
    text, counts = thinned(source, chosen)
    table, pieces = noise_table(counts), -(-len(text.tokens) // chosen.length)

    def read(start: int, count: int, rows: np.ndarray) -> dict[str, np.ndarray]:
        positions = (np.arange(start, start + count, dtype=np.int64)[:, None] * batch_size + rows).ravel()
        places = example_indices(seed, positions, pieces)
        shape = (len(positions), text.room)
        tokens, left, right = np.zeros(shape, np.int32), np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
        noise = np.zeros((len(positions), text.room // chosen.block, chosen.noise), np.int32)
        for n, (position, place) in enumerate(zip(positions, places, strict=True)):
            drawn = _numbers(seed, int(position), chosen.length + text.room + noise[n].size)
            words, begins = _stay(text, int(place) * chosen.length, drawn[: chosen.length])
            tokens[n, : len(words)] = words
            left[n, : len(words)], right[n, : len(words)] = windows(begins, drawn[chosen.length :][: len(words)], chosen.window)
            noise[n] = table[drawn[chosen.length + text.room :] & np.uint32(len(table) - 1)].reshape(noise[n].shape)
        made: dict[str, np.ndarray] = {"tokens": tokens, "left": left, "right": right, "noise": noise}
        return {name: values.reshape(count, len(rows), *values.shape[1:]) for name, values in made.items()}

    return read


def _numbers(seed: int, position: int, count: int) -> np.ndarray:
    """Uniform uint32 of a row: raw output of Philox, keyed by the seed, counting from the position."""
    key, counter = np.array([seed, _STREAM], np.uint64), np.array([0, position, 0, 0], np.uint64)
    return np.random.Philox(key=key, counter=counter).random_raw(-(-count // 2)).view(np.uint32)[:count]


def _stay(text: Thinned, first: int, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The words that stay of the row from `first` on, and whether a text begins between each and the one before it."""
    words = text.tokens[first : first + len(drawn)]
    stay = np.flatnonzero(drawn[: len(words)] <= text.keep[words])[: text.room]
    texts = np.cumsum(text.begins[first : first + len(words)], dtype=np.int32)[stay]
    return words[stay], np.diff(texts, prepend=texts[:1]) != 0


def windows(begins: np.ndarray, drawn: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """How many words to the left and to the right of each of n words are in its window.

    Args:
        begins: bool [n], whether a text begins with this word.
        drawn: uint32 [n]: a window has 1 to `window` words on either side, each as often.
        window: of the largest.
    """
    n = len(begins)
    places = np.arange(n)
    wanted = 1 + ((drawn >> np.uint32(8)).astype(np.int64) * window >> 24)
    first = np.maximum.accumulate(np.where(begins, places, 0))
    following = np.append(np.flatnonzero(begins), n)
    last = following[np.searchsorted(following, places, side="right")] - 1 if n else places
    return np.minimum(wanted, places - first).astype(np.uint8), np.minimum(wanted, last - places).astype(np.uint8)


def rows_per_epoch(size: int, batch_size: int, settings: Mapping[str, Any]) -> int:
    """How many rows a text of so many words has."""
    return -(-size // read_settings(settings).length)


def distinct(source: Source, settings: Mapping[str, Any]) -> Arrays:
    """The words of a split for evaluation, each once: `token` int32 [words], ascending.

    Raises:
        UserError: the source is no text.
    """
    tokens = column_of(source, "token")
    if tokens is None:
        raise UserError("vectors of words are measured on the words of a text: take a dataset such as 'text'.")
    return Arrays({"token": np.unique(tokens).astype(np.int32)})


def context_features(features: Features, settings: Mapping[str, Any]) -> dict[str, Feature]:
    """Those of a batch of contexts; how many words stay of a row depends on the text."""
    tokens = features["token"]._replace(shape=(None,))
    return {"tokens": tokens, **{name: Feature(Kind.NUMBER, (None,)) for name in ("left", "right", "noise")}}


FEATURES = {"contexts": context_features}
PUBLIC = {"contexts": contexts}
EPOCH = {"contexts": rows_per_epoch}
EVALUATION = {"contexts": distinct}
SETTINGS = {"contexts": Settings._field_defaults}
