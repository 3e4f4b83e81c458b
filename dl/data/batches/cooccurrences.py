"""Pairs of words with how often they stand beside each other, for GloVe (Pennington, Socher & Manning 2014).

The text is counted once, when the batches are set up. All pairs that occur are put into a random order, the same one always,
and cut into rows; the order of the rows is drawn anew each time that all have been seen.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from dl.data.batches.contexts import distinct
from dl.data.batches.examples import Read
from dl.data.cooccurrence import cooccurrences as count_pairs
from dl.data.order import example_indices, permutation
from dl.dataset import Feature, Features, Kind, Source, column_of
from dl.errors import UserError

_ORDER = (1 << 64) - 6  # where an order of examples has the seed in its key


class Settings(NamedTuple):
    """`config.dataset`.

    window: words on either side; a pair that is d words apart counts 1 / d. pairs: of a row.
    """

    window: int = 10
    pairs: int = 1024


def read_settings(settings: Mapping[str, Any]) -> Settings:
    """Those of `config.dataset`.

    Raises:
        UserError: one is out of range.
    """
    found = Settings(**{name: settings.get(name, default) for name, default in Settings._field_defaults.items()})
    for name, value in found._asdict().items():
        if not isinstance(value, int) or value < 1:
            raise UserError(f"dataset.{name} must be a whole number of at least 1, not {value!r}.")
    return found


class Counted(NamedTuple):
    """Pairs in a random order: `first`, `second` int32 [N], `times` float32 [N]. Each pair stands there both ways round."""

    first: np.ndarray
    second: np.ndarray
    times: np.ndarray


def counted(source: Source, window: int) -> Counted:
    """The pairs of a text.

    Raises:
        UserError: it is no text, or one without two words beside each other.
    """
    tokens = column_of(source, "token")
    if tokens is None:
        raise UserError("pairs of words are counted in a text: take a dataset such as 'text' or 'imdb_text'.")
    tokens = tokens.astype(np.int32)
    found = count_pairs(tokens, int(tokens.max(initial=0)) + 1, window, column_of(source, "text"), by_distance=True).tocoo()
    if not found.nnz:
        raise UserError("no two words of the text stand beside each other: give a longer text.")
    order = permutation.__wrapped__(_ORDER, 0, found.nnz)  # not kept: it may be large
    return Counted(found.row[order].astype(np.int32), found.col[order].astype(np.int32), found.data[order].astype(np.float32))


def cooccurrences(source: Source, seed: int, batch_size: int, settings: Mapping[str, Any], on_device: bool) -> Read:
    """Rows of pairs: a pure function of seed, step and row, whatever the batch size.

    Features: `first`, `second` int32 [steps, rows, pairs], two words; `times` float32 [steps, rows, pairs], X_ij, how often the
        second stands beside the first; 0 for padding.

    Args:
        source: with the feature `token`, a word an example, and, where there are several texts, `text`.
        seed: of the order of the rows.
        batch_size: rows a step.
        settings: `config.dataset`, see `Settings`.
        on_device: not used.

    Raises:
        UserError: a setting out of range, or a source that is no text.
    """
    chosen = read_settings(settings)
    pairs = counted(source, chosen.window)
    size, width = len(pairs.first), chosen.pairs

    def read(start: int, count: int, rows: np.ndarray) -> dict[str, np.ndarray]:
        positions = np.arange(start, start + count, dtype=np.int64)[:, None] * batch_size + rows
        places = example_indices(seed, positions, -(-size // width))[..., None] * width + np.arange(width)
        inside, places = places < size, np.minimum(places, size - 1)
        made = {name: values[places] for name, values in pairs._asdict().items()}
        return {**made, "times": np.where(inside, made["times"], np.float32(0))}

    return read


def rows_per_epoch(size: int, batch_size: int, settings: Mapping[str, Any]) -> int:
    """An epoch has as many pairs as the text has words. How many different ones there are is not known before it is read."""
    return -(-size // read_settings(settings).pairs)


def pair_features(features: Features, settings: Mapping[str, Any]) -> dict[str, Feature]:
    """Those of a batch."""
    shape = (read_settings(settings).pairs,)
    words = features["token"]._replace(shape=shape)
    return {"first": words, "second": words, "times": Feature(Kind.NUMBER, shape)}


FEATURES = {"cooccurrences": pair_features}
PUBLIC = {"cooccurrences": cooccurrences}
EPOCH = {"cooccurrences": rows_per_epoch}
EVALUATION = {"cooccurrences": distinct}
SETTINGS = {"cooccurrences": Settings._field_defaults}
