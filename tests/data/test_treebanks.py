"""The Stanford Sentiment Treebank and film reviews: published counts, forms and labels; made-up opinions; errors in a line."""

import itertools

import numpy as np
import pytest
from ml_collections import ConfigDict

from dl.data.load import load
from dl.data.sources import opinions, sst
from dl.dataset import Kind
from dl.errors import UserError
from dl.vocabulary import Vocabulary

SPLITS = {"train": "train", "validation": "validation", "test": "test"}


FINE = {"name": "sst", "splits": SPLITS}
PHRASES = {**FINE, "labels": "binary", "form": "phrases"}


@pytest.fixture(scope="module")
def fine(shared_data):
    return load(ConfigDict(FINE), manual_dir=str(shared_data))


@pytest.fixture(scope="module")
def phrases(shared_data):
    return load(ConfigDict(PHRASES), manual_dir=str(shared_data))


def text(info, source, row):
    batch = source.gather(np.array([row]))
    vocabulary: Vocabulary = info.features["text"].vocabulary
    return vocabulary.decode(batch["text"][0][: batch["text_length"][0]])


def test_published_counts_of_the_treebank(fine):
    info, splits = fine
    assert [len(splits[split]) for split in SPLITS] == [8_544, 1_101, 2_210]
    test = splits["test"].features
    assert np.bincount(test["label"]).tolist() == [279, 633, 389, 510, 399]
    assert text(info, splits["train"], 0).startswith('the rock is destined to be the 21st century \'s new " conan "')
    assert len(info.features["text"].vocabulary) == sst.SYMBOLS["fine", True]
    row = splits["train"].gather(np.array([0]))
    words = int(row["text_length"][0])
    assert row["place"][0, 0] == -1 and row["place"][0, 1:words].min() >= 0 and row["place"][0, words:].max(initial=-1) == -1
    assert (row["node_label"][0, :words, 0] >= 0).all() and row["node_label"][0, row["place"][0].argmax(), 1] == 3
    nodes = sum((splits[split].features["node_label"].whole >= 0).sum() for split in SPLITS)
    assert nodes == 2 * sum(splits[split].features["text"].sizes.sum() for split in SPLITS) - 11_855


def test_two_classes_have_no_neutral_sentences_and_phrases_no_doubles(phrases):
    info, splits = phrases
    assert [len(splits[split]) for split in ("validation", "test")] == [872, 1_821]
    assert info.class_names == ("negative", "positive") and set(info.features) == {"text", "label"}
    ragged = splits["train"].features["text"]
    bounds = ragged.offsets.tolist()
    distinct = {tuple(ragged.values[start:stop]) for start, stop in itertools.pairwise(bounds)}
    assert len(distinct) > 0.99 * len(ragged)  # a few have both labels, as in other letters


@pytest.mark.parametrize("name", ["fine", "phrases"])
def test_a_stand_in_has_the_sizes_of_the_treebank(name, request):
    known, read = load(ConfigDict({"fine": FINE, "phrases": PHRASES}[name]), known=True), request.getfixturevalue(name)
    for feature, described in read.info.features.items():
        assert known.info.features[feature]._replace(vocabulary=None) == described._replace(vocabulary=None)
    assert len(known.info.features["text"].vocabulary) == len(read.info.features["text"].vocabulary)
    assert [len(known.splits[split]) for split in SPLITS] == [len(read.splits[split]) for split in SPLITS]


@pytest.mark.slow
@pytest.mark.slow
def test_reviews(shared_data):
    settings = ConfigDict({"name": "imdb", "splits": {"validation": "validation"}, "most": 5_000})
    info, splits = load(settings, manual_dir=str(shared_data))
    validation = splits["validation"]
    assert np.bincount(validation.features["label"]).tolist() == [2_500, 2_500]
    assert len(info.features["text"].vocabulary) == 5_000 == len(load(settings, known=True).info.features["text"].vocabulary)
    assert text(info, validation, 0).startswith('sorry everyone , , , i know this is supposed to be an " art " film , , but')


def test_opinions_are_true_to_their_words():
    info, splits = load(ConfigDict({"name": "opinions", "splits": SPLITS}))
    assert [len(splits[split]) for split in SPLITS] == [400, 100, 100]
    assert {feature.kind for feature in info.features.values()} == {Kind.TOKENS, Kind.CLASS, Kind.NUMBER}
    found = {text(info, splits["train"], row): int(splits["train"].features["label"][row]) for row in range(400)}
    words = {word: label for label, words in enumerate(opinions.ADJECTIVES) for word in words}
    for said, label in found.items():
        _, _, *rest = said.split()
        match rest[1:]:
            case [word]:
                assert label == words[word]
            case ["not", word]:
                assert label == opinions.NOT[words[word]]
            case ["very", word]:
                assert label == opinions.VERY[words[word]]
            case ["not", "very", word]:
                assert label == opinions.NOT[opinions.VERY[words[word]]]
    assert len(found) > 150
    again = load(ConfigDict({"name": "opinions", "splits": SPLITS})).splits["train"]
    np.testing.assert_array_equal(again.features["text"].whole, splits["train"].features["text"].whole)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"form": "words"}, "unknown dataset.form 'words'"),
        ({"labels": "three"}, "unknown dataset.labels 'three'"),
        ({"lengths": (4, 8)}, r"a tree cannot be cut: .* 21 words, so dataset.lengths=\(4, 8\) must reach to that"),
        ({"examples": 3}, "must be at least 8"),
    ],
)
def test_settings_that_make_no_sense(more, message):
    with pytest.raises(UserError, match=message):
        load(ConfigDict({"name": "opinions", "splits": SPLITS, **more}))


def test_a_line_that_is_no_tree_is_named():
    assert sst.parsed("(3 (2 co-writer\\/director) (2 -LRB-))\n\n", "x")[0].words == ("co-writer/director", "(")
    with pytest.raises(UserError, match="x, line 2 is no binary tree: a bracket is not closed"):
        sst.parsed("(3 (2 a) (2 b))\n(3 (2 a)", "x")
    with pytest.raises(UserError, match=r"'sst' is read from its archive. Put DIR/sst/trees.zip"):
        load(ConfigDict({"name": "sst", "splits": SPLITS}))
    with pytest.raises(UserError, match=r"'imdb' is read from its files"):
        load(ConfigDict({"name": "imdb", "splits": SPLITS}))
