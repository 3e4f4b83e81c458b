"""Programs run as a user runs them: in processes of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from dl.training.workdir import PARTIAL
from tests.experiments.fork import Fork

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIG = "tests/experiments/digits.py"
FORKS = sys.platform == "linux"  # elsewhere a fork of a process with system libraries loaded is not safe
CLOCK = ("examples_per_second", "seconds")


def start(
    program: str,
    *flags: object,
    devices: int = 1,
    fresh: bool = False,
    launcher: tuple[str, ...] = (),
    shell: str = "",
    **options,
) -> subprocess.Popen | Fork:
    """Starts `python -m experiments.PROGRAM FLAGS`, where given under a launcher, or after commands of a shell.

    It is a fork of a warm process, which saves seconds of imports, unless it is to be `fresh` or started in another way
    than the usual one.
    """
    module = program if "." in program else f"experiments.{program}"
    discards = options.get("stdout") == subprocess.DEVNULL and len(options) == 1
    if FORKS and not (fresh or launcher or shell) and (not options or discards):
        return Fork(module, [*map(str, flags)], devices)
    command = [sys.executable, "-m", module, *map(str, flags)]
    if launcher:
        command = [sys.executable, "-m", "experiments.launch", *launcher, "--", *command]
    if shell:
        command = ["sh", "-c", f'{shell}; exec "$@"', "sh", *command]
    defaults = {
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
        "env": {**os.environ, "JAX_NUM_CPU_DEVICES": str(devices)},
    }
    return subprocess.Popen(command, cwd=REPOSITORY, **{**defaults, **options})


def end(process: subprocess.Popen | Fork, timeout: float = 240) -> subprocess.CompletedProcess:
    """Waits for it."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def train(workdir: Path, *flags: object, config: str = CONFIG, **options) -> subprocess.CompletedProcess:
    """Trains to the end, which must be a good one."""
    ended = end(start("train", f"--config={config}", f"--workdir={workdir}", *flags, **options))
    assert ended.returncode == 0, ended.stderr
    return ended


def until(condition: Callable[[], bool], process: subprocess.Popen | Fork, timeout: float = 120) -> None:
    """Waits until a condition holds while the process runs."""
    begin = time.monotonic()
    while not condition():
        assert process.poll() is None, f"ended before, with code {process.returncode}: {process.communicate()[1]}"
        if time.monotonic() - begin > timeout:
            process.kill()
            raise AssertionError("waited for too long")
        time.sleep(0.005)


def checkpoints(workdir: Path) -> list[int]:
    """The steps that are saved."""
    folder = workdir / "checkpoints"
    return sorted(int(p.name) for p in folder.iterdir() if p.name.isdigit()) if folder.exists() else []


def kill_after_first_checkpoint(workdir: Path, *flags: object, config: str = CONFIG) -> None:
    """Starts a training and sends SIGKILL as soon as a checkpoint is there."""
    process = start("train", f"--config={config}", f"--workdir={workdir}", *flags)
    until(lambda: bool(checkpoints(workdir)), process)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def result(workdir: Path) -> dict:
    """What is in result.json."""
    return json.loads((workdir / "result.json").read_text())


def lines(workdir: Path) -> list[dict]:
    """metrics.jsonl, without what depends on the clock, and without the sums where a run was stopped between two lines."""
    everything = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in CLOCK} for line in everything if PARTIAL not in line]


def same_run(a: Path, b: Path) -> None:
    """Asserts that two runs reached the same, bit for bit, and tell the same of their way."""
    ours, theirs = result(a), result(b)
    assert ours["params_sha256"] == theirs["params_sha256"]
    assert ours["metrics"] == theirs["metrics"]
    assert lines(a) == lines(b)


def one_line(ended: subprocess.CompletedProcess, code: int = 1) -> str:
    """Asserts that a program failed with one line; returns it."""
    assert ended.returncode == code, (ended.returncode, ended.stderr)
    errors = ended.stderr.strip().splitlines()
    assert len(errors) == 1 and errors[0].startswith("error: "), ended.stderr
    assert "Traceback" not in ended.stdout
    return errors[0].removeprefix("error: ")
