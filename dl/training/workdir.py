"""The folder of a run: one configuration, one writer at a time, lines that survive a kill.

config.json      the configuration
metrics.jsonl    {"step": 100, "split": "train", "error": {"mean": ..., "std": ..., "values": [one a replica]}, ...}
result.json      what the finished run reached
checkpoints/  tensorboard/  artifacts/  report/
"""

import fcntl
import json
import os
import sys
from contextlib import closing
from pathlib import Path
from typing import IO, Any

import numpy as np
from ml_collections import ConfigDict

from dl.config import differences, flatten
from dl.errors import Busy, UserError
from dl.training.events import Events

# What may change between two starts of one run without changing what is learned.
FREE = ("mesh.",)
PARTIAL = "partial"  # the key of sums in a line that a stop wrote


def open_for_writing(workdir: Path, config: ConfigDict, override: bool) -> IO[str]:
    """Makes the folder, takes its lock and writes the configuration; the lock lasts until the returned file is closed.

    Raises:
        Busy: another run writes to it.
        UserError: the folder can't be written, or it holds another configuration and `override` is False; the differing keys
            are listed.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        lock = (workdir / ".lock").open("w")
    except OSError as error:
        raise UserError(f"cannot write to --workdir={workdir}: {error.strerror}. Give a folder that can be written.") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise Busy(f"another run is writing to --workdir={workdir}: wait for it, or give another folder.") from error
    path = workdir / "config.json"
    if path.exists() and not override:
        changed = [
            line
            for line in differences(flatten(ConfigDict(json.loads(path.read_text()))), flatten(config))
            if not line.startswith(FREE)
        ]
        if changed:
            raise UserError(
                f"--workdir={workdir} holds a run of another configuration ({'; '.join(changed)}): give another --workdir, or "
                "--override_config to go on with the new one."
            )
    write_json(path, config.to_dict())
    return lock


def write_json(path: Path, content: Any) -> None:
    """Writes a JSON file in one atomic step.

    Raises:
        UserError: the disk is full or read-only.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_text(json.dumps(content, indent=2) + "\n")
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}. Free some space, then start the same command again."
        ) from error


def read_config(workdir: Path) -> ConfigDict:
    """The configuration of the run in a folder.

    Raises:
        UserError: there is no run in it.
    """
    try:
        return ConfigDict(_with_tuples(json.loads((workdir / "config.json").read_text())))
    except FileNotFoundError as error:
        raise UserError(f"--workdir={workdir} holds no run (no config.json): train one with experiments.train.") from error


def _with_tuples(value: Any) -> Any:
    # JSON knows no tuples, and a configuration no lists.
    if isinstance(value, dict):
        return {key: _with_tuples(entry) for key, entry in value.items()}
    return tuple(_with_tuples(entry) for entry in value) if isinstance(value, list) else value


def statistics(values: np.ndarray) -> dict[str, Any]:
    """Of one number a replica: mean, sample standard deviation (0 for one replica) and the values."""
    values = np.asarray(values, np.float64)
    std = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return {"mean": float(values.mean()), "std": std, "values": values.tolist()}


class MetricsFile:
    """`metrics.jsonl` and the TensorBoard events beside it.

    Lines of steps after `step`, where the run is taken up again, are dropped, as is a line that a kill cut short. A line that
    is there already (same step and split) is not written twice. Where `writing` is False (all processes but the first) the
    lines are only remembered.
    """

    def __init__(self, workdir: Path, step: int, writing: bool):
        self.path = workdir / "metrics.jsonl"
        everything = [line for line in read_metrics(workdir, everything=True) if line["step"] <= step]
        self.lines = [line for line in everything if PARTIAL not in line]
        # What an earlier start had summed up when it stopped here, between two lines.
        self.partial: dict[str, Any] = next(
            (line[PARTIAL] for line in everything if line["step"] == step and PARTIAL in line), {}
        )
        self.writing = writing
        if not writing:
            return
        temporary = self.path.with_suffix(".tmp")
        with _writing(self.path):
            temporary.write_text("".join(json.dumps(line) + "\n" for line in everything))
            os.replace(temporary, self.path)
            self.file = self.path.open("a")
            self.events = Events(workdir / "tensorboard", step)

    def write(self, step: int, split: str, metrics: dict[str, np.ndarray], **numbers: float) -> dict[str, Any]:
        """Appends a line: `metrics` [replicas] as mean, deviation and values, `numbers` as they are. Returns the line."""
        line: dict[str, Any] = {"step": step, "split": split, **numbers}
        line |= {name: statistics(values) for name, values in metrics.items()}
        if any((old["step"], old["split"]) == (step, split) for old in self.lines):
            return line
        self.lines.append(line)
        if not self.writing:
            return line
        with _writing(self.path):
            self.file.write(json.dumps(line) + "\n")
            self.file.flush()
            for name, values in metrics.items():
                self.events.write(f"{split}/{name}", float(np.mean(values)), step)
        return line

    def write_partial(self, step: int, sums: dict[str, Any], seconds: float) -> None:
        """Appends what is summed up at a step between two lines, where a run is stopped; no line of its metrics."""
        if self.writing:
            pairs = {name: [np.atleast_1d(x).tolist() for x in pair] for name, pair in sums.items()}
            with _writing(self.path):
                self.file.write(json.dumps({"step": step, "split": "train", "seconds": seconds, PARTIAL: pairs}) + "\n")
                self.file.flush()

    def close(self) -> None:
        """Closes both files.

        Raises:
            UserError: the disk is full.
        """
        if self.writing:
            with _writing(self.path), closing(self.file), closing(self.events):
                pass


class _writing:
    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, OSError):
            raise UserError(
                f"cannot write {self.path}: {error.strerror}. What was saved is intact: free some space, then start the same "
                "command again."
            ) from error


def read_metrics(workdir: Path, everything: bool = False) -> list[dict[str, Any]]:
    """The lines of `metrics.jsonl`, without a last one that was cut short by a kill; empty where there is no file.

    Where `everything`, also what was summed up at steps between two lines, where the run was stopped.
    """
    lines: list[dict[str, Any]] = []
    path = workdir / "metrics.jsonl"
    for text in path.read_text().splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(text))
        except ValueError:
            print(f"warning: dropped a line of {path} that was cut short.", file=sys.stderr)
    return lines if everything else [line for line in lines if PARTIAL not in line]
