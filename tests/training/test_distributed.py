"""Several processes, started on this machine by experiments.launch."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.experiments.programs import (
    CONFIG,
    REPOSITORY,
    checkpoints,
    end,
    lines,
    one_line,
    result,
    same_run,
    start,
    train,
    until,
)

TWO = ("--processes=2", "--devices=2")
FLAGS = (f"--config={CONFIG}", "--config.steps=40")


def loss(workdir) -> list[float]:
    return [line["loss"]["mean"] for line in lines(workdir) if line["split"] == "train"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One process of four devices, and two processes of two: their workdirs."""
    folder = tmp_path_factory.mktemp("runs")
    for name, how in {"one": {"devices": 4}, "two": {"launcher": TWO}}.items():
        ended = end(start("train", *FLAGS, f"--workdir={folder / name}", **how))
        assert ended.returncode == 0, ended.stderr
    return folder


def test_two_processes_learn_what_one_does(runs):
    assert result(runs / "two")["devices"]["processes"] == 2
    assert result(runs / "two")["devices"]["count"] == result(runs / "one")["devices"]["count"] == 4
    np.testing.assert_allclose(loss(runs / "two"), loss(runs / "one"), rtol=1e-5)
    ours, theirs = (result(runs / name)["metrics"]["test"] for name in ("two", "one"))
    assert ours["error"] == theirs["error"]
    np.testing.assert_allclose(ours["loss"]["mean"], theirs["loss"]["mean"], rtol=1e-5)
    assert (runs / "two" / "report" / "index.html").exists()


@pytest.mark.slow
def test_two_processes_repeat_bit_for_bit(runs, workdir):
    train(workdir, "--config.steps=40", launcher=TWO)
    same_run(runs / "two", workdir)


def test_sigterm_stops_both_and_one_process_goes_on(runs, workdir):
    process = start("train", *FLAGS, f"--workdir={workdir}", "--config.steps=20000", launcher=TWO)
    until(lambda: bool(checkpoints(workdir)), process)
    process.send_signal(signal.SIGTERM)
    stopped = end(process, timeout=120)
    assert stopped.returncode == 75, stopped.stderr
    step = checkpoints(workdir)[-1]
    assert f"stopped by SIGTERM, saved at step {step}" in stopped.stdout
    saved = loss(workdir)
    np.testing.assert_allclose(saved[:8], loss(runs / "one")[: len(saved)], rtol=1e-5)
    flags = (*FLAGS, f"--workdir={workdir}", f"--config.steps={step + 10}", "--override_config")  # the last of a flag counts
    resumed = end(start("train", *flags, devices=4))
    assert resumed.returncode == 0, resumed.stderr
    assert f"resumed at step {step}" in resumed.stdout
    assert loss(workdir)[: len(saved)] == saved and result(workdir)["steps"] == step + 10


def test_a_mistake_is_told_and_ends_all_of_them(workdir):
    ended = end(start("train", f"--config={CONFIG}", f"--workdir={workdir}", "--config.batch_size=30", launcher=TWO))
    assert ended.returncode == 1
    first = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert len(first) == 1 and "batch_size=30 does not divide into 4 parts" in first[0]
    assert "Traceback" not in ended.stderr


def test_all_three_flags_or_none(workdir):
    line = one_line(end(start("train", f"--config={CONFIG}", f"--workdir={workdir}", "--process_id=0")))
    assert "need all of --coordinator, --num_processes and --process_id" in line


def launched(script: str, processes: int = 3, **options) -> subprocess.Popen:
    command = [
        sys.executable,
        "-m",
        "experiments.launch",
        f"--processes={processes}",
        "--devices=2",
        "--",
        sys.executable,
        "-c",
        script,
    ]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


# One write a line: with PYTHONUNBUFFERED, print writes text and line end apart, and another's line falls between.
SHOW = "import os, sys; sys.stdout.write(f'{sys.argv[1:]} {os.environ[\"JAX_NUM_CPU_DEVICES\"]}\\n')"


def test_each_process_is_told_its_place_and_lines_say_whose_they_are():
    ended = end(launched(SHOW))
    out = sorted(
        ended.stdout.splitlines(), key=lambda line: line[:3] if line.startswith("[1]") or line.startswith("[2]") else ""
    )
    assert ended.returncode == 0 and len(out) == 3
    for i, line in enumerate(out):
        prefix = f"[{i}] " if i else ""
        assert line.startswith(f"{prefix}['--coordinator=localhost:") and line.endswith("2")
        assert "'--num_processes=3'" in line and f"'--process_id={i}'" in line


def test_where_one_fails_the_others_are_ended_and_its_code_is_given():
    begin = time.monotonic()
    ended = end(launched("import sys, time; time.sleep(100) if sys.argv[-1][-1] != '1' else sys.exit('no, 5 < 3')"))
    assert ended.returncode == 1 and ended.stderr == "[1] no, 5 < 3\n" and time.monotonic() - begin < 30
    killed = end(launched("import os, sys, time; time.sleep(100) if sys.argv[-1][-1] != '2' else os.kill(os.getpid(), 9)"))
    assert killed.returncode == 128 + 9


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_reach_all_of_them(number):
    handler = f"import signal, sys, time; signal.signal({int(number)}, lambda *_: sys.exit(0))"
    process = launched(f"{handler}; sys.stdout.write('ready\\n'); sys.stdout.flush(); time.sleep(100)")
    seen = [process.stdout.readline() for _ in range(3)]
    assert sorted(seen) == ["[1] ready\n", "[2] ready\n", "ready\n"]
    process.send_signal(number)
    assert end(process, timeout=30).returncode == 0


def test_no_command_and_no_program_are_one_line():
    none = subprocess.run([sys.executable, "-m", "experiments.launch"], cwd=REPOSITORY, capture_output=True, text=True)
    assert "no command given" in one_line(none)
    command = [sys.executable, "-m", "experiments.launch", "--", "no-such-program"]
    line = one_line(subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True))
    assert line == "the program 'no-such-program' cannot be launched: No such file or directory."
