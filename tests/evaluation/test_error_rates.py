"""Error rates by hand: what is substituted, dropped and added, over what was said."""

import numpy as np
import pytest

from dl.evaluation.error_rates import character_error, texts, word_error, worst
from dl.vocabulary import Vocabulary


def test_words():
    said = ["the cat sat", "on mats"]
    assert word_error(said, said) == 0
    assert word_error(said, ["the cat", "on the mats"]) == pytest.approx(2 / 5)  # one dropped, one added
    assert word_error(["a"], ["b c d"]) == pytest.approx(3)
    assert word_error(said, ["", ""]) == 1


def test_characters_count_over_the_whole_split_with_blanks():
    assert character_error(["kitten", "ab c"], ["sitting", "abc"]) == pytest.approx((3 + 1) / 10)


def test_texts_of_padded_rows():
    tokens, length = np.array([[1, 0, 0], [0, 1, 1]]), np.array([1, 3])
    assert texts(tokens, length, Vocabulary("ab", words=False)) == ["b", "abb"]
    assert texts(tokens, length, Vocabulary(("no", "yes"), words=True)) == ["yes", "no yes yes"]
    assert texts(tokens, np.array([0, 0]), Vocabulary("ab")) == ["", ""]


def test_the_worst_come_first():
    found = worst(["ab", "abc", "x"], ["ab", "x", "y"], 2)
    assert found.rows == [("abc", "x", 3), ("x", "y", 1)]
