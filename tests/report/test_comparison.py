"""Several runs in one page, and the program."""

import re
import subprocess
import sys

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
