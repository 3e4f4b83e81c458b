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


# As tasks describe them, and by their words where nobody does.
HIGHER = ["coverage", "modes", "inside", "confident", "pseudo_likelihood", "parzen"]
LOWER = ["error", "error/5-way 1-shot", "class_error", "frechet"]
NEITHER = ["value", "d_real", "nearest", "confident_real", "mixture_modes", "embedding_norm", "gap_loss"]
BY_WORD = {"accuracy": "higher", "auc": "higher", "my_score": "higher", "my_distance": "lower", "accuracy_loss": "lower"}
BY_WORD |= {"word_error": "lower", "wombats": ""}


@pytest.mark.parametrize("finished", [True, False])
def test_the_best_is_bold_and_nothing_where_neither_is_better(make_run, finished):
    known = dict.fromkeys(HIGHER, "higher") | dict.fromkeys(LOWER, "lower") | dict.fromkeys(NEITHER, "")
    described = {name: {"better": better, "unit": "", "format": ".4g"} for name, better in known.items()}
    names = {**(known if finished else {}), **BY_WORD}
    runs = []
    for run, value in (("low", 0.25), ("high", 0.75)):
        folder = results_of(make_run(run, reference=None), dict.fromkeys(names, value))
        if finished:
            content = json.loads((folder / "result.json").read_text()) | {"described": described}
            (folder / "result.json").write_text(json.dumps(content))
        runs.append(report.run.read(folder))
    source = report.comparison.render(runs)
    rows = re.findall(r"<tr>(.*?)</tr>", source[source.index("<tbody>") : source.index("</tbody>")])
    for row, better in zip(rows, ("lower", "higher"), strict=True):
        cells = row.split("<td")[2 : 2 + len(names)]
        bold = [name for name, cell in zip(names, cells, strict=True) if "<b>" in cell]
        assert bold == [name for name, known in names.items() if known == better]


def test_a_reference_is_reached_the_way_that_the_metric_is_better(make_run):
    """Whatever `mode` says: it is "min" unless set."""
    folder = results_of(make_run(reference=("test/parzen", 225.0, "a paper")), {"parzen": 230.0})
    assert report.run.read(folder).reference.reached


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
