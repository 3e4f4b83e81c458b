"""Texts by words, for word vectors."""

import numpy as np
import pytest
from ml_collections import ConfigDict

from dl.data.corpus import corpus, words_alone
from dl.data.load import load
from dl.errors import UserError


def test_words_without_marks_in_small_letters():
    assert words_alone('Don\'t say "low-budget": it cost 3.5 million!') == [
        "don't",
        "say",
        "low-budget",
        "it",
        "cost",
        "3.5",
        "million",
    ]


def test_rare_words_are_left_out_and_the_most_frequent_is_first():
    found = corpus("c", {"train": ["b a b", "", "rare b a"], "test": ["a b"]}, 2)
    vocabulary = found.info.features["token"].vocabulary
    assert vocabulary.names == ("b", "a")
    train = found.splits["train"].features
    assert train["token"].tolist() == [0, 1, 0, 0, 1] and train["text"].tolist() == [0, 0, 0, 2, 2]
    assert found.splits["test"].features["token"].tolist() == [1, 0]
    with pytest.raises(UserError, match=r"lower dataset\.minimum"):
        corpus("c", {"train": ["a b"]}, 2)
    with pytest.raises(UserError, match="at least 1"):
        corpus("c", {"train": ["a b"]}, 0)


def test_a_file_by_lines(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("The film. THE actor!\nthe film\n")
    settings = ConfigDict({"name": "text", "path": str(path), "level": "line", "minimum": 2, "splits": {"train": "train"}})
    found = load(settings)
    assert found.info.features["token"].vocabulary.names == ("the", "film")
    assert found.splits["train"].features["text"].tolist() == [0, 0, 0, 1, 1]


def test_the_reviews(shared_data):
    settings = ConfigDict({"name": "imdb_text", "minimum": 5, "splits": {"train": "validation"}})
    found = load(settings, manual_dir=str(shared_data))
    names, tokens = found.info.features["token"].vocabulary.names, found.splits["train"].features["token"]
    assert found.splits["train"].features["text"][-1] == 4_999 and names[:3] == ("the", "and", "a")
    assert not any(name in names for name in (".", "br", "<unk>")) and np.bincount(tokens).min() >= 5
    first = [
        "sorry",
        "everyone",
        "i",
        "know",
        "this",
        "is",
        "supposed",
        "to",
        "be",
        "an",
        "art",
        "film",
        "but",
        "wow",
        "they",
        "should",
        "have",
        "handed",
        "out",
        "guns",
    ]
    assert [names[token] for token in tokens[: len(first)]] == first


def test_where_the_archives_are_missing(tmp_path):
    settings = ConfigDict({"name": "imdb_text", "splits": {"train": "train"}})
    with pytest.raises(UserError, match=r"imdb_train\.tsv\.xz"):
        load(settings, manual_dir=str(tmp_path))


def test_random_words_are_as_frequent_as_zipf_says():
    found = load(ConfigDict({"name": "random_words", "examples": 50_000, "kinds": 100, "splits": {"train": "train"}}))
    tokens, texts = (found.splits["train"].features[name] for name in ("token", "text"))
    shares = np.bincount(tokens, minlength=100) / 50_000
    expected = 1 / np.arange(1, 101) / (1 / np.arange(1, 101)).sum()
    assert shares == pytest.approx(expected, abs=0.005) and (np.bincount(texts) == 200).all()
    with pytest.raises(UserError, match="at least 1"):
        load(ConfigDict({"name": "random_words", "kinds": 0, "splits": {"train": "train"}}))
