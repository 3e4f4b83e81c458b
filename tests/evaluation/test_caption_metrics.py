"""BLEU and CIDEr-D of captions, and recall of images and texts: examples worked by hand."""

import math

import numpy as np
import pytest

from dl.evaluation.caption_metrics import bleu, cider, signature
from dl.evaluation.image_text_retrieval import nearest, ranks, recalls


def test_bleu_by_hand():
    """6 words, 5 of them in a reference (one `the` too many); pairs 3 of 5; triples 1 of 4; no four. Nearest length: 6."""
    made, references = ["the the cat sat on mats"], [["the cat sat down on it", "a cat"]]
    found = bleu(made, references)
    assert found["bleu1"] == pytest.approx(100 * 4 / 6)
    assert found["bleu2"] == pytest.approx(100 * math.sqrt(4 / 6 * 2 / 5))
    assert found["bleu3"] == pytest.approx(100 * (4 / 6 * 2 / 5 * 1 / 4) ** (1 / 3))
    assert found["bleu4"] == 0


def test_short_captions_pay_and_images_may_have_fewer_references():
    made = ["a dog runs", "a cat"]
    references = [["a dog runs fast today", "the dog"], ["a cat sits here"]]
    # Lengths: 3 and 2; the nearest references have 2 (as near as 5? no: 1 beside 2) and 4 words.
    assert bleu(made, references)["bleu1"] == pytest.approx(100 * math.exp(1 - 6 / 5))
    assert "orders:1-2" in signature(2) and "nrefs:5" in signature(2)


def test_cider_by_hand():
    """Two images; what is in the references of both weighs nothing, and what stands in one's alone log 2."""
    references = [["a dog"], ["a cat"]]
    assert cider(["a dog", "a cat"], references) == pytest.approx(1000 * 2 / 4)  # orders 1 and 2; there are no 3 and 4
    assert cider(["a", "a"], references) == 0
    # "dog dog": of the words min(2w, w) w / (2w w) = 1/2, of the pairs none; the second image has 0.
    assert cider(["dog dog", "a"], references) == pytest.approx(1000 * (1 / 2 / 4) / 2)
    longer = cider(["a dog a a a", "a cat"], references)  # pairs: a dog, dog a, a a: not in a reference, they weigh log 2
    words, pairs = 1.0, 1 / math.sqrt(1 + 1 + 4)
    assert longer == pytest.approx(1000 * ((words + pairs) / 4 * math.exp(-9 / 72) + 2 / 4) / 2)


def test_ranks_by_hand():
    images = np.eye(3)
    captions = np.array([[[1, 0, 0], [0, 0.9, 0]], [[0, 0.8, 0], [0, 0, 0]], [[0.5, 0, 0.4], [0, 0, 0.3]]], float)
    there = np.array([[True, True], [True, False], [True, True]])
    found = ranks(images, captions, there)
    np.testing.assert_array_equal(found.captions, [0, 1, 0])  # of image 2 the nearest is a caption of image 1
    np.testing.assert_array_equal(found.images, [0, 2, 0, 1, 0])
    numbers = recalls(found)
    assert numbers["recall_at_1"] == pytest.approx(2 / 3) and numbers["recall_at_5"] == 1
    assert numbers["search_recall_at_1"] == pytest.approx(3 / 5) and numbers["search_median_rank"] == 1
    assert nearest(np.array([0.0, 1.0, 0.1]), images, 2) == [1, 2]


def test_a_space_that_says_nothing_finds_nothing():
    """What is as near as the right one counts as nearer."""
    numbers = recalls(ranks(np.ones((20, 2)), np.ones((20, 3, 2)), np.ones((20, 3), bool)))
    assert numbers["recall_at_10"] == numbers["search_recall_at_10"] == 0
