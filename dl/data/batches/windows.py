"""Windows of a text, for truncated backpropagation through time (Williams & Peng 1990), and its rows, for evaluation.

In training the text lies in as many rows as the batch has, one after another; a step sees the next window of every row, so
that the state of a recurrent net at the end of one window is its state at the start of the next.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from dl.data.batches.examples import Read
from dl.dataset import Arrays, Feature, Features, Kind, Source
from dl.errors import UserError


class Layout(NamedTuple):
    """How a text is laid out: row r begins at `starts[r]` and has `windows` windows of `window` predictions.

    `slack` is by how many symbols all the rows may be shifted.
    """

    starts: np.ndarray
    window: int
    windows: int
    slack: int


def layout(size: int, batch_size: int, settings: Mapping[str, Any]) -> Layout:
    """The layout of a text of `size` symbols in `batch_size` rows; a row's last few symbols, less than a window, are left out.

    Raises:
        UserError: `dataset.window` is not positive, or a row is shorter than a window.
    """
    window = settings.get("window", 0)
    if not isinstance(window, int) or window < 1:
        raise UserError(f"dataset.window must be at least 1, the symbols of a window, got {window!r}.")
    slack = window - 1 if settings.get("shift", False) else 0
    usable = size - 1 - slack  # the last symbol is only predicted
    length = usable // batch_size
    if length < window:
        raise UserError(
            f"the training text has {size} symbols, too few for batch_size={batch_size} rows of a window of {window}, which "
            f"need {batch_size * window + 1 + slack}: lower batch_size or dataset.window, or give a longer text."
        )
    return Layout(np.arange(batch_size, dtype=np.int64) * usable // batch_size, window, length // window, slack)


def windows(source: Source, seed: int, batch_size: int, settings: Mapping[str, Any], on_device: bool) -> Read:
    """Windows of a text: a pure function of seed, step and row.

    Features: `tokens` [steps, rows, window + 1], the symbols and the one after them; `row` int32, the row of the text, and
        `reset`
    bool, whether an epoch begins, [steps, rows].

    Args:
        source: with the feature `token`.
        seed: seed of the shifts.
        batch_size: rows of the text.
        settings: `config.dataset`: `window`; with `shift`, each epoch begins up to a window later than the text.
        on_device: not used: a window is as small as its indices.

    Raises:
        UserError: the text is too short.
    """
    rows_at = layout(len(source), batch_size, settings)

    def read(start: int, count: int, rows: np.ndarray) -> dict[str, np.ndarray]:
        epoch, window = np.divmod(np.arange(start, start + count, dtype=np.int64), rows_at.windows)
        first = window * rows_at.window + np.array([_shift(seed, int(e), rows_at.slack) for e in epoch])
        index = (first[:, None] + rows_at.starts[rows])[:, :, None] + np.arange(rows_at.window + 1)
        tokens = source.gather(index.ravel())["token"].reshape(index.shape)
        row = np.broadcast_to(rows.astype(np.int32), index.shape[:2])
        return {"tokens": tokens, "row": row, "reset": np.broadcast_to((window == 0)[:, None], index.shape[:2])}

    return read


def _shift(seed: int, epoch: int, slack: int) -> int:
    return int(np.random.Philox(key=np.array([seed, epoch], np.uint64)).random_raw() % (slack + 1)) if slack else 0


def windows_per_epoch(size: int, batch_size: int, settings: Mapping[str, Any]) -> int:
    """How many windows, over all rows, an epoch has."""
    return layout(size, batch_size, settings).windows * batch_size


def rows(source: Source, settings: Mapping[str, Any]) -> Arrays:
    """The text as rows for evaluation, in which every symbol but the first is predicted exactly once.

    Features of an example: `tokens` [context + length + 1]; `first` and `end` int32: predictions number first to end - 1
    count, the prediction number t being that of symbol t + 1. What follows is padding.

    Args:
        source: with the feature `token`.
        settings: `config.dataset`: `eval_rows` (default 1) is how many; the state is carried through each. `eval_context` (0)
            symbols of the row before are read first, uncounted, so that a row does not begin without a past.

    Raises:
        UserError: fewer than two symbols, or a setting out of range.
    """
    wanted, context, size = settings.get("eval_rows", 1), settings.get("eval_context", 0), len(source)
    if wanted < 1 or context < 0:
        raise UserError(f"dataset.eval_rows must be at least 1 and eval_context at least 0, got {wanted} and {context}.")
    if size < 2:
        raise UserError(
            f"the text to evaluate has {size} symbol, too few for a prediction: give a longer text or another split."
        )
    length = -(-(size - 1) // wanted)
    starts = np.arange(0, size - 1, length)
    begins, ends = np.maximum(starts - context, 0), np.minimum(starts + length, size - 1)
    index = begins[:, None] + np.arange((ends - begins).max() + 1)
    tokens = source.gather(np.minimum(index, size - 1).ravel())["token"].reshape(index.shape)
    return Arrays({"tokens": tokens, "first": (starts - begins).astype(np.int32), "end": (ends - begins).astype(np.int32)})


def window_features(features: Features, settings: Mapping[str, Any]) -> dict[str, Feature]:
    """Those of a batch of windows."""
    tokens = features["token"]._replace(shape=(settings["window"] + 1,))
    return {"tokens": tokens, "row": Feature(Kind.NUMBER), "reset": Feature(Kind.NUMBER)}


FEATURES = {"windows": window_features}
PUBLIC = {"windows": windows}
EPOCH = {"windows": windows_per_epoch}
EVALUATION = {"windows": rows}
SETTINGS = {"windows": {"window": 0, "shift": False, "eval_rows": 1, "eval_context": 0}}
