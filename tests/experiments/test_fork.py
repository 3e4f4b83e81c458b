"""A fork of the warm process is what a fresh `python -m` is."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.experiments.fork import Fork
from tests.experiments.programs import CONFIG, end, same_run, start, train

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="programs are forked on Linux only")


def test_a_fork_trains_what_a_fresh_interpreter_trains(tmp_path):
    forked = train(tmp_path / "forked", "--config.steps=20")
    fresh = train(tmp_path / "fresh", "--config.steps=20", fresh=True)
    same_run(tmp_path / "forked", tmp_path / "fresh")
    assert forked.args == fresh.args[:-2] + forked.args[-2:]
    assert forked.stderr == fresh.stderr
    assert forked.stdout.replace("forked", "fresh").splitlines()[:-2] == fresh.stdout.splitlines()[:-2]  # these have seconds


SHOW = "tests.experiments.shown"


def shown(*arguments: object, devices: int = 1) -> Fork:
    return Fork(SHOW, [str(argument) for argument in arguments], devices)


def test_devices_arguments_and_pid_are_its_own():
    processes = [shown("devices", devices=n) for n in (1, 3)]
    for n, process in zip((1, 3), processes, strict=True):
        ended = end(process)
        assert ended.returncode == 0 and ended.stderr == ""
        pid, count, arguments = ended.stdout.split(maxsplit=2)
        assert int(pid) == process.pid != os.getpid() and int(count) == n
        assert arguments == "['devices']\n"


@pytest.mark.parametrize(("word", "code", "err"), [("fail", 1, "ValueError: of its own"), ("exit", 7, ""), ("print", 0, "")])
def test_exit_codes_and_what_is_done_at_exit(word, code, err):
    ended = end(shown(word))
    assert ended.returncode == code and ended.stderr.strip().endswith(err)
    assert ended.stdout.endswith("at exit\n")


def test_output_longer_than_a_pipe_holds():
    assert len(end(shown("print", 300_000)).stdout) == 300_000 + len("\nat exit\n")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_signals_end_it(number):
    process = shown("sleep")
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=0.5)
    assert process.poll() is None
    process.send_signal(number)
    begin = time.monotonic()
    assert end(process, timeout=30).returncode == -number and time.monotonic() - begin < 30
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def test_mistakes_in_flags_and_help_are_those_of_a_fresh_interpreter():
    for flags in ([f"--config={CONFIG}", "--nonsense"], ["--help"]):
        forked, fresh = (end(start("train", *flags, fresh=fresh)) for fresh in (False, True))
        assert (forked.returncode, forked.stdout, forked.stderr) == (fresh.returncode, fresh.stdout, fresh.stderr)
