"""The benchmark beside gensim: both sides get the same words. Its timings are not tested."""

import numpy as np
import pytest

from experiments import benchmark, benchmark_words
from experiments.benchmark_cases import CASES


def test_both_sides_learn_from_the_same_words(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("The cat sat, the dog sat.\nA rare one!\n\nThe cat.\n" * 5)
    config = benchmark_words.configuration(str(path))
    assert config.dataset.minimum == 5 and config.task.negatives == 5
    texts = benchmark_words.texts_of(config)
    assert texts[:3] == [["the", "cat", "sat", "the", "dog", "sat"], ["a", "rare", "one"], ["the", "cat"]] and len(texts) == 15


def test_a_turn_of_each(tmp_path):
    pytest.importorskip("gensim")
    path = tmp_path / "text.txt"
    path.write_text("\n".join(" ".join(f"w{n}" for n in row) for row in np.random.default_rng(0).integers(0, 30, (500, 40))))
    config = benchmark_words.configuration(str(path))
    config.dataset.length = 256
    config.model.dimensions = 10
    assert benchmark_words.gensims(config)() > 0
    assert benchmark_words.ours(config)() > 0
    assert benchmark.WORDS == "words"


def test_a_step_of_pytorch_is_ours():
    torch = pytest.importorskip("torch")
    step = CASES["skip_gram"].torch_step(torch, 1)
    first = step()
    assert step() < first
