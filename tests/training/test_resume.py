"""What must fit before a run goes on, and what is noted of how it was made."""

import json

import numpy as np
import pytest

from dl import provenance
from dl.config import config_hash
from dl.dataset import Arrays, Dataset
from dl.errors import UserError
from dl.training import checkpoint, history, resume
from dl.training.workdir import open_for_writing, read_config
from tests.training.tasks import experiment, image_dataset, settings


@pytest.fixture(autouse=True)
def code(monkeypatch):
    """The commit, which is not that of the tests."""
    monkeypatch.setattr(provenance, "commit", lambda: "c0ffee")


def begin(workdir, override=False, steps=12, dataset=None, **changes):
    chosen = experiment("classifier", settings(steps=steps, **changes), dataset=dataset)
    with open_for_writing(workdir, chosen.config, override):
        return chosen, resume.start(chosen, workdir, {"data_dir": None, "manual_dir": "sets"}, override, "train")


def save(chosen, workdir, step):
    writer = checkpoint.Writer(workdir, False, "lower")
    writer.save(step, chosen.initial_state(), None)
    writer.close()


def files(workdir):
    return {path.name: path.read_text() for path in workdir.glob("*.json")}


def parts(workdir):
    return [(part["step"], part["differences"]) for part in history.read(workdir)]


def test_another_configuration_is_noted_with_the_step_from_which_it_counts(workdir):
    chosen, _ = begin(workdir)
    save(chosen, workdir, 4)
    changed, begun = begin(workdir, override=True, batch_size=32)
    assert begun.step == 4 and read_config(workdir).batch_size == 32
    assert parts(workdir) == [(0, []), (4, ["batch_size: 16 -> 32"])]
    save(changed, workdir, 8)
    begin(workdir, batch_size=32)  # the same again: nothing to note
    assert parts(workdir) == [(0, []), (4, ["batch_size: 16 -> 32"])]
    made = history.made_with(workdir, 12)
    assert [part["config_hash"] for part in made["history"]] == [config_hash(c.config) for c in (chosen, changed)]
    assert made["commit"] == "c0ffee" and made["command"] == "train"


def test_what_took_no_step_is_not_in_the_history(workdir):
    chosen, _ = begin(workdir)
    save(chosen, workdir, 4)
    begin(workdir, override=True, batch_size=32)
    begin(workdir, override=True, batch_size=48)
    assert parts(workdir) == [(0, []), (4, ["batch_size: 32 -> 48"])]
    begin(workdir, override=True)
    assert parts(workdir) == [(0, [])]


def test_other_code_is_noted(workdir, monkeypatch):
    chosen, _ = begin(workdir)
    save(chosen, workdir, 4)
    monkeypatch.setattr(provenance, "commit", lambda: "decade")
    begin(workdir)
    assert [(part["step"], part["commit"]) for part in history.read(workdir)] == [(0, "c0ffee"), (4, "decade")]
    assert history.made_with(workdir, 4)["commit"] == "c0ffee"  # nothing was trained after
    assert history.made_with(workdir, 5)["commit"] == "decade"


def test_a_checkpoint_that_does_not_fit_leaves_the_files_as_they_were(workdir):
    chosen, _ = begin(workdir)
    save(chosen, workdir, 4)
    before = files(workdir)
    with pytest.raises(UserError, match="does not fit this configuration"):
        begin(workdir, override=True, replicas=2)
    assert files(workdir) == before
    begin(workdir)  # the original command goes on


@pytest.mark.parametrize(
    ("saved", "steps", "said"),
    [
        (8, 4, r"has taken 8 steps already, and the configuration asks for 4: give more steps, or another --workdir"),
        (12, 12, r"ended at step 12 with another configuration, and no step is left .*\(seed: 0 -> 5\): give more steps"),
    ],
)
def test_a_run_with_no_step_left_keeps_what_it_was_made_with(saved, steps, said, workdir):
    chosen, _ = begin(workdir)
    save(chosen, workdir, saved)
    before = files(workdir)
    with pytest.raises(UserError, match=said):
        begin(workdir, override=True, steps=steps, seed=5)
    assert files(workdir) == before
    begin(workdir)


def test_a_run_that_early_stopping_ended_keeps_what_it_was_made_with(workdir):
    chosen, _ = begin(workdir)
    save(chosen, workdir, 8)
    before = files(workdir)
    changed, begun = begin(workdir, override=True, seed=5)
    with pytest.raises(UserError, match=r"ended at step 8 with another configuration.*\(seed: 0 -> 5\)"):
        resume.check_steps_taken(changed, workdir, begun, 8)
    assert files(workdir) == before
    _, begun = begin(workdir, override=True, seed=5)
    resume.check_steps_taken(changed, workdir, begun, 9)
    assert read_config(workdir).seed == 5


def replaced() -> Dataset:
    found = image_dataset()
    train = found.splits["train"].features
    return found._replace(splits={**found.splits, "train": Arrays({**train, "label": np.zeros_like(train["label"])})})


def test_data_that_were_replaced_are_refused(workdir):
    chosen, _ = begin(workdir)
    kept = json.loads((workdir / "data.json").read_text())
    assert (
        kept["fingerprint"] == resume.fingerprint(chosen) and kept["manual_dir"].endswith("/sets") and kept["data_dir"] is None
    )
    begin(workdir, dataset=replaced())  # nothing is trained yet
    begin(workdir)
    save(chosen, workdir, 4)
    with pytest.raises(UserError, match=r"the examples of images are not those .* put the old files back"):
        begin(workdir, dataset=replaced())
    assert json.loads((workdir / "data.json").read_text()) == kept
    begin(workdir)
    begin(workdir, override=True, dataset=replaced())
    assert json.loads((workdir / "data.json").read_text())["fingerprint"] == resume.fingerprint(
        experiment("classifier", dataset=replaced())
    )
