"""Contexts of words: which words are beside each other, what stays of a text, what noise is drawn."""

import numpy as np
import pytest

from dl.data.batches import contexts as made
from dl.dataset import Arrays
from dl.errors import UserError

RNG = np.random.default_rng(0)
# 60 texts of 1 to 30 words, of 12 words as frequent as Zipf says.
SIZES = RNG.integers(1, 31, 60)
TOKENS = RNG.choice(12, SIZES.sum(), p=1 / np.arange(1, 13) / (1 / np.arange(1, 13)).sum()).astype(np.uint8)
SOURCE = Arrays({"token": TOKENS, "text": np.repeat(np.arange(60), SIZES).astype(np.int32)})
SETTINGS = {"length": 64, "window": 3, "sample": 0.0, "block": 8, "noise": 4}
ROWS = -(-len(TOKENS) // 64)


def read(start, count, rows, batch_size=4, seed=0, **changes):
    return made.contexts(SOURCE, seed, batch_size, {**SETTINGS, **changes}, False)(start, count, np.asarray(rows))


def test_rows_are_pieces_of_the_text_and_each_is_seen_once_an_epoch():
    tokens = read(0, ROWS, [0], batch_size=1)["tokens"][:, 0]
    pieces = {tuple(np.pad(TOKENS[i : i + 64], (0, max(0, i + 64 - len(TOKENS))))) for i in range(0, len(TOKENS), 64)}
    assert {tuple(row) for row in tokens} == pieces and len(pieces) == ROWS
    assert made.rows_per_epoch(len(TOKENS), 4, SETTINGS) == ROWS


def test_a_batch_is_a_function_of_seed_step_and_row():
    whole = read(0, 6, range(4), sample=0.1)
    for name, values in read(3, 2, [1, 2], sample=0.1).items():
        np.testing.assert_array_equal(values, whole[name][3:5, 1:3])
    for name, values in read(0, 12, range(2), batch_size=2, sample=0.1).items():  # twice as many batches of half the size
        np.testing.assert_array_equal(values.reshape(whole[name].shape), whole[name])
    assert (read(0, 6, range(4), sample=0.1, seed=1)["noise"] != whole["noise"]).any()


def test_windows_reach_no_farther_than_drawn_and_not_into_other_texts():
    begins = np.array([1, 0, 0, 0, 0, 1, 0, 1], bool)
    wide = np.full(8, 2**32 - 1, np.uint32)
    left, right = made.windows(begins, wide, 3)
    assert left.tolist() == [0, 1, 2, 3, 3, 0, 1, 0] and right.tolist() == [3, 3, 2, 1, 0, 1, 0, 0]
    left, right = made.windows(begins, np.zeros(8, np.uint32), 3)  # of one word on either side
    assert left.tolist() == [0, 1, 1, 1, 1, 0, 1, 0] and right.tolist() == [1, 1, 1, 1, 0, 1, 0, 0]


def test_all_sizes_of_windows_are_as_frequent():
    drawn = np.random.Philox(0).random_raw(30_000).view(np.uint32)
    left, _ = made.windows(np.zeros(60_000, bool), drawn, 5)
    assert np.bincount(left[10:]) / 59_990 == pytest.approx([0, *[0.2] * 5], abs=0.01)


def test_the_source_says_where_texts_begin():
    batch = read(0, ROWS, [0], batch_size=1)
    first = next(i for i in range(ROWS) if (batch["tokens"][i, 0] == TOKENS[:64]).all())
    begins = np.isin(np.arange(64), np.cumsum(SIZES)[:-1]) | (np.arange(64) == 0)
    assert (batch["left"][first, 0][begins] == 0).all() and (batch["left"][first, 0][~begins] > 0).all()
    alone = made.contexts(Arrays({"token": TOKENS}), 0, 1, SETTINGS, False)(0, ROWS, np.array([0]))  # one text
    assert (alone["left"][first, 0] == 0).sum() == 1


def test_how_often_a_word_stays():
    """The worked figures: t = 1e-3; a word with a share of 10 % stays in sqrt(.01) + .01 = 11 % of its places."""
    counts = np.array([100, 10, 1, 889])
    share = made.keep_probability(counts, 1e-3)
    assert share[:2] == pytest.approx([0.11, 0.1**0.5 + 0.1]) and share[2] == 1.0
    assert (made.keep_probability(counts, 0.0) == 1).all()


def test_frequent_words_are_thinned_out_as_often_as_that():
    kept = read(0, 40 * ROWS, [0], batch_size=1, sample=0.02)
    counts = np.zeros(12)
    for tokens, left, right in zip(*(kept[name][:, 0] for name in ("tokens", "left", "right")), strict=True):
        size = (
            int(np.max(np.nonzero(left.astype(int) + right)[0], initial=-1)) + 1
        )  # single words of a text at the end are lost
        counts += np.bincount(tokens[:size], minlength=12)
    expected = np.bincount(TOKENS) * made.keep_probability(np.bincount(TOKENS), 0.02)
    assert counts / 40 == pytest.approx(expected, rel=0.08, abs=0.5)


def test_thinned_rows_have_room_and_what_is_left_is_padding():
    batch = read(0, 8, range(4), sample=0.01)
    assert batch["tokens"].shape[-1] % 8 == 0 and batch["tokens"].shape[-1] <= 64
    assert batch["noise"].shape == (8, 4, batch["tokens"].shape[-1] // 8, 4)
    padding = np.cumsum((batch["tokens"] > 0)[..., ::-1], -1)[..., ::-1] == 0
    assert padding.any() and (batch["left"][padding] == 0).mean() > 0.9


def test_noise_is_as_frequent_as_counts_to_the_power_three_quarters():
    counts = np.array([81, 16, 1, 0])
    table = made.noise_table(counts)
    assert np.bincount(table, minlength=4) / len(table) == pytest.approx(np.array([27, 8, 1, 0]) / 36, abs=1e-5)
    drawn = read(0, 200, range(4))["noise"].ravel()
    expected = np.bincount(TOKENS) ** 0.75
    assert np.bincount(drawn) / len(drawn) == pytest.approx(expected / expected.sum(), abs=0.01)


def test_evaluation_is_of_every_word_once():
    found = made.distinct(Arrays({"token": np.array([3, 1, 3, 7], np.uint8)}), SETTINGS)
    assert found.features["token"].tolist() == [1, 3, 7]


@pytest.mark.parametrize(
    "changes, says",
    [({"window": 9}, "at most dataset.block"), ({"length": 0}, "dataset.length"), ({"sample": -1.0}, "dataset.sample")],
)
def test_settings_out_of_range(changes, says):
    with pytest.raises(UserError, match=says):
        read(0, 1, [0], **changes)


def test_what_is_no_text():
    with pytest.raises(UserError, match="contexts are made of a text"):
        made.contexts(Arrays({"label": np.arange(4)}), 0, 1, SETTINGS, False)
