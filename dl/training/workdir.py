"""The folder of a run: one configuration, one writer at a time, lines that survive a kill.

config.json      the configuration
history.json     with which configuration and commit the run was made, from which step on (dl.training.history)
metrics.jsonl    {"step": 100, "split": "train", "error": {"mean": ..., "std": ..., "values": [one a replica]}, ...}
data.json        where the data lay, and its fingerprint
vocabularies/    what the numbers of symbols mean, where there are some (dl.training.vocabularies)
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

from dl.config import completed, differences, flatten
from dl.errors import Busy, UserError
from dl.files import advice, check_regular, read_json
from dl.training.events import Events
from dl.training.json_files import to_json, write_json

# What may change between two starts of one run without changing what is learned.
FREE = ("mesh.", "reference.")
PARTIAL = "partial"  # the key of sums in a line that a stop wrote


def open_for_writing(workdir: Path, config: ConfigDict, override: bool) -> IO[str]:
    """Makes the folder and takes its lock, which lasts until the returned file is closed; writes the configuration.

    A configuration that differs from that in the folder, with `override`, is not yet written: `history.begin` does that, once
    it is known that the run can go on with it.

    Raises:
        Busy: another run writes to it.
        UserError: the folder can't be written, or it holds another configuration and `override` is False; the differing keys
            are listed.
    """
    _check_name(workdir)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        lock = (workdir / ".lock").open("w")
    except OSError as error:
        raise UserError(f"cannot write to --workdir={workdir}: {error.strerror}. Give a folder that can be written.") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise Busy(f"another run is writing to --workdir={workdir}: wait for it, or give another folder.") from error
    try:
        changed = _changes_or_damage(workdir, config, override)
        if changed and not override:
            raise UserError(
                f"--workdir={workdir} holds a run of another configuration ({'; '.join(changed)}): give another --workdir, or "
                "--override_config to go on with the new one."
            )
        if not changed:
            write_json(workdir / "config.json", config.to_dict())
    except UserError:
        lock.close()
        raise
    return lock


def changes(workdir: Path, config: ConfigDict) -> list[str]:
    """How a configuration differs from that in the folder, a line a key; none where the folder holds none.

    Raises:
        UserError: the one in the folder is damaged.
    """
    if not _exists(workdir / "config.json"):
        return []
    lines = differences(flatten(read_config(workdir)), flatten(config))
    return [line for line in lines if not line.startswith(FREE)]


def _changes_or_damage(workdir: Path, config: ConfigDict, override: bool) -> list[str]:
    try:
        return changes(workdir, config)
    except UserError as error:
        if override:
            return [str(error)]
        raise UserError(f"{error} With --override_config the one given takes its place.") from error


def _check_name(workdir: Path) -> None:
    """Raises UserError where the name of the folder is none that checkpoints can be written to or read from."""
    try:
        str(workdir).encode("utf-8")
    except UnicodeEncodeError as error:
        raise UserError(
            f"--workdir={workdir}: the name is not UTF-8, which checkpoints need. Give the folder another one."
        ) from error


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}.") from error


def read_config(workdir: Path) -> ConfigDict:
    """The configuration of the run in a folder.

    Raises:
        UserError: there is no run in it, or its `config.json` is damaged.
    """
    _check_name(workdir)
    path = workdir / "config.json"
    if not _exists(path):
        raise UserError(f"--workdir={workdir} holds no run (no config.json): train one with experiments.train.")
    content = read_json(path, dict)
    try:
        return completed(_with_tuples(content))
    except (UserError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} is damaged: it holds no configuration ({error}).") from error


def read_data(workdir: Path) -> dict[str, str]:
    """`data.json`: the folders `data_dir` and `manual_dir` and the `fingerprint` of the data, as far as they are known.

    Raises:
        UserError: it is damaged.
    """
    path = workdir / "data.json"
    content = read_json(path, dict) if _exists(path) else {}
    wrong = [key for key, value in content.items() if not isinstance(value, str | None)]
    if wrong:
        raise UserError(f"{path} is damaged: {wrong[0]} should be a string.")
    return {key: value for key, value in content.items() if value}


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
            temporary.write_text("".join(to_json(line, self.path) + "\n" for line in everything))
            os.replace(temporary, self.path)
            self.file = self.path.open("a")
            self.events = Events(workdir / "tensorboard", step)

    def write(self, step: int, split: str, metrics: dict[str, np.ndarray], **numbers: float) -> dict[str, Any]:
        """Appends a line: `metrics` [replicas] as mean, deviation and values, `numbers` as they are. Returns the line.

        Raises:
            UserError: a number is NaN or infinite, the disk is full, or the file is no longer there.
        """
        line: dict[str, Any] = {"step": step, "split": split, **numbers}
        line |= {name: statistics(values) for name, values in metrics.items()}
        if any((old["step"], old["split"]) == (step, split) for old in self.lines):
            return line
        text = to_json(line, self.path)
        self.lines.append(line)
        if not self.writing:
            return line
        self._check_place()
        with _writing(self.path):
            self.file.write(text + "\n")
            self.file.flush()
            for name, values in metrics.items():
                self.events.write(f"{split}/{name}", float(np.mean(values)), step)
        return line

    def _check_place(self) -> None:
        # An open file can be written to when its name is gone, and then nothing is left of it.
        try:
            there = os.path.samestat(self.path.stat(), os.fstat(self.file.fileno()))
        except OSError:
            there = False
        if not there:
            raise UserError(f"{self.path} was removed or replaced while the run wrote to it: start the same command again.")

    def write_partial(self, step: int, sums: dict[str, Any], seconds: float) -> None:
        """Appends what is summed up at a step between two lines, where a run is stopped; no line of its metrics."""
        if self.writing:
            self._check_place()
            pairs = {name: [np.atleast_1d(x).tolist() for x in pair] for name, pair in sums.items()}
            text = to_json({"step": step, "split": "train", "seconds": seconds, PARTIAL: pairs}, self.path)
            with _writing(self.path):
                self.file.write(text + "\n")
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
                f"cannot write {self.path}: {error.strerror}. What was saved is intact. {advice(error)}, then start the same "
                "command again."
            ) from error


def read_metrics(workdir: Path, everything: bool = False) -> list[dict[str, Any]]:
    """The lines of `metrics.jsonl`, without those that were damaged, such as a last one that a kill cut short.

    Empty where there is no file. Where `everything`, also what was summed up at steps between two lines, where the run was
    stopped.

    Raises:
        UserError: it can't be read.
    """
    path = workdir / "metrics.jsonl"
    check_regular(path)
    try:
        content = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}. Remove it to go on without the lines so far.") from error
    lines: list[dict[str, Any]] = []
    for number, text in enumerate(content.splitlines(), 1):
        line = _line(text)
        if line is not None:
            lines.append(line)
        else:
            print(f"warning: dropped line {number} of {path}, which was cut short or damaged.", file=sys.stderr)
    return lines if everything else [line for line in lines if PARTIAL not in line]


def _line(text: bytes) -> dict[str, Any] | None:
    try:
        line = json.loads(text.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict) or type(line.get("step")) is not int or not isinstance(line.get("split"), str):
        return None
    return line if all(_is_value(value) for key, value in line.items() if key != PARTIAL) else None


def _is_value(value: Any) -> bool:
    """Whether a value is one that a line has: a number, the split, or the statistics of a metric."""
    if not isinstance(value, dict):
        return isinstance(value, int | float | str)
    values = value.get("values")
    numbers = [value.get("mean"), value.get("std"), *(values if isinstance(values, list) and values else [None])]
    return all(isinstance(number, int | float) for number in numbers)


def _refuse(constant: str) -> float:
    raise ValueError(constant)
