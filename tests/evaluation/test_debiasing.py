"""Hard debiasing, on vectors whose bias is known."""

import numpy as np
import pytest

from dl.errors import UserError
from dl.evaluation import debiasing
from dl.evaluation.word_vectors import WordVectors, similarity

RNG = np.random.default_rng(0)
GENDER = np.zeros(10, np.float32)
GENDER[0] = 1


def leaning(amount):
    """A random vector with a part along the first axis."""
    return np.concatenate([[amount], RNG.normal(size=9)]).astype(np.float32)


def pair(amount):
    both = leaning(amount)
    return both, both * np.where(GENDER, -0.8, 1)


WORDS = ("she", "he", "woman", "man", "queen", "king", "nurse", "boss", "beard", "table")
ROWS = [*pair(3.0), *pair(3.0), *pair(2.0), leaning(2.0), leaning(-1.0), leaning(-2.0), leaning(0.0)]
VECTORS = WordVectors(WORDS, np.stack(ROWS).astype(np.float32))
AXIS = debiasing.direction(VECTORS)


def test_the_direction_is_that_of_the_pairs():
    assert abs(AXIS[0]) > 0.99 and np.linalg.norm(AXIS) == pytest.approx(1, abs=1e-6)
    lean = debiasing.lean(VECTORS, ("she", "he", "nurse", "boss", "nobody"), AXIS)
    assert lean["she"] > 0.5 and lean["he"] < -0.5 and lean["nurse"] > 0 > lean["boss"] and len(lean) == 4


def test_words_become_neutral_but_for_those_that_mean_a_gender():
    after = debiasing.debiased(VECTORS, AXIS)
    lean = debiasing.lean(after, WORDS, AXIS)
    assert all(abs(lean[word]) < 1e-6 for word in ("nurse", "boss", "table"))
    assert lean["beard"] == pytest.approx(debiasing.lean(VECTORS, ("beard",), AXIS)["beard"], abs=1e-6)
    assert np.linalg.norm(after.vectors, axis=1) == pytest.approx(np.ones(len(WORDS)), abs=1e-6)


def test_the_two_of_a_pair_are_as_far_from_every_neutral_word():
    assert abs(similarity(VECTORS, "nurse", "queen") - similarity(VECTORS, "nurse", "king")) > 0.1
    after = debiasing.debiased(VECTORS, AXIS)
    for neutral in ("nurse", "boss", "table"):
        for a, b in (("she", "he"), ("queen", "king")):
            assert similarity(after, neutral, a) == pytest.approx(similarity(after, neutral, b), abs=1e-6)
    assert similarity(after, "she", "he") < 0.9  # they still differ
    assert debiasing.lean(after, ("she",), AXIS)["she"] > 0 > debiasing.lean(after, ("he",), AXIS)["he"]


def test_direct_bias_is_the_mean_cosine():
    words = ("nurse", "boss")
    cosines = np.abs([VECTORS.unit[WORDS.index(word)] @ AXIS for word in words])
    assert debiasing.direct_bias(VECTORS, words, AXIS) == pytest.approx(cosines.mean(), rel=1e-5)
    assert debiasing.direct_bias(VECTORS, words, AXIS, 2.0) == pytest.approx((cosines**2).mean(), rel=1e-5)
    assert debiasing.direct_bias(debiasing.debiased(VECTORS, AXIS), words, AXIS) < 1e-6


def test_words_without_vectors():
    with pytest.raises(UserError, match="no pair"):
        debiasing.direction(WordVectors(("a",), np.ones((1, 2), np.float32)))
    with pytest.raises(UserError, match="none of the words"):
        debiasing.direct_bias(VECTORS, ("nobody",), AXIS)
