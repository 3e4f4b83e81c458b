"""Batches of words beside what somebody typed in their place (`dl.data.typing_errors`)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dl.data import typing_errors
from dl.data.batches.examples import Read
from dl.data.identities import random_numbers
from dl.data.order import example_indices
from dl.data.ragged import Ragged, RaggedArrays, ragged
from dl.dataset import Feature, Features, Source
from dl.errors import UserError

EVALUATION_SEED = 0x7E57  # of the errors that are evaluated: the same in every run


def mistyped(source: Source, seed: int, batch_size: int, settings: Mapping[str, Any], on_device: bool) -> Read:
    """Words as `target`, with errors as `query`, both [steps, rows, T], and the length of each.

    Every word is seen exactly once an epoch, its errors a pure function of seed, step and row.

    Args:
        source: with the ragged feature `target`, in memory.
        seed: of order and errors.
        batch_size: words a step, over all processes.
        settings: `config.dataset`; not used.
        on_device: not used.

    Raises:
        UserError: the source has no words.
    """
    words = _words(source)
    each = _most(words) * typing_errors.DRAWS

    def read(start: int, count: int, rows: np.ndarray) -> dict[str, np.ndarray]:
        steps = np.arange(start, start + count, dtype=np.int64)
        chosen = example_indices(seed, steps[:, None] * batch_size + rows, len(words)).ravel()
        needed = (int(rows.max()) + 1) * each
        raw = np.concatenate([random_numbers(seed, int(step), needed).reshape(-1, each)[rows] for step in steps])
        batch = _typed(words, chosen, raw)
        return {name: values.reshape(count, len(rows), *values.shape[1:]) for name, values in batch.items()}

    return read


def typed_once(source: Source, settings: Mapping[str, Any]) -> RaggedArrays:
    """The words of a source, each with errors that are always the same: `query` and `target`."""
    words = _words(source)
    raw = random_numbers(EVALUATION_SEED, 0, len(words) * _most(words) * typing_errors.DRAWS)
    batch = _typed(words, np.arange(len(words)), raw.reshape(len(words), -1))
    query = [row[:length] for row, length in zip(batch["query"], batch["query_length"], strict=True)]
    return RaggedArrays({"query": ragged(query, (batch["query"].shape[1],)), "target": words})


def _typed(words: Ragged, chosen: np.ndarray, raw: np.ndarray) -> dict[str, np.ndarray]:
    target, length = words.gather(chosen)
    query, typed = typing_errors.mistyped(target, length, raw.reshape(len(raw), -1, typing_errors.DRAWS))
    return {"target": target, "target_length": length, "query": query, "query_length": typed}


def _most(words: Ragged) -> int:
    """The errors of the longest word."""
    return int(typing_errors.errors(np.array([words.lengths[-1]]))[0])


def _words(source: Source) -> Ragged:
    if not isinstance(source, RaggedArrays) or "target" not in source.ragged:
        raise UserError("dataset.batches='mistyped' is for words: take a dataset such as 'ptb_words', or 'words' with a path.")
    return source.ragged["target"]


def mistyped_features(features: Features, settings: Mapping[str, Any]) -> dict[str, Feature]:
    """Those of a batch: `query` beside the word, the same kind of feature."""
    return {**features, "query": features["target"]}


PUBLIC = {"mistyped": mistyped}
FEATURES = {"mistyped": mistyped_features}
EVALUATION = {"mistyped": typed_once}
