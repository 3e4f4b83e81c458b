"""Tables of one's own: questions with their answers, articles with their titles."""

import runpy

import numpy as np
import pytest

from dl.data.sources.elements import ELEMENTS, QUESTIONS
from dl.errors import UserError
from dl.training.assembly import assemble
from dl.training.loop import train
from dl.training.progress import Progress
from tests.conftest import REPOSITORY


def config(name, variant, path, **changes):
    chosen = runpy.run_path(str(REPOSITORY / "configs" / f"{name}.py"))["get_config"](variant)
    chosen.update(epochs=0.0, eval_every=0, log_every=100, checkpoint_every=0, steps_per_dispatch=10, **changes)
    chosen.dataset.path = str(path)
    chosen.mesh.data = 1
    return chosen


def reached(chosen, workdir):
    workdir.mkdir()
    return train(assemble(chosen), workdir, Progress(chosen.steps, enabled=False)).evaluated["test"].metrics


def test_questions_of_a_table_are_answered(tmp_path, workdir):
    """The elements, asked for in other words; by chance 19 in 20 are wrong."""
    rows = [
        f"{form.format(*row)}\t{row[0]}\t{split}" for split, forms in QUESTIONS.items() for row in ELEMENTS for form in forms
    ]
    (tmp_path / "own.tsv").write_text("\n".join(["question\tanswer\tsplit", *rows]))
    chosen = config("factoid_averaging", "own", tmp_path / "own.tsv", steps=100, batch_size=32)
    chosen.model.update(embedding=32, hidden=(32,))
    chosen.dataset.lengths = (24,)
    chosen.optimizer = {"name": "adam", "learning_rate": 0.01, "schedule": {"name": "constant"}}
    assert reached(chosen, workdir)["error"][0] < 0.5


def test_titles_of_a_table_are_found(tmp_path, workdir):
    """An article holds the words of its title among others; by chance 1 in 30 is right."""
    rng = np.random.default_rng(0)
    syllables = ["ka", "lo", "mi", "tu", "re", "so", "ni", "pa"]
    rows = []
    for number in range(120):
        title = "".join(rng.choice(syllables, 4))
        rows.append(f"{title} {title}\t{title}\t{'test' if number % 4 == 0 else 'train'}")
    (tmp_path / "own.csv").write_text("\n".join(["article,title,split", *(row.replace("\t", ",") for row in rows)]))
    chosen = config("ptb_typos", "titles", tmp_path / "own.csv", steps=60, batch_size=32)
    chosen.model.update(embedding=16, hidden=24)
    chosen.dataset.lengths = (24,)
    chosen.optimizer.learning_rate = 0.01
    found = reached(chosen, workdir)
    assert found["accuracy"][0] > 0.3 and found["accuracy/5"][0] >= found["accuracy"][0]


def test_a_table_without_the_column_is_refused(tmp_path):
    (tmp_path / "own.tsv").write_text("question\tlabel\tmore\nwho?\tme\tx\nwhat?\tit\ty\n")
    with pytest.raises(UserError, match="answer"):
        assemble(config("factoid_averaging", "own", tmp_path / "own.tsv", steps=2))
