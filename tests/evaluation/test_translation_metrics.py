"""BLEU and chrF as sacreBLEU has them, with worked examples."""

import numpy as np
import pytest

from dl.evaluation.translation_metrics import bleu_by_length, quality, signatures

REFERENCES = ["the cat sat on the mat .", "a dog runs in the park ."]


def test_what_is_equal_is_100_and_bleu_is_that_of_a_corpus():
    assert quality(REFERENCES, REFERENCES) == (pytest.approx(100), pytest.approx(100))
    made = ["the cat sat on a mat .", "a dog runs in the park ."]
    # 13 of 14 words, 10 of 12 pairs, 7 of 10 triples, 5 of 8 quadruples; no brevity penalty
    assert quality(made, REFERENCES).bleu == pytest.approx(100 * (13 / 14 * 10 / 12 * 7 / 10 * 5 / 8) ** 0.25)


def test_short_translations_are_penalised_and_case_counts():
    made = ["the cat sat on the mat", "a dog runs in the park"]
    assert quality(made, REFERENCES).bleu == pytest.approx(100 * np.exp(1 - 14 / 12))
    assert quality([line.upper() for line in REFERENCES], REFERENCES).bleu < 10


def test_the_signature_says_how():
    found = signatures()
    assert found.bleu.startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.")
    assert "nc:6" in found.chrf


def test_bleu_by_length_takes_each_range_by_itself():
    made = [*REFERENCES[:1] * 10, *["x"] * 10, *REFERENCES[1:] * 3]
    references = [*REFERENCES[:1] * 10, *REFERENCES[:1] * 10, *REFERENCES[1:] * 3]
    lengths = np.array([5] * 10 + [10] * 10 + [20] * 3)
    length, bleu = bleu_by_length(made, references, lengths, (1, 8, 15, 30))
    assert length.tolist() == [5, 10]  # three sentences are too few
    assert bleu[0] == pytest.approx(100) and bleu[1] < 1
