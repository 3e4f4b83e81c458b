"""Questions to vectors of words, in a file and of a run."""

import json

import numpy as np
import pytest

from dl.errors import UserError
from dl.evaluation.word_vectors import WordVectors
from dl.interop import word_vectors as files
from experiments.similar import terms
from tests.evaluation.test_debiasing import VECTORS as BIASED
from tests.evaluation.test_word_vectors import VECTORS
from tests.experiments.programs import end, start, train


def ask(*flags):
    done = end(start("similar", *flags))
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(*flags):
    done = end(start("similar", *flags))
    assert done.returncode == 1 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.fixture
def path(tmp_path):
    return files.write(tmp_path / "vectors.txt", VECTORS)


def test_answers_of_a_file(path, tmp_path):
    out = tmp_path / "copy.bin"
    asked = ("--nearest=king", "--analogy=man king woman", "--similarity=king man", "--sum=king - man + woman", "--top=2")
    answers = json.loads(ask(f"--vectors={path}", *asked, "--json", f"--out={out}").partition("\n}")[0] + "\n}")
    assert answers["nearest to king"][0] == ["prince", pytest.approx(7 / 5 / 2**0.5)]
    assert answers["man is to king as woman is to"] == answers["king - man + woman"]
    assert answers["king - man + woman"][0][0] == "queen" and len(answers["king - man + woman"]) == 2
    assert answers["similarity of king and man"] == pytest.approx(0.5**0.5)
    np.testing.assert_array_equal(files.read(out).vectors, VECTORS.vectors)
    text = ask(f"--vectors={path}", "--most=4", "--nearest=king")
    assert text.splitlines()[0] == "nearest to king" and "prince" not in text and "queen" in text


def test_bias_before_and_after(tmp_path):
    path, out = files.write(tmp_path / "v.txt", BIASED), tmp_path / "after.txt"
    text = ask(f"--vectors={path}", "--debias", f"--out={out}")
    before, after = (float(text.split(f"direct bias of occupations {when}: ")[1].split()[0]) for when in ("before", "after"))
    assert before > 0.1 and after < 1e-4 and "nurse" in text
    assert files.read(out).words == BIASED.words


def test_answers_of_a_run(workdir):
    train(workdir, config="configs/imdb_skipgram.py:smoke")
    out = workdir.parent / "mine.txt"
    text = ask(f"--workdir={workdir}", "--nearest=summer's", f"--out={out}")
    vectors = files.read(out)
    assert len(text.splitlines()) == 1 + 10 + 1 and vectors.vectors.shape[1] == 8 and "love" in vectors.words


def test_what_cannot_be_answered(path, tmp_path):
    assert "one of the two" in refused("--nearest=king")
    assert "ask something" in refused(f"--vectors={path}")
    assert "Did you mean 'king'" in refused(f"--vectors={path}", "--nearest=kin")
    assert "3 words are needed" in refused(f"--vectors={path}", "--analogy=man king")
    assert "can't be read" in refused(f"--vectors={tmp_path / 'none'}", "--nearest=king")
    assert "wordsim353" in refused(f"--vectors={path}", "--benchmarks=wordsim")


@pytest.mark.parametrize(
    "text, expected", [("king - man + woman", [(1, "king"), (-1, "man"), (1, "woman")]), ("- a + b-c", [(-1, "a"), (1, "b-c")])]
)
def test_sums(text, expected):
    assert terms(text) == expected


@pytest.mark.parametrize("text", ["", "king -", "king man", "king - + man"])
def test_what_is_no_sum(text):
    with pytest.raises(UserError, match="must be words with"):
        terms(text)


def test_vectors_of_one_word_have_no_neighbours():
    from dl.evaluation.word_vectors import neighbours

    assert neighbours(WordVectors(("a",), np.ones((1, 2), np.float32)), "a") == []
