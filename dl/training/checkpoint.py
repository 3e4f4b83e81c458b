"""Checkpoints: asynchronous, the latest two and the best kept, checked when they are read. The only file that knows Orbax."""

import errno
import math
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN

from dl.errors import UserError
from dl.files import read_json
from dl.task import Tree
from dl.training import manifest

FOLDER = "checkpoints"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
VALUE = "value"  # the name under which Orbax keeps what the best is chosen by


def _value(metrics: dict[str, float]) -> float:
    return metrics[VALUE]


def steps(workdir: Path) -> list[int]:
    """The steps that have a checkpoint folder, in increasing order.

    Raises:
        UserError: the folder of checkpoints can't be read.
    """
    folder = workdir / FOLDER
    try:
        return sorted(int(p.name) for p in folder.iterdir() if re.fullmatch("[0-9]+", p.name)) if folder.exists() else []
    except OSError as error:
        raise UserError(f"cannot read the checkpoints in {folder}: {error.strerror}.") from error


def _warn(text: str) -> None:
    if jax.process_index() == 0:
        print(f"warning: {text}", file=sys.stderr, flush=True)


class Writer:
    """Saves states while the training goes on.

    Args:
        workdir: folder of the run. Checkpoints in it whose value can't be read are set aside.
        best: whether the checkpoint with the best value (given to `save`) is kept too.
        better: "lower" or "higher": which value is the best.
    """

    def __init__(self, workdir: Path, best: bool, better: str):
        keep: list[Any] = [LatestN(2)]
        if best:
            # BestN keeps the checkpoint that comes last in increasing order of the metric.
            keep.append(BestN(get_metric_fn=_value, reverse=better == "lower", n=1, keep_checkpoints_without_metrics=False))
        self.workdir = workdir.absolute()  # Orbax takes no other
        _set_aside_unreadable(self.workdir)
        options = ocp.CheckpointManagerOptions(
            preservation_policy=AnyPreservationPolicy(keep),
            best_fn=_value,
            best_mode="min" if better == "lower" else "max",
            cleanup_tmp_directories=True,
            async_options=ocp.options.AsyncOptions(post_finalization_callback=self._seal),
            enable_background_delete=False,
        )
        with _disk_errors(self.workdir):
            self.manager = ocp.CheckpointManager(self.workdir / FOLDER, options=options)

    def _seal(self) -> None:
        """Called by Orbax when the arrays are written and before the folder is renamed into place."""
        if jax.process_index() == 0:
            for folder in (self.workdir / FOLDER).glob("*.orbax-checkpoint-tmp*"):
                manifest.write(folder)

    def save(self, step: int, state: Tree, value: float | None) -> None:
        """Begins to save the state; waits only for the save before. A step that is saved already is left as it is.

        Args:
            step: the number of steps taken.
            state: device arrays.
            value: what the best checkpoint is chosen by; None where it was not measured at this step.

        Raises:
            UserError: this save or the one before could not be written; what was saved before is intact.
        """
        if step in self.manager.all_steps():
            return
        # The state's buffers are donated to the next dispatch while the checkpoint is being written: save a copy.
        copy = jax.tree.map(jnp.copy, state)
        metrics = None if value is None else {VALUE: value}
        with _disk_errors(self.workdir):
            self.manager.wait_until_finished()
            self.manager.save(step, args=ocp.args.Composite(state=ocp.args.StandardSave(copy)), metrics=metrics, force=True)

    def close(self) -> None:
        """Waits until all is written.

        Raises:
            UserError: a save could not be written.
        """
        with _disk_errors(self.workdir):
            self.manager.wait_until_finished()
            self.manager.close()


class _disk_errors:
    """Turns what a full or read-only disk raises, in whatever wrapping, into one line."""

    def __init__(self, workdir: Path):
        self.workdir = workdir

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Exception) and not isinstance(error, UserError):
            kept = _steps_if_readable(self.workdir)
            saved = f"the checkpoint of step {kept[-1]} is intact" if kept else "no checkpoint was saved yet"
            code = _code(error)
            reason = os.strerror(code) if code else (str(error).strip().splitlines() or [type(error).__name__])[-1][:300]
            advice = "Free some space or give" if code in FULL else "Give"
            raise UserError(
                f"could not write a checkpoint in {self.workdir}: {reason}; {saved}. {advice} another --workdir, then start "
                f"the same command again."
            ) from error


def _code(error: Exception) -> int | None:
    """The system's error number, if there is one: TensorStore buries it in a long text."""
    code = re.search(r"os_error_code='(\d+)'", str(error))
    return int(code[1]) if code else error.errno if isinstance(error, OSError) else None


def _steps_if_readable(workdir: Path) -> list[int]:
    try:
        return steps(workdir)
    except UserError:
        return []


def restore(workdir: Path, step: int, target: Tree) -> Tree:
    """The state of one step, on the devices and in the sharding that `target` (a tree of `ShapeDtypeStruct`s) says.

    Raises:
        UserError: the checkpoint holds another state than the configuration asks for.
    """
    checkpointer = ocp.Checkpointer(ocp.CompositeCheckpointHandler("state"))
    folder = workdir.absolute() / FOLDER / str(step)  # Orbax takes no other
    with checkpointer:
        try:
            return checkpointer.restore(folder, args=ocp.args.Composite(state=ocp.args.StandardRestore(target)))["state"]
        except (ValueError, KeyError, TypeError) as error:
            line = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
            raise UserError(f"the checkpoint {folder} does not fit this configuration: {line}") from error


def restore_latest(workdir: Path, target: Tree, set_aside: bool = True) -> tuple[int, Tree] | None:
    """The newest checkpoint that is whole, as (step, state), or None where there is none.

    A damaged one is named on stderr and, when `set_aside`, moved to `damaged/`, so that its step can be saved again.

    Raises:
        UserError: there are checkpoints, and all of them are damaged.
    """
    damaged: list[int] = []
    for step in reversed(steps(workdir)):
        folder = workdir / FOLDER / str(step)
        wrong = manifest.damage(folder)
        if wrong is None:
            state = restore(workdir, step, target)
            if set_aside:
                _set_aside(workdir, damaged)
            return step, state
        _warn(f"the checkpoint {folder} is damaged ({wrong}); trying the one before it.")
        damaged.append(step)
    if damaged:
        raise UserError(f"every checkpoint in {workdir / FOLDER} is damaged: remove the workdir to start over.")
    return None


def _set_aside(workdir: Path, damaged: list[int]) -> None:
    """Moves checkpoints to `damaged/`. All processes call it, with those that they found, be it none; the first one moves."""
    _wait_for_all("looked for damaged checkpoints")
    for step in damaged if jax.process_index() == 0 else ():
        target = workdir / "damaged" / str(step)
        try:
            shutil.rmtree(target, ignore_errors=True)
            target.parent.mkdir(exist_ok=True)
            (workdir / FOLDER / str(step)).rename(target)
        except OSError as error:
            raise UserError(f"cannot move the damaged {workdir / FOLDER / str(step)} away: {error.strerror}.") from error
    _wait_for_all("set damaged checkpoints aside")


def _wait_for_all(what: str) -> None:
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(what)


def _set_aside_unreadable(workdir: Path) -> None:
    """Sets checkpoints aside whose value can't be read: Orbax would read them all, and end."""
    damaged = []
    for step in steps(workdir):
        try:
            _stored_value(workdir, step)
        except UserError as error:
            _warn(f"the checkpoint {workdir / FOLDER / str(step)} is damaged and was moved to damaged/: {error}")
            damaged.append(step)
    _set_aside(workdir, damaged)


def restore_step(workdir: Path, step: int, target: Tree) -> Tree:
    """The checkpoint of one step, checked first.

    Raises:
        UserError: it is damaged, or does not fit.
    """
    wrong = manifest.damage(workdir / FOLDER / str(step))
    if wrong:
        raise UserError(f"the checkpoint {workdir / FOLDER / str(step)} is damaged ({wrong}): use another one.")
    return restore(workdir, step, target)


def restore_best(workdir: Path, better: str, target: Tree) -> tuple[int, Tree] | None:
    """The checkpoint with the best value that is whole, as (step, state), or None where there is none.

    Damaged ones are named on stderr and moved to `damaged/`. Called by all processes.

    Raises:
        UserError: it does not fit.
    """
    found = {step: manifest.damage(workdir / FOLDER / str(step)) for step in steps(workdir)}
    damaged = {step: wrong for step, wrong in found.items() if wrong}
    for step, wrong in damaged.items():
        folder = workdir / FOLDER / str(step)
        _warn(f"the checkpoint {folder} is damaged ({wrong}) and was moved to damaged/; the best of the others counts.")
    _set_aside(workdir, list(damaged))
    best = best_step(workdir, better)
    return None if best is None else (best, restore(workdir, best, target))


def best_step(workdir: Path, better: str) -> int | None:
    """The step of the checkpoint with the best value, or None where none was saved with one.

    A checkpoint whose value can't be read is named on stderr and does not count.
    """
    return next(iter(_ranked(workdir, better)), None)


def _ranked(workdir: Path, better: str) -> list[int]:
    """The steps that were saved with a value, the best first, of equal values the earlier."""
    values = {}
    for step in steps(workdir):
        try:
            value = _stored_value(workdir, step)
        except UserError as error:
            _warn(f"the checkpoint {workdir / FOLDER / str(step)} is damaged: {error}")
            continue
        if value is not None:
            values[step] = -value if better == "higher" else value
    return sorted(values, key=lambda step: (values[step], step))


def _stored_value(workdir: Path, step: int) -> float | None:
    """What the best checkpoint is chosen by; None where the checkpoint was saved without it.

    Raises:
        UserError: the file is damaged.
    """
    path = workdir / FOLDER / str(step) / "metrics" / "metrics"
    if not path.exists():
        return None
    value = read_json(path, dict).get(VALUE)
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise UserError(f"{path} is damaged: it should hold a finite number {VALUE!r}.")
    return float(value)
