"""Kills runs at random moments, starts them again, and compares what they reach with runs that nobody disturbed.

    python -m experiments.crash --config='configs/*.py:smoke' --workdir=/tmp/crash --kills=30

Half of the kills (SIGKILL) come at a moment drawn uniformly from the time that an undisturbed run takes after its start-up, the
other half while a checkpoint is being written. What stands after `--` is passed to experiments.train. Exit code 1 where a run
fails, or ends with other parameters or metrics.
"""

import glob
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from absl import flags

from dl.errors import UserError
from experiments.program import run

FLAGS = flags.FLAGS
POLL = 0.002  # seconds
WRITING = "checkpoints/*.orbax-checkpoint-tmp*"  # a checkpoint that is not whole yet


class Reached(NamedTuple):
    """What an undisturbed run reached, and its times in seconds from the start of the process."""

    result: dict
    started: float
    ended: float


class Tally(NamedTuple):
    """A line of the table."""

    config: str
    kills: int
    while_writing: int
    starts: int
    ends: int
    same: bool
    seconds: float


def main(argv: list[str]) -> None:
    """Prints a table of the configurations."""
    configs = list(expand(FLAGS.config))
    rng = random.Random(FLAGS.seed)
    shares = [FLAGS.kills // len(configs) + (i < FLAGS.kills % len(configs)) for i in range(len(configs))]
    print(f"{'config':40s} kills  while writing  starts  ends  same  seconds", flush=True)
    tallies = []
    for config, kills in zip(configs, shares, strict=True):
        tally = crash(config, Path(FLAGS.workdir).absolute() / Path(config).stem, kills, rng, argv[1:])
        tallies.append(tally)
        same = "yes" if tally.same else "NO"
        columns = (
            f"{tally.kills:5d}  {tally.while_writing:13d}  {tally.starts:6d}  {tally.ends:4d}  {same:4s}  {tally.seconds:7.0f}"
        )
        print(f"{tally.config:40s} {columns}", flush=True)
    killed, wrong = sum(t.kills for t in tallies), [t.config for t in tallies if not t.same]
    print(f"{killed} kills, {sum(t.while_writing for t in tallies)} of them while a checkpoint was being written")
    if wrong:
        raise UserError(f"another result after kills: {', '.join(wrong)}.")


def expand(patterns: Sequence[str]) -> Iterator[str]:
    """The configs of `path[:variant]` patterns.

    Raises:
        UserError: a pattern that no file matches.
    """
    for pattern in patterns:
        path, colon, variant = pattern.partition(":")
        files = sorted(glob.glob(path))
        if not files:
            raise UserError(f"no config file {path!r}.")
        yield from (f"{file}{colon}{variant}" for file in files)


def crash(config: str, folder: Path, kills: int, rng: random.Random, extra: Sequence[str]) -> Tally:
    """Kills runs of one config until `kills` of them have been killed, lets the last one end, and compares all that ended.

    Raises:
        UserError: a run that nobody disturbed fails.
    """
    begin = time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    undisturbed(config, folder / "warm-up", extra)  # compiles, so that the next one takes as long as those to come
    reached = undisturbed(config, folder / "undisturbed", extra)
    workdir = folder / "killed"
    killed = writing = starts = ends = 0
    same = True
    while killed < kills or not ends or workdir.exists():
        at = rng.uniform(reached.started, reached.ended) if rng.random() < 0.5 else None
        process, starts = start(config, workdir, extra), starts + 1
        if killed < kills and kill(process, workdir, at, rng.uniform(0, 0.03)):
            killed += 1
            writing += any(workdir.glob(WRITING))
            continue
        same = finish(process, workdir) == essence(reached.result) and same
        ends += 1
        shutil.rmtree(workdir, ignore_errors=True)
    return Tally(config, killed, writing, starts, ends, same, time.monotonic() - begin)


def undisturbed(config: str, workdir: Path, extra: Sequence[str]) -> Reached:
    """Runs a config to its end and takes the times.

    Raises:
        UserError: it fails.
    """
    begin = time.monotonic()
    process = start(config, workdir, extra)
    while process.poll() is None and not (workdir / "metrics.jsonl").exists():
        time.sleep(POLL)
    started = time.monotonic() - begin
    result = finish(process, workdir)
    if not result:
        raise UserError(f"{config} fails without being killed.")
    return Reached(result, started, time.monotonic() - begin)


def start(config: str, workdir: Path, extra: Sequence[str]) -> subprocess.Popen:
    """Starts the training."""
    command = [sys.executable, "-m", "experiments.train", f"--config={config}", f"--workdir={workdir}", *extra]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def kill(process: subprocess.Popen, workdir: Path, at: float | None, delay: float) -> bool:
    """Sends SIGKILL `at` so many seconds after now, or, if None, `delay` seconds after a checkpoint has begun to be written.

    Returns:
        Whether the process was still running.
    """
    begin = time.monotonic()
    left = set(workdir.glob(WRITING))  # by the kill before
    while process.poll() is None and not (set(workdir.glob(WRITING)) - left if at is None else time.monotonic() - begin > at):
        time.sleep(POLL)
    if at is None:
        time.sleep(delay)
    process.kill()
    return process.wait() == -signal.SIGKILL


def finish(process: subprocess.Popen, workdir: Path) -> dict:
    """Waits for a run; what two runs must have in common, or nothing where it fails."""
    _, errors = process.communicate()
    if process.returncode:
        print(errors, file=sys.stderr)
        return {}
    return essence(json.loads((workdir / "result.json").read_text()))


def essence(result: dict) -> dict:
    """What a kill must not change."""
    return {key: result.get(key) for key in ("params_sha256", "metrics", "steps")}


if __name__ == "__main__":
    flags.DEFINE_multi_string("config", None, "configs/NAME.py[:variant], or a glob; may be repeated.", required=True)
    flags.DEFINE_string("workdir", None, "Folder of all the runs; what is in it is overwritten.", required=True)
    flags.DEFINE_integer("kills", 30, "How many kills, shared by the configs.", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "Of the random moments.")
    run(main)
