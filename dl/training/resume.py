"""Starting in a workdir, at the first step or where a run stopped: what must fit before a step, what is noted of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax

from dl.errors import UserError
from dl.files import read_json
from dl.training import history, vocabularies
from dl.training.assembly import Experiment
from dl.training.workdir import changes, read_data, write_json

NOTED = ("config.json", "data.json", history.NAME)


class Start(NamedTuple):
    """step: from which the run goes on. before: the content of `NOTED` where another configuration was there, else empty."""

    step: int
    before: Mapping[str, Any]


def start(experiment: Experiment, workdir: Path, folders: Mapping[str, str | None], override: bool, command: str) -> Start:
    """Notes that the run goes on with this configuration and these data, if it can. The first process writes.

    Args:
        experiment: to go on with.
        workdir: folder of the run, with a lock taken (`workdir.open_for_writing`).
        folders: `data_dir` and `manual_dir` as they were given, so that evaluation finds the data again.
        override: whether other data, and another configuration, are welcome.
        command: command line of this program.

    Raises:
        UserError: the run began with other data, there is no step left to take with a configuration that is new, the newest
            checkpoint is beyond the last step, or it does not fit; the files that say what the run is are then as they were.
    """
    from dl.training import checkpoint

    saved = checkpoint.steps(workdir)
    step = saved[-1] if saved else 0
    first = jax.process_index() == 0
    found = fingerprint(experiment) if first else ""
    if saved and not override and first:
        _check_data(experiment, workdir, found)
    if override and saved:  # only restoring tells whether the checkpoint fits; the loop does it again
        restored = checkpoint.restore_latest(workdir, experiment.target())
        step = restored[0] if restored else 0
    if not first:
        return Start(step, {})
    changed = _changed(experiment, workdir) if saved else []
    total = sum(phase.steps for phase in experiment.task.phases)
    if step > total:
        raise UserError(
            f"the run in --workdir={workdir} has taken {step} steps already, and the configuration asks for {total}: give more "
            "steps, or another --workdir."
        )
    if step == total and changed:
        raise UserError(_nothing_left(workdir, step, changed))
    before = {name: read_json(workdir / name, object) for name in NOTED if (workdir / name).exists()} if changed else {}
    history.begin(workdir, experiment.config, step, command)
    absolute = {name: path and str(Path(path).absolute()) for name, path in folders.items()}
    write_json(workdir / "data.json", {**absolute, "fingerprint": found})
    vocabularies.keep(workdir, experiment.dataset.info.features)
    return Start(step, before)


def check_steps_taken(experiment: Experiment, workdir: Path, begun: Start, step: int) -> None:
    """Checks that a step was taken with a configuration that is new, and otherwise puts the one before it back.

    Early stopping, of which `start` knows nothing, may have ended the run before.

    Raises:
        UserError: none was taken.
    """
    if not begun.before or step > begun.step:
        return
    for name, content in begun.before.items():
        write_json(workdir / name, content)
    raise UserError(_nothing_left(workdir, step, changes(workdir, experiment.config)))


def fingerprint(experiment: Experiment) -> str:
    """Of the examples of all splits."""
    from dl.data import fingerprint as data

    return data.fingerprint(experiment.dataset.splits, experiment.dataset.info.class_names)


def _check_data(experiment: Experiment, workdir: Path, found: str) -> None:
    begun = read_data(workdir).get("fingerprint", found)
    if begun != found:
        raise UserError(
            f"the examples of {experiment.dataset.info.name} are not those that the run in --workdir={workdir} began with "
            f"(fingerprint {begun[:12]}, now {found[:12]}): put the old files back, give another --workdir, or "
            "--override_config to go on with the new ones."
        )


def _changed(experiment: Experiment, workdir: Path) -> list[str]:
    try:
        return changes(workdir, experiment.config)
    except UserError:  # damaged: the one given takes its place
        return []


def _nothing_left(workdir: Path, step: int, changed: list[str]) -> str:
    return (
        f"the run in --workdir={workdir} ended at step {step} with another configuration, and no step is left to take with "
        f"this one ({'; '.join(changed)}): give more steps, or another --workdir."
    )
