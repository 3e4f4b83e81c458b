"""Texts and sentences classified by runs; bags of words as a run."""

import json
from pathlib import Path

import numpy as np
import pytest

from dl import config_file
from dl.artifacts import ParseTree
from dl.data.sources.opinions import load_opinions
from dl.errors import UserError
from dl.report import artifacts
from experiments import bag_of_words, classify
from experiments.train import train
from tests.conftest import REPOSITORY

FEW = {"epochs": 0.0, "steps": 2, "steps_per_dispatch": 2, "log_every": 2, "eval_every": 2, "checkpoint_every": 2}


def configured(name):
    config = config_file.load(str(REPOSITORY / "configs" / name))
    config.mesh.update(replica=1, data=1)
    return config


@pytest.fixture(scope="module")
def trees(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trees") / "run"
    config = configured("sst_rntn.py:smoke")
    config.update(**FEW)
    train(config, folder, None, None)
    return folder


@pytest.fixture(scope="module")
def texts(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("texts") / "run"
    config = configured("imdb_lstm.py:averaging_smoke")
    config.update(**FEW)
    train(config, folder, None, None)
    return folder


def test_a_sentence_by_its_tree(trees):
    given = ["((this movie) (is (not good)))", "This movie is not good", "The movie was not bad."]
    brackets, guessed, known = classify.judged(trees, given)
    assert [one.guessed for one in (brackets, guessed, known)] == [False, True, False]
    assert sum(brackets.classes.values()) == pytest.approx(1, abs=1e-5)
    assert list(brackets.classes.values()) == sorted(brackets.classes.values(), reverse=True)
    assert isinstance(brackets.tree, ParseTree) and brackets.tree.words == ("this", "movie", "is", "not", "good")
    assert known.tree.words == ("The", "movie", "was", "not", "bad", ".")
    assert brackets.classes != guessed.classes
    with pytest.raises(UserError, match="is no binary tree: a node of 3 children"):
        classify.judged(trees, ["(a b c)"])


def test_the_report_of_a_run_shows_the_sentences(trees):
    shown = artifacts.load(trees)
    lecture = shown["test", "This movie was actually neither that funny , nor super witty ."]
    assert isinstance(lecture, ParseTree) and len(lecture.notes) == 23
    page = (trees / "report" / "index.html").read_text()
    assert page.count('class="tree"') >= 15 and "Negations" in page


def test_a_text(texts, trees, tmp_path):
    (tmp_path / "more.txt").write_text("The film is not awful.\n\nher story is new\n")
    given = classify.texts(["A great film!"], str(tmp_path / "more.txt"))
    assert given == ["A great film!", "The film is not awful.", "her story is new"]
    found = classify.judged(texts, given)
    assert [set(one.classes) for one in found] == [{"negative", "positive"}] * 3 and found[0].tree is None
    again = classify.judged(texts, ["A great film !"])[0].classes
    assert again == pytest.approx(found[0].classes)
    with pytest.raises(UserError, match="which texts"):
        classify.texts([], None)


def test_a_run_of_another_task_is_refused(tmp_path, trees):
    config = json.loads((trees / "config.json").read_text())
    config["task"] = {"name": "language_model"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="trained language_model, which classifies no texts"):
        classify.judged(tmp_path, ["good"])


def test_bags_of_words_are_a_run_as_any_other(tmp_path):
    config = configured("sst_averaging.py:words_smoke")
    content = bag_of_words.train(config, tmp_path / "run")
    error = content["metrics"]["test"]["error"]["mean"]
    labels = load_opinions(config.dataset).splits["test"].features["label"]
    assert error < 1 - np.bincount(labels).max() / len(labels)  # better than the likeliest class
    assert json.loads(json.dumps(content)) == json.loads((tmp_path / "run" / "result.json").read_text())
    assert content["parameters"] > 0 and "error by length" in {name for _, name in artifacts.load(tmp_path / "run")}
    config.task.name = "text_classification"
    with pytest.raises(UserError, match="train it with experiments.train"):
        bag_of_words.train(config, tmp_path / "other")
