"""The table of the bAbI tasks: the published figures, and ours by the authors' rule."""

import json
import subprocess
import sys

import numpy as np
import pytest

from dl.errors import UserError
from dl.report import babi, embedded
from tests.conftest import REPOSITORY


def result(task, test, training, losses, model="memory_network", **dataset):
    def numbers(values):
        return {"mean": float(np.mean(values)), "std": float(np.std(values, ddof=len(values) > 1)), "values": values}

    metrics = {"training": {"error": numbers(training), "loss": numbers(losses)}, "test": {"error": numbers(test)}}
    return {"config": {"dataset": {"name": "babi", "task": task, **dataset}, "model": {"name": model}}, "metrics": metrics}


def test_the_published_columns_have_the_published_means_and_failures():
    """Table 1: mean errors 6.7, 51.3 and 13.9 %, and 4, 20 and 11 tasks that failed."""
    columns = np.array([row[1:] for row in babi.PUBLISHED.values()])
    assert columns.shape == (20, 3)
    np.testing.assert_allclose(columns.mean(0), [6.7, 51.3, 13.9], atol=0.0501)
    np.testing.assert_array_equal((columns > babi.FAILED).sum(0), [4, 20, 11])


def test_the_replica_with_the_lowest_training_error_counts_then_with_the_lowest_loss():
    chosen = babi.reached(result(1, [0.1, 0.3, 0.2, 0.4], [0.02, 0.01, 0.01, 0.05], [0.1, 0.5, 0.4, 0.01]))
    assert chosen.chosen == pytest.approx(20.0) and chosen.replicas == 4
    assert (chosen.mean, chosen.deviation) == pytest.approx((25.0, 100 * np.std([0.1, 0.2, 0.3, 0.4], ddof=1)))


def test_lines_and_what_all_tasks_sum_up_to():
    some = babi.by_task([result(2, [0.083], [0.0], [0.1]), result(2, [0.5], [0.2], [0.1], "story_lstm")])
    assert babi.lines(some) == [("2", "two supporting facts", "80.0", "50.0", "8.3", "8.3", "8.3 ± 0.0 (1)")]
    every = babi.by_task([result(task, [0.04 + 0.02 * (task > 12)] * 2, [0.0, 0.1], [0.1, 0.1]) for task in babi.PUBLISHED])
    *_, mean, failed = babi.lines(every)
    assert mean == ("", "mean", "51.3", "", "13.9", "4.8", "") and failed[2:] == ("20", "", "11", "8", "")


def test_what_is_no_result_of_one_task_is_left_out_or_refused():
    joint, other = result(0, [0.1], [0.1], [0.1]), result(3, [0.1], [0.1], [0.1])
    other["config"]["dataset"]["name"] = "moves"
    assert babi.by_task([joint, other]) == {}
    with pytest.raises(UserError, match="two results are of task 3 by memory_network"):
        babi.by_task([result(3, [0.1], [0.1], [0.1])] * 2)
    lacks = result(3, [0.1], [0.1], [0.1])
    del lacks["metrics"]["training"]
    with pytest.raises(UserError, match="lacks training/error"):
        babi.by_task([lacks])


def test_a_page_embeds_the_table():
    page = "a\n<!-- babi of babi_* -->\nold\n<!-- end of results -->\nb\n"
    filled = embedded.filled(page, {"babi_task1": result(1, [0.0], [0.0], [0.1]), "other": result(1, [0.3], [0.0], [0.1])})
    assert "| 1 | single supporting fact | 50.0 |  | 0.0 | 0.0 | 0.0 ± 0.0 (1) |\n<!-- end" in filled and "old" not in filled
    with pytest.raises(UserError, match=r"a page asks for the bAbI tasks of babi_\*"):
        embedded.filled(page, {})


def test_the_program_reads_runs_and_kept_files(tmp_path):
    (tmp_path / "runs" / "task=1").mkdir(parents=True)
    (tmp_path / "runs" / "task=1" / "result.json").write_text(json.dumps(result(1, [0.012], [0.0], [0.1])))
    (tmp_path / "runs" / "table.json").write_text("[]")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "babi_task4.json").write_text(json.dumps(result(4, [0.034], [0.0], [0.1])))
    command = [sys.executable, "-m", "experiments.babi_table"]

    def run(*names):
        return subprocess.run([*command, *names], cwd=REPOSITORY, capture_output=True, text=True)

    ended = run(str(tmp_path / "runs"), str(tmp_path / "kept"))
    assert ended.returncode == 0, ended.stderr
    assert "single supporting fact" in ended.stdout and "1.2" in ended.stdout and "3.4" in ended.stdout
    assert run(str(tmp_path)).stderr.startswith("error: there is no finished run of one bAbI task in")
    assert run().stderr.startswith("error: name the runs")
