"""Windows of a text for training and its rows for evaluation: what is seen, once, in which order."""

import numpy as np
import pytest

from dl.data.batches.windows import rows, windows, windows_per_epoch
from dl.dataset import Arrays
from dl.errors import UserError


def text(size):
    return Arrays({"token": np.arange(size, dtype=np.uint16)})


def test_a_row_goes_on_where_its_last_window_ended():
    read = windows(text(1003), 0, 4, {"window": 10}, False)
    batches = read(0, 25, np.arange(4))
    tokens = batches["tokens"]
    assert tokens.shape == (25, 4, 11)
    np.testing.assert_array_equal(tokens[:, :, -1][:-1], tokens[1:, :, 0])  # the last target is the next input
    np.testing.assert_array_equal(tokens[..., 1:], tokens[..., :-1] + 1)
    np.testing.assert_array_equal(tokens[0, :, 0], [0, 250, 501, 751])  # rows of 250 of the 1,002 predictions
    seen = tokens[..., 1:].ravel()
    assert len(np.unique(seen)) == len(seen) == 1000  # no symbol is a target twice


def test_the_state_is_reset_where_an_epoch_begins():
    settings = {"window": 10}
    assert windows_per_epoch(1003, 4, settings) == 25 * 4
    batches = windows(text(1003), 0, 4, settings, False)(20, 10, np.arange(4))
    np.testing.assert_array_equal(batches["reset"], np.repeat([[step == 25] for step in range(20, 30)], 4, axis=1))
    np.testing.assert_array_equal(
        batches["tokens"][5], windows(text(1003), 0, 4, settings, False)(0, 1, np.arange(4))["tokens"][0]
    )


def test_a_batch_depends_on_seed_step_and_row_alone():
    settings = {"window": 16, "shift": True}
    whole = windows(text(2000), 7, 6, settings, False)(0, 70, np.arange(6))
    part = windows(text(2000), 7, 6, settings, False)(33, 2, np.array([2, 5]))
    for name, values in part.items():
        np.testing.assert_array_equal(values, whole[name][33:35][:, [2, 5]])
    np.testing.assert_array_equal(part["row"], [[2, 5], [2, 5]])


def test_shifts_differ_between_epochs_and_seeds_and_stay_inside_the_text():
    settings, size = {"window": 16, "shift": True}, 2000
    steps = windows_per_epoch(size, 6, settings) // 6
    firsts = []
    for seed in range(3):
        tokens = windows(text(size), seed, 6, settings, False)(0, 10 * steps, np.arange(6))["tokens"]
        assert tokens.max() < size
        firsts.append(tuple(tokens[::steps, 0, 0].tolist()))
        assert all(0 <= first < 16 for first in firsts[-1])
        assert len(set(firsts[-1])) > 3
    assert len(set(firsts)) == 3


@pytest.mark.parametrize(("size", "count", "context"), [(100, 1, 0), (101, 10, 0), (97, 10, 30), (50, 60, 3), (2, 4, 5)])
def test_every_symbol_but_the_first_is_predicted_once(size, count, context):
    source = rows(text(size), {"eval_rows": count, "eval_context": context})
    f = source.features
    predicted = [f["tokens"][r, 1 + f["first"][r] : 1 + f["end"][r]] for r in range(len(source))]
    np.testing.assert_array_equal(np.concatenate(predicted), np.arange(1, size))
    for r, first in enumerate(f["first"]):
        past = f["tokens"][r, : first + 1]
        np.testing.assert_array_equal(past, np.arange(past[0], past[0] + len(past)))
        assert first == min(context, past[-1])
    assert len(source) <= count


def test_a_text_that_is_too_short_is_refused():
    with pytest.raises(UserError, match=r"30 symbols, too few for batch_size=4 rows of a window of 8, which need 33"):
        windows(text(30), 0, 4, {"window": 8}, False)
    windows(text(33), 0, 4, {"window": 8}, False)
    with pytest.raises(UserError, match="window must be at least 1"):
        windows(text(30), 0, 4, {}, False)
    with pytest.raises(UserError, match="1 symbol, too few for a prediction"):
        rows(text(1), {})
    with pytest.raises(UserError, match="eval_rows must be at least 1"):
        rows(text(30), {"eval_rows": 0})
