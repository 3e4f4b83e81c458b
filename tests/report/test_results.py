"""The table of results: every figure in it comes from a result file."""

import json

import pytest

from dl.errors import UserError
from dl.report import embedded, results


def result(mean, value, mode="min", best=None):
    numbers = {"mean": mean, "std": 0.0004, "values": [mean - 0.0004, mean, mean + 0.0004]}
    return {
        "config": {"dataset": {"path": "/somewhere/else/images"}},
        "config_hash": "c0ffee" * 10,
        "command": "python -m experiments.train --workdir=/tmp/x/run --manual_dir /data/sets --config.replicas=3",
        "commit": "abcdef" * 6,
        "versions": {"jax": "0.10.2"},
        "devices": {"count": 1, "kind": "cpu", "processor": "AMD EPYC"},
        "replicas": 3,
        "parameters": 60000,
        "wall_seconds": 90.0,
        "steps": 18760,
        "metrics": {"test": {"score": numbers}},
        "best": best,
        "reference": {"metric": "test/score", "mode": mode, "value": value, "source": "A paper, table 1"},
    }


def write(folder, content):
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(content))
    return folder


def test_row_shows_mean_deviation_and_whether_the_reference_is_reached(tmp_path):
    runs = [
        write(tmp_path / "low", result(0.0091, 0.0095)),
        write(tmp_path / "high", result(0.0099, 0.0095)),
        write(tmp_path / "accuracy", result(0.93, 0.92, mode="max")),
    ]
    results.collect(runs, tmp_path / "docs")
    page = results.page(tmp_path / "docs")
    row = "| test/score | 0.0095 (A paper, table 1) |"
    assert f"| low {row} **0.0091 ± 0.0004** | 3 | 60,000 | 1.5 min |" in page
    assert f"| high {row} 0.0099 ± 0.0004 | 3 | 60,000 | 1.5 min |" in page
    assert "**0.93 ± 0.0004**" in page


def test_the_best_checkpoint_stands_beside_the_last(tmp_path):
    best = {"step": 10, "metrics": {"test": {"score": {"mean": 0.0090, "std": 0.0001, "values": [0.0089, 0.0091]}}}}
    results.collect([write(tmp_path / "run", result(0.0091, 0.0095, best=best))], tmp_path / "docs")
    assert "**0.0091 ± 0.0004** (0.009 ± 0.0001)" in results.page(tmp_path / "docs")


def test_no_path_of_a_machine_is_kept(tmp_path):
    (kept,) = results.collect([write(tmp_path / "run", result(0.01, 0.02))], tmp_path / "docs")
    text = kept.read_text() + results.page(tmp_path / "docs")
    assert "/tmp" not in text and "/data/sets" not in text and "/somewhere" not in text
    assert "--workdir=runs/run --manual_dir=archives --config.replicas=3" in text


def test_an_unfinished_run_is_refused(tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(UserError, match="not finished"):
        results.collect([tmp_path / "run"], tmp_path / "docs")


PAGE = "Text.\n\n<!-- results: test/score of run_* -->\nold\n<!-- end of results -->\n\nMore.\n"


def test_a_table_in_a_page_has_the_rows_that_match_the_best_first(tmp_path):
    runs = {"run_a": 0.03, "run_b": 0.01, "other": 0.02}
    results.collect([write(tmp_path / name, result(mean, 0.0)) for name, mean in runs.items()], tmp_path / "docs")
    page = embedded.filled(PAGE, results.kept(tmp_path / "docs"))
    table = [line.split(" | ")[:2] for line in page.splitlines() if line.startswith("| run_")]
    assert table == [["| run_b", "0.01 ± 0.0004"], ["| run_a", "0.03 ± 0.0004"]]
    assert "old" not in page and page.startswith("Text.") and page.endswith("More.\n")
    assert embedded.filled(page, results.kept(tmp_path / "docs")) == page


def test_a_table_of_nothing_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"asks for test/score of run_\*, and no kept result has it"):
        embedded.filled(PAGE, {})
