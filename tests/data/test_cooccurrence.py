"""Counts of words beside each other: the lecture's table, and pairs for GloVe."""

import numpy as np
import pytest

from dl.data import cooccurrence
from dl.data.batches import cooccurrences as pairs
from dl.dataset import Arrays
from dl.errors import UserError

# "I like deep learning. I like NLP. I enjoy flying.", window 1, as lectures print it.
TABLE = """\
         I like enjoy deep learning NLP flying .
I        0 2    1     0    0        0   0      0
like     2 0    0     1    0        1   0      0
enjoy    1 0    0     0    0        0   1      0
deep     0 1    0     0    1        0   0      0
learning 0 0    0     1    0        0   0      1
NLP      0 1    0     0    0        0   0      1
flying   0 0    1     0    0        0   0      1
.        0 0    0     0    1        1   1      0"""


def lecture():
    words = cooccurrence.LECTURE.split()
    tokens = np.array([cooccurrence.LECTURE_WORDS.index(word) for word in words])
    return tokens, np.cumsum([0] + [word == "." for word in words[:-1]])


def test_the_counts_of_the_lecture():
    tokens, sentences = lecture()
    rows = [line.split() for line in TABLE.splitlines()]
    assert tuple(rows[0]) == cooccurrence.LECTURE_WORDS == tuple(row[0] for row in rows[1:])
    counts = cooccurrence.cooccurrences(tokens, 8, 1, sentences).toarray()
    np.testing.assert_array_equal(counts, np.array([row[1:] for row in rows[1:]], float))
    across = cooccurrence.cooccurrences(tokens, 8, 1).toarray()  # one text: the full stop has an I beside it
    assert across[7, 0] == across[0, 7] == 2 and (across - counts).sum() == 4


def test_its_singular_vectors():
    tokens, sentences = lecture()
    counts = cooccurrence.cooccurrences(tokens, 8, 1, sentences)
    left, values = cooccurrence.singular_vectors(counts.toarray(), 8)
    np.testing.assert_allclose(left.T @ left, np.eye(8), atol=1e-12)
    np.testing.assert_allclose(counts @ counts.T @ left, left * values**2, atol=1e-12)  # the definition
    assert values[0] == pytest.approx(2.757, abs=1e-3) and (np.diff(values) <= 1e-12).all()
    some, largest = cooccurrence.singular_vectors(counts, 2)  # the sparse way
    np.testing.assert_allclose(largest, values[:2], rtol=1e-8)
    np.testing.assert_allclose(np.abs(some[:, 0]), np.abs(left[:, 0]), atol=1e-6)


def test_one_hot_vectors_are_all_as_far_apart():
    vectors = cooccurrence.one_hot(np.arange(4), 4)
    np.testing.assert_array_equal(vectors @ vectors.T, np.eye(4))


def test_pairs_farther_apart_count_less():
    counts = cooccurrence.cooccurrences(np.array([0, 1, 2, 0]), 3, 3, by_distance=True).toarray()
    expected = np.array([[2 / 3, 1 + 1 / 2, 1 + 1 / 2], [1.5, 0, 1], [1.5, 1, 0]])
    np.testing.assert_allclose(counts, expected, rtol=1e-6)


def read(start, count, rows, batch_size=2, seed=0, width=4):
    tokens, sentences = lecture()
    source = Arrays({"token": tokens, "text": sentences})
    return pairs.cooccurrences(source, seed, batch_size, {"window": 2, "pairs": width}, False)(start, count, np.asarray(rows))


def test_every_pair_comes_once_a_pass_both_ways_round():
    tokens, sentences = lecture()
    counts = cooccurrence.cooccurrences(tokens, 8, 2, sentences, by_distance=True).tocoo()
    steps = -(-counts.nnz // 4)
    batch = read(0, steps, [0], batch_size=1)
    seen = [(i, j, x) for i, j, x in zip(*(batch[n].ravel().tolist() for n in ("first", "second", "times")), strict=True) if x]
    assert sorted(seen) == sorted(zip(counts.row.tolist(), counts.col.tolist(), counts.data.tolist(), strict=True))
    assert (batch["times"] == 0).sum() == 4 * steps - counts.nnz  # padding


def test_a_batch_of_pairs_is_a_function_of_seed_step_and_row():
    whole = read(0, 6, range(2))
    for name, values in read(2, 3, [1]).items():
        np.testing.assert_array_equal(values, whole[name][2:5, 1:])
    assert (read(0, 6, range(2), seed=1)["first"] != whole["first"]).any()


def test_a_text_without_pairs():
    source = Arrays({"token": np.arange(3), "text": np.arange(3)})
    with pytest.raises(UserError, match="no two words"):
        pairs.cooccurrences(source, 0, 1, {"window": 2, "pairs": 4}, False)
    with pytest.raises(UserError, match=r"dataset\.pairs"):
        read(0, 1, [0], width=0)
