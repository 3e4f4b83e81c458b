"""A search tries what optuna chooses, remembers it, and ends what is not worth going on with."""

import json

import pytest

from dl.config import base
from dl.errors import UserError
from dl.training import search
from dl.training.run import begin
from experiments import searching, sweep

RATE = "optimizer.learning_rate"
SPACE = f"{RATE}=log(1e-3,1);model.hidden=(4,),(8,);seed=0,1"


@pytest.fixture
def config():
    """Twelve steps of a small perceptron on the embedded digits, on one device."""
    made = base()
    made.update(steps=12, batch_size=32, steps_per_dispatch=4, log_every=4, eval_every=4)
    made.model.update(name="mlp", hidden=(8,), activation="relu")
    made.mesh.update(replica=1, data=1)
    made.replicate = "vmap"
    return made


def states(folder):
    found = search.study(folder, "lower", "random", True, 0)
    return [(trial.state.name, trial.value, trial.params) for trial in found.trials]


def test_a_space_has_ranges_choices_and_seeds(config):
    space, seeds = search.parse(f"{RATE}=log(1e-4, 1e-1);batch_size=logint(8,64);model.hidden=(8,),(4, 4);seed=2,3", config)
    assert space[RATE] == search.Range(1e-4, 0.1, True, False) and space["batch_size"].ends() == (8, 64)
    assert space["model.hidden"] == ((8,), (4, 4)) and seeds == (2, 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("batch_size=32", "nothing to search"),
        (f"{RATE}=log(0,1)", "above 0 where it is logarithmic"),
        (f"{RATE}=uniform(1,0.5)", "must be below the second"),
        (f"{RATE}=log(a,1)", "a range has two numbers"),
        (f"{RATE}=log(1e-3,1);seed=0,2", "follow each other"),
    ],
)
def test_spaces_that_are_none(config, text, said):
    with pytest.raises(UserError, match=said):
        search.parse(text, config)


def test_it_searches_and_goes_on_where_it_was_stopped(config, tmp_path, monkeypatch, capsys):
    given = {"kind": "tpe", "metric": "test/error", "rates": 2, "prune": False}
    assert searching.run(config, SPACE, tmp_path, count=2, **given) == "finished"
    one = json.loads((tmp_path / "trial=0-1" / "result.json").read_text())
    found = states(tmp_path)
    assert len(one["metrics"]["test"]["error"]["values"]) == 4  # two rates with two seeds, in one program
    hidden = {params["model.hidden"] for _, _, params in found}
    assert len(hidden) == 1 and found[0][2][RATE] != found[1][2][RATE] and all(1e-3 <= p[RATE] <= 1 for _, _, p in found)
    means = [sum(one["metrics"]["test"]["error"]["values"][i : i + 2]) / 2 for i in (0, 2)]
    assert [value for _, value, _ in found] == pytest.approx(means)

    monkeypatch.setattr(sweep, "train", lambda *_, **__: "SIGTERM")
    assert searching.run(config, SPACE, tmp_path, count=3, **given) == "SIGTERM"
    assert [state for state, _, _ in states(tmp_path)] == ["COMPLETE", "COMPLETE", "RUNNING"]
    monkeypatch.undo()
    begun = states(tmp_path)[2][2]
    assert searching.run(config, SPACE, tmp_path, count=3, **given) == "finished"
    assert [state for state, _, _ in states(tmp_path)] == ["COMPLETE"] * 3 and states(tmp_path)[2][2] == begun
    table = json.loads((tmp_path / "table.json").read_text())
    errors = [row["metrics"]["test"]["error"]["mean"] for row in table]
    assert errors == sorted(errors) and len(errors) == 3
    assert f"best: {errors[0]:.6g} by --config.{RATE}=" in capsys.readouterr().out
    with pytest.raises(UserError, match="holds another search"):
        searching.run(config, SPACE, tmp_path, count=3, **{**given, "metric": "test/loss"})


def test_it_prunes_what_is_worse_than_the_median(config, tmp_path):
    """Four trials that have ended at a good value, by hand; a fifth that is told to be worse is pruned."""
    found = search.study(tmp_path, "lower", "random", True, 0)
    space, seeds = search.parse(f"{RATE}=log(1e-3,1)", config)
    for _ in range(4):
        trials = search.ask(found, space, seeds, 1)
        assert not search.pruning(found, trials, "test/error")([{"step": 4, "split": "test", "error": {"values": [0.1]}}])
        search.tell(found, trials, [0.1], pruned=False)
    trials = search.ask(found, space, seeds, 2)
    prune = search.pruning(found, trials, "test/error")
    assert not prune([{"step": 4, "split": "train", "error": {"values": [0.9, 0.9]}}])
    assert not prune([{"step": 4, "split": "test", "error": {"values": [0.9, 0.05]}}])  # one of them is good
    worse = search.ask(found, space, seeds, 1)
    assert search.pruning(found, worse, "test/error")([{"step": 4, "split": "test", "error": {"values": [0.9]}}])


def test_a_pruned_run_ends_at_its_evaluation_with_a_result(config, workdir):
    stopped, result = begin(config, workdir, None, None, prune=lambda lines: lines[-1]["split"] == "test")
    assert stopped == "" and result["steps"] == 4 and "error" in result["metrics"]["test"]


def test_a_trial_that_fails_is_told_and_the_search_goes_on(config, tmp_path, monkeypatch):
    monkeypatch.setattr(sweep, "train", lambda *_, **__: sweep.FAILURE)
    given = {"kind": "random", "metric": "test/error", "rates": 2, "prune": True}
    assert searching.run(config, SPACE, tmp_path, count=3, **given) == "finished"
    assert [state for state, _, _ in states(tmp_path)] == ["FAIL"] * 3
