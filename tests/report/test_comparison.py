"""Several runs in one page, and the program."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dl import report
from dl.errors import UserError


def test_runs_side_by_side(make_run, parse, tmp_path):
    folders = [make_run("slow", seed=1), make_run("fast", seed=2), make_run("going_on", finished=False, reference=None)]
    path = report.comparison.write(folders, tmp_path / "out" / "all.html")
    source = path.read_text()
    parsed = parse(source)
    assert "3 runs" in parsed.text and "0.00900 ± 0.00020" in parsed.text and "unfinished" in parsed.text
    differences = parsed.text[parsed.text.index("Key slow fast going_on") :]
    assert differences.startswith("Key slow fast going_on") and "seed 1 2 0" in differences
    shared = differences[differences.index("Shared configuration") :]
    assert "batch_size 128" in shared and not re.search(r"\bseed\b", shared)
    figures = re.findall(r"<figure class=\"card plot\">.*?</figure>", source)
    error = next(f for f in figures if "<h3>error <small>test" in f)
    assert error.count('class="line"') == 3 and all(name in error for name in ("slow", "fast", "going_on"))
    assert all(value.startswith(("#", "data:image/")) for value in parsed.loads)


def test_runs_of_one_name_are_told_apart_by_their_paths(make_run, parse, tmp_path):
    (tmp_path / "a").mkdir()
    folders = [make_run("x"), make_run("a/x")]
    text = parse(report.comparison.write(folders, tmp_path / "all.html").read_text()).text
    assert str(folders[0]) in text and str(folders[1]) in text
    assert "the same configuration" in text


def test_the_program_writes_one_page_or_several(make_run, tmp_path):
    pytest.importorskip("experiments.program")
    from experiments import report as program

    one, two = make_run("one"), make_run("two", seed=7)
    assert program.write([str(one)]) == one / "report" / "index.html"
    assert program.write([str(one)], str(tmp_path / "x.html")).read_text().startswith("<!DOCTYPE html>")
    assert "2 runs" in program.write([str(one), str(two)], str(tmp_path / "y.html")).read_text()
    with pytest.raises(UserError, match="no run given"):
        program.write([])


def test_the_command_line(make_run, tmp_path):
    pytest.importorskip("experiments.program")
    one, two = make_run("one"), make_run("two", seed=7)

    def program(*arguments):
        command = [sys.executable, "-m", "experiments.report", *arguments]
        return subprocess.run(command, capture_output=True, text=True)

    done = program(f"--workdir={one}", f"--workdir={two}", f"--out={tmp_path / 'both.html'}")
    assert (done.returncode, done.stdout.strip()) == (0, str(tmp_path / "both.html")), done.stderr
    failed = program(str(tmp_path / "absent"))
    assert failed.returncode == 1
    assert re.fullmatch(r"error: no workdir '.*absent'.*\n", failed.stderr)


def results_of(folder, metrics):
    """Makes the run's final numbers of the test split these."""
    path = folder / "result.json"
    result = json.loads(path.read_text())
    result["metrics"] = {"test": {name: {"mean": v, "std": 0.0, "values": [v]} for name, v in metrics.items()}}
    path.write_text(json.dumps(result))
    return folder


HIGHER = ["coverage", "modes", "inside", "confident", "pseudo_likelihood", "parzen", "accuracy", "auc", "my_score"]
LOWER = ["error", "error/5-way 1-shot", "loss", "perplexity", "frechet", "class_error", "reconstruction", "my_distance"]
NEITHER = ["value", "d_real", "d_fake", "nearest", "confident_real", "mixture_modes", "embedding_norm", "wombats"]


def test_the_best_is_bold_and_nothing_where_neither_is_better(make_run):
    names = [*HIGHER, *LOWER, *NEITHER]
    low = results_of(make_run("low", reference=None), dict.fromkeys(names, 0.25))
    high = results_of(make_run("high", reference=None), dict.fromkeys(names, 0.75))
    source = report.comparison.render([report.run.read(low), report.run.read(high)])
    rows = re.findall(r"<tr>(.*?)</tr>", source[source.index("<tbody>") : source.index("</tbody>")])
    bold = [["<b>" in cell for cell in row.split("<td")[2 : 2 + len(names)]] for row in rows]
    assert bold[0] == [False] * len(HIGHER) + [True] * len(LOWER) + [False] * len(NEITHER)
    assert bold[1] == [True] * len(HIGHER) + [False] * len(LOWER + NEITHER)


def test_a_metric_that_no_name_tells_of_is_better_as_the_configuration_says(make_run):
    best = {"metric": "test/wombats", "mode": "max"}
    folders = [results_of(make_run(name, best=best), {"wombats": value}) for name, value in (("a", 1.0), ("b", 2.0))]
    source = report.comparison.render([report.run.read(folder) for folder in folders])
    assert "<b>2</b>" in source and "<b>1</b>" not in source


def test_the_comparison_goes_where_git_does_not_look(make_run, tmp_path, monkeypatch):
    from experiments import report as program

    monkeypatch.chdir(tmp_path)
    one, two = make_run("one"), make_run("two", seed=7)
    before = set(tmp_path.iterdir())
    page = program.write([str(one), str(two)])
    assert page.resolve() == tmp_path / "runs" / "comparison" / "index.html"
    assert {path.name for path in set(tmp_path.iterdir()) - before} == {"runs"}
    assert "runs/" in (Path(__file__).parents[2] / ".gitignore").read_text().splitlines()


def test_replicas_of_several_learning_rates_are_several_runs(make_run, parse):
    """No mean is taken over them, neither in the numbers nor in the curves."""
    folder = make_run(replicas=2, optimizer={"name": "sgd", "learning_rate": [0.1, 0.5]})
    lines = [
        {"step": step, "split": "test", "error": {"mean": 0.5, "std": 0.28, "values": [0.3, 0.7]}, "examples_per_second": 9.0}
        for step in (1, 2)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = json.loads((folder / "result.json").read_text())
    result |= {"replicas": 2, "metrics": {"test": {"error": {"mean": 0.5, "std": 0.28, "values": [0.3, 0.7]}}}}
    (folder / "result.json").write_text(json.dumps(result))
    source = report.write(folder).read_text()
    text = parse(source).text
    assert "learning_rate=0.1 0.3" in text and "learning_rate=0.5 0.7" in text
    table = source[source.index("<tbody>") : source.index("</tbody>")]
    assert "<b>0.3</b>" in table and "<b>0.7</b>" not in table
    assert not re.search(r"\b0\.50? ±|0\.28", text)
    assert source.count('class="band"') == 0 and "c0ffee" in text
