"""Nearest words, analogies, correlation with what people say, and the published sets."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from dl.data.word_similarity import benchmarks, parse_questions
from dl.errors import UserError
from dl.evaluation import word_vector_measures as measures
from dl.evaluation import word_vectors as wv
from dl.evaluation.word_vectors import WordVectors

# Royalty and gender are two axes of three; lengths differ on purpose.
WORDS = ("man", "woman", "king", "queen", "apple", "prince")
TABLE = np.array([[1, 0, 0], [-1, 0, 0], [1, 1, 0], [-1, 1, 0], [0, 0, 5], [3, 4, 0]], np.float32)
VECTORS = WordVectors(WORDS, TABLE * np.array([[1], [7], [2], [0.5], [1], [1]], np.float32))


def test_cosines():
    assert wv.similarity(VECTORS, "king", "man") == pytest.approx(0.5**0.5)
    assert wv.similarity(VECTORS, "King", "MAN") == pytest.approx(0.5**0.5)  # in small letters, where there is no other
    assert wv.similarity(VECTORS, "man", "woman") == pytest.approx(-1)


def test_the_nearest_words_of_a_word_are_others():
    near = wv.neighbours(VECTORS, "king", 3)
    assert [word for word, _ in near] == ["prince", "man", "apple"] or [word for word, _ in near] == ["prince", "man", "queen"]
    assert near[0][1] == pytest.approx(7 / 5 / 2**0.5)
    assert len(wv.neighbours(VECTORS, "king", 100)) == 5


def test_analogies_by_3cosadd():
    """b - a + c of unit vectors: (1, 1) / sqrt 2 - (1, 0) + (-1, 0) = (-1.29, 0.71); its cosine with the queen is 0.960."""
    found = wv.analogy(VECTORS, "man", "king", "woman", 2)
    x, y = 0.5**0.5 - 2, 0.5**0.5
    assert found[0][0] == "queen" and found[0][1] == pytest.approx((y - x) / np.hypot(x, y) / 2**0.5, abs=1e-6)
    assert wv.arithmetic(VECTORS, [(1, "king"), (-1, "man"), (1, "woman")], 2) == found
    rows = np.array([[0, 2, 1], [1, 3, 0]])
    assert wv.answers(VECTORS.unit, rows).tolist() == [3, 2]


def test_questions_with_unknown_words_do_not_count():
    sections = {
        "family": [("man", "king", "woman", "queen"), ("man", "king", "woman", "apple"), ("man", "boy", "woman", "girl")]
    }
    assert wv.analogies(VECTORS, sections) == {"family": (1, 2, 3)}
    assert wv.analogies(VECTORS, sections, vocabulary=3) == {"family": (0, 0, 3)}  # the queen is no frequent word


def test_correlation_is_spearmans():
    rng = np.random.default_rng(0)
    vectors = WordVectors(tuple(f"w{i}" for i in range(40)), rng.normal(size=(40, 8)).astype(np.float32))
    judged = [(f"w{i}", f"W{i + 1}", float(rng.integers(0, 5))) for i in range(39)] + [("w1", "nobody", 3.0)]
    cosines = [wv.similarity(vectors, a, b) for a, b, _ in judged[:-1]]
    found = wv.correlation(vectors, judged)
    assert found == (pytest.approx(spearmanr(cosines, [s for *_, s in judged[:-1]]).statistic), 39, 40)
    ordered = [(a, b, cosine) for (a, b, _), cosine in zip(judged, cosines, strict=False)]
    assert wv.correlation(vectors, ordered).rho == pytest.approx(1)
    assert wv.correlation(vectors, [(a, b, -s) for a, b, s in ordered]).rho == pytest.approx(-1)
    assert wv.correlation(vectors, judged[-1:]) is None


def test_a_word_that_is_not_there():
    with pytest.raises(UserError, match="'kin'. Did you mean 'king'"):
        wv.neighbours(VECTORS, "kin")


def test_measures_by_meaning_and_grammar():
    text = ": family\nman king woman queen\n: gram2-opposite\nman king woman apple\n"
    sets = measures.Benchmarks(
        {"mine": [("man", "king", 3.0), ("man", "woman", 1.0), ("king", "prince", 9.0)]}, parse_questions(text)
    )
    found = measures.measure(VECTORS, sets)
    assert found == {"mine": pytest.approx(1), "analogies": 0.5, "analogies/semantic": 1.0, "analogies/syntactic": 0.0}
    assert set(found) <= set(measures.metrics_of(sets))
    assert measures.neighbours(VECTORS, ("king", "nobody")).rows[0][1].startswith("prince 0.99, man 0.71")


def test_the_published_sets(shared_data):
    found = benchmarks(("wordsim353", "simlex999", "men", "rare_words", "analogies"), str(shared_data))
    assert {name: len(pairs) for name, pairs in found.pairs.items()} == {
        "wordsim353": 353,
        "simlex999": 999,
        "men": 3000,
        "rare_words": 2034,
    }
    assert found.pairs["wordsim353"][1] == ("tiger", "cat", 7.35)
    assert len(found.questions) == 14 and sum(map(len, found.questions.values())) == 19_544
    semantic = sum(len(q) for name, q in found.questions.items() if measures.part_of(name) == "semantic")
    assert semantic == 8_869  # Mikolov et al. 2013, section 4.1


def test_sets_that_are_missing_or_unknown(tmp_path):
    with pytest.raises(UserError, match="Did you mean 'wordsim353'"):
        benchmarks(("wordsim",), None)
    with pytest.raises(UserError, match=r"questions-words\.txt"):
        benchmarks(("analogies",), str(tmp_path))
    assert benchmarks((), None) == ({}, {})
