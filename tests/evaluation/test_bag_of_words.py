"""Bags of words: ratios and scores by hand, every classifier learns, penalties are chosen, mistakes are said."""

import numpy as np
import pytest
from ml_collections import ConfigDict
from scipy.sparse import csr_matrix

from dl.data.sources.opinions import load_opinions
from dl.errors import UserError
from dl.evaluation import bag_of_words

TEXTS = [text.split() for text in ("good film", "good good fun", "bad film", "dull bad")]
LABELS = np.array([1, 1, 0, 0])


def test_log_count_ratio_by_hand():
    counts = csr_matrix(np.array([[1, 0], [1, 1], [0, 1]], np.float32))
    ratio = bag_of_words.log_count_ratio(counts, np.array([True, True, False]))
    p, q = np.array([3, 2]), np.array([1, 2])  # each count and one
    np.testing.assert_allclose(ratio, np.log(p / 5) - np.log(q / 3), rtol=1e-5)


def test_naive_bayes_by_hand():
    one = bag_of_words.learn(TEXTS, LABELS, 0, penalties=(1.0,))
    words = ["bad", "dull", "film", "fun", "good"]
    counts = {1: np.array([0, 0, 1, 1, 3]), 0: np.array([2, 1, 1, 0, 0])}
    log = {c: np.log((n + 1) / (n.sum() + len(words))) for c, n in counts.items()}
    expected = np.array([log[c][4] + log[c][2] for c in (0, 1)]) + np.log(0.5)  # of "good film"
    expected -= np.log(np.exp(expected).sum())
    np.testing.assert_allclose(bag_of_words.scores(one, [["good", "film", "unheard"]])[0], expected, rtol=1e-5)


@pytest.mark.parametrize("classifier", bag_of_words.CLASSIFIERS)
@pytest.mark.parametrize("ngrams", [1, 2])
def test_every_classifier_learns(classifier, ngrams):
    one = bag_of_words.learn(TEXTS * 5, np.tile(LABELS, 5), 0, classifier=classifier, ngrams=ngrams)
    assert bag_of_words.error(one, TEXTS, LABELS) == 0
    assert bag_of_words.scores(one, [["good"], ["dull"]]).argmax(1).tolist() == [1, 0]


def test_pairs_of_words_tell_what_words_do_not():
    rng = np.random.default_rng(0)
    texts, labels = [], []
    for _ in range(200):
        good, negated = rng.integers(2, size=2)
        texts.append([*(["not"] if negated else ["so"]), "good" if good else "bad"])
        labels.append(int(good != negated))
    labels = np.array(labels)
    words, pairs = (bag_of_words.learn(texts, labels, 0, classifier="svm", ngrams=n) for n in (1, 2))
    assert bag_of_words.error(words, texts, labels) > 0.2 and bag_of_words.error(pairs, texts, labels) == 0


def test_classes_of_more_than_two_and_those_that_never_occur():
    data = load_opinions(ConfigDict({"name": "opinions", "splits": {}, "form": "sentences"}))
    found = {}
    for split in ("train", "test"):
        features = data.splits[split].features
        padded, length = features["text"].gather(np.arange(len(features["text"])))
        found[split] = [[str(w) for w in row[:n]] for row, n in zip(padded, length, strict=True)], features["label"]
    for classifier in bag_of_words.CLASSIFIERS:
        one = bag_of_words.learn(*found["train"], 0, held_out=found["test"], classifier=classifier, ngrams=2)
        assert bag_of_words.error(one, *found["test"]) < 0.6
        assert one.penalty in bag_of_words.PENALTIES[classifier]
    gap = bag_of_words.learn(TEXTS, LABELS * 2, 0, classifier="svm", penalties=(1.0,))
    assert bag_of_words.scores(gap, TEXTS)[:, 1].max() == -np.inf


def test_what_there_is_not_is_said():
    with pytest.raises(UserError, match="unknown classifier of bags of words 'trees'"):
        bag_of_words.learn(TEXTS, LABELS, 0, classifier="trees")
    with pytest.raises(UserError, match="task.ngrams=0 and task.minimum=1 must be at least 1"):
        bag_of_words.learn(TEXTS, LABELS, 0, ngrams=0)
