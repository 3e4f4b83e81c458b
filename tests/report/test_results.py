"""The table of results: every figure in it comes from a result file."""

import json
import os
import re
import subprocess

import pytest

from dl import provenance
from dl.config import base, config_hash
from dl.errors import UserError
from dl.report import embedded, results, run
from experiments import reproduce
from tests.conftest import REPOSITORY

COMMIT = "69bd386a2fcfb8f806f103606a182050e5f24b52"


def result(mean, value, better="lower", best=None):
    numbers = {"mean": mean, "std": 0.0004, "values": [mean - 0.0004, mean, mean + 0.0004]}
    return {
        "config": {"dataset": {"path": "/somewhere/else/images"}},
        "config_hash": "c0ffee" * 10,
        "command": "python -m experiments.train --workdir=/tmp/x/run --manual_dir /data/sets --config.replicas=3",
        "commit": COMMIT,
        "versions": {"jax": "0.10.2"},
        "devices": {"count": 1, "kind": "cpu", "processor": "AMD EPYC"},
        "replicas": 3,
        "parameters": 60000,
        "wall_seconds": 90.0,
        "steps": 18760,
        "metrics": {"test": {"score": numbers}},
        "best": best,
        "described": {"score": {"better": better, "unit": "", "format": ".4g"}},
        "reference": {"metric": "test/score", "value": value, "source": "A paper, table 1"},
    }


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A repository with one commit, and nothing that would differ from it."""
    root = tmp_path_factory.mktemp("repository")
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    when = {**os.environ, "GIT_AUTHOR_DATE": "2024-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2024-01-01T00:00:00Z"}
    for command in (["init", "-q"], [*who, "commit", "-q", "--allow-empty", "-m", "one"]):
        subprocess.run(["git", *command], cwd=root, check=True, env=when)
    assert provenance.commit(root) == COMMIT
    return root


def write(folder, content):
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(content))
    return folder


def test_row_shows_mean_deviation_and_whether_the_reference_is_reached(tmp_path, repository):
    runs = [
        write(tmp_path / "low", result(0.0091, 0.0095)),
        write(tmp_path / "high", result(0.0099, 0.0095)),
        write(tmp_path / "accuracy", result(0.93, 0.92, "higher")),
        write(tmp_path / "worse", result(0.91, 0.92, "higher")),
        write(tmp_path / "value", result(0.5, 0.6, "")),
    ]
    results.collect(runs, tmp_path / "docs", repository)
    page = results.page(tmp_path / "docs")
    row = "|  | test/score | 0.0095 (A paper, table 1) |"
    assert f"| low {row} **0.0091 ± 0.0004** | 3 | 60,000 | 1.5 min |" in page
    assert f"| high {row} 0.0099 ± 0.0004 | 3 | 60,000 | 1.5 min |" in page
    assert "**0.93 ± 0.0004**" in page and "| 0.91 ± 0.0004 |" in page
    assert "| 0.5 ± 0.0004 |" in page  # of a metric that is no measure of how good the run is


@pytest.mark.parametrize(
    ("better", "reached"), [("lower", [True, True, False]), ("higher", [False, True, True]), ("", [None, None, None])]
)
def test_a_report_reads_in_the_metric_what_is_better(tmp_path, better, reached):
    found = []
    for number, mean in enumerate((0.91, 0.92, 0.93)):
        folder = write(tmp_path / f"{better}{number}", result(mean, 0.92, better))
        (folder / "config.json").write_text(json.dumps({"reference": {"mode": "max"}}))  # of an older version: not asked
        found.append(run.read(folder).reference.reached)
    assert found == reached


def test_the_best_checkpoint_stands_beside_the_last(tmp_path, repository):
    best = {"step": 10, "metrics": {"test": {"score": {"mean": 0.0090, "std": 0.0001, "values": [0.0089, 0.0091]}}}}
    results.collect([write(tmp_path / "run", result(0.0091, 0.0095, best=best))], tmp_path / "docs", repository)
    assert "**0.0091 ± 0.0004** (0.009 ± 0.0001)" in results.page(tmp_path / "docs")


def test_no_path_of_a_machine_is_kept(tmp_path, repository):
    (kept,) = results.collect([write(tmp_path / "run", result(0.01, 0.02))], tmp_path / "docs", repository)
    text = kept.read_text() + results.page(tmp_path / "docs")
    assert "/tmp" not in text and "/data/sets" not in text and "/somewhere" not in text
    assert "--workdir=runs/run --manual_dir=archives --config.replicas=3" in text


BAD = {
    "unknown": "unknown: it was made outside a checkout",
    f"{COMMIT}+changes": f"with changes to commit {COMMIT[:12]} that were not committed",
    "0123456789" * 4: "its commit 012345678901 is not in the history of this repository",
}


@pytest.mark.parametrize(("commit", "said"), BAD.items())
def test_a_run_from_code_that_nobody_can_get_is_refused(commit, said, tmp_path, repository):
    folder = write(tmp_path / "run", {**result(0.01, 0.02), "commit": commit})
    with pytest.raises(UserError, match=re.escape(said)):
        results.collect([folder], tmp_path / "docs", repository)
    parts = [{"commit": commit, "config_hash": "a"}, {"commit": COMMIT, "config_hash": "a"}]  # an early part of it was
    folder = write(tmp_path / "later", {**result(0.01, 0.02), "history": parts})
    with pytest.raises(UserError, match=re.escape(said)):
        results.collect([folder], tmp_path / "docs", repository)
    assert not (tmp_path / "docs").exists()


def test_a_run_of_several_configurations_is_refused(tmp_path, repository):
    parts = [{"commit": COMMIT, "config_hash": "a"}, {"commit": COMMIT, "config_hash": "b"}]
    folder = write(tmp_path / "run", {**result(0.01, 0.02), "history": parts})
    with pytest.raises(UserError, match="made with several configurations"):
        results.collect([folder], tmp_path / "docs", repository)


@pytest.mark.parametrize("content", ["", "[1]", '{"command": "x"', '{"command": "x"}'])
def test_a_damaged_result_is_refused(content, tmp_path, repository):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "result.json").write_text(content)
    with pytest.raises(UserError, match=r"result.json (is|should)"):
        results.collect([tmp_path / "run"], tmp_path / "docs", repository)


def test_a_kept_result_holds_while_its_command_gives_its_configuration(repository):
    config = base()
    kept = {"commit": COMMIT, "config": config.to_dict(), "config_hash": config_hash(config)}
    assert results.problems(kept, base(), repository) == []
    config.batch_size = 7
    (line,) = results.problems(kept, config, repository)
    assert line == "its command now gives another configuration (batch_size: 128 -> 7)"
    assert results.problems({**kept, "config_hash": "x"}, base(), repository)[0].startswith("its hash is not that")


def test_a_command_gives_its_configuration():
    given = reproduce.configuration(
        "python -m experiments.train --config=configs/mnist_mlp.py:quick --workdir=runs/x --config.epochs=6 --config.replicas=3"
    )
    assert (given.epochs, given.replicas, given.optimizer.name) == (6.0, 3, "adam")


def test_a_command_with_another_model_by_flag_gives_its_configuration():
    flags = "--config.model.name=resnet_cifar --config.model.depth=8 --config.optimizer.name=adam --config.optimizer.b1=0.5"
    found = reproduce.configuration(f"python -m experiments.train --config=configs/digits_mlp.py:smoke {flags} --workdir=x")
    assert found.model.to_dict() == {"name": "resnet_cifar", "depth": 8}
    assert (found.optimizer.name, found.optimizer.b1) == ("adam", 0.5)


def test_all_kept_results_hold():
    if provenance.commit() == provenance.UNKNOWN:
        pytest.skip("needs the repository's history")
    assert not list(reproduce.check(REPOSITORY / "docs"))


def test_a_report_shows_a_reference_only_where_it_holds(tmp_path):
    config = base()
    config.reference.update(metric="test/score", value=0.02, source="A paper", dataset="mnist test")
    (tmp_path / "metrics.jsonl").write_text(
        '{"step": 1, "split": "test", "score": {"mean": 0.01, "std": 0.0, "values": [0.01]}}\n'
    )

    def shown():
        (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
        return run.read(tmp_path).reference

    assert shown() is None  # the digits
    config.dataset.name = "mnist"
    assert shown().source == "A paper"
    (tmp_path / "result.json").write_text(json.dumps({**result(0.01, 0.02), "reference": {}}))
    assert shown() is None


def test_an_unfinished_run_is_refused(tmp_path, repository):
    (tmp_path / "run").mkdir()
    with pytest.raises(UserError, match="not finished"):
        results.collect([tmp_path / "run"], tmp_path / "docs", repository)


PAGE = "Text.\n\n<!-- results: test/score of run_* -->\nold\n<!-- end of results -->\n\nMore.\n"


def test_a_table_in_a_page_has_the_rows_that_match_the_best_first(tmp_path, repository):
    runs = {"run_a": 0.03, "run_b": 0.01, "other": 0.02}
    results.collect([write(tmp_path / name, result(mean, 0.0)) for name, mean in runs.items()], tmp_path / "docs", repository)
    page = embedded.filled(PAGE, results.kept(tmp_path / "docs"))
    table = [line.split(" | ")[:2] for line in page.splitlines() if line.startswith("| run_")]
    assert table == [["| run_b", "0.01 ± 0.0004"], ["| run_a", "0.03 ± 0.0004"]]
    assert "old" not in page and page.startswith("Text.") and page.endswith("More.\n")
    assert embedded.filled(page, results.kept(tmp_path / "docs")) == page


def test_a_table_of_nothing_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"asks for test/score of run_\*, and no kept result has it"):
        embedded.filled(PAGE, {})
