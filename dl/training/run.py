"""A run from its configuration to its report: what `experiments.train` and `dl.train` do."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict


def train(
    config: ConfigDict, workdir: Path, data_dir: str | None = None, manual_dir: str | None = None, override: bool = False
) -> dict[str, Any] | None:
    """Trains the experiment of a configuration in a workdir.

    Returns:
        The content of `result.json`, or None where the run was stopped, or in processes other than the first.

    Raises:
        UserError: the configuration, the data or the disk do not allow it, or the training diverged.
    """
    return begin(config, workdir, data_dir, manual_dir, override)[1]


def begin(
    config: ConfigDict,
    workdir: Path,
    data_dir: str | None,
    manual_dir: str | None,
    override: bool = False,
    profile: tuple[int, int] | None = None,
    prune: Callable[[Sequence[dict[str, Any]]], bool] | None = None,
) -> tuple[str, dict[str, Any] | None]:
    """Trains as `train` does; of the steps `profile`, (first, last), a trace is written to `workdir/profile`.

    `prune` looks at the lines of `metrics.jsonl` after each evaluation and says whether the run should end there.

    Returns:
        What stopped the run, a key of `dl.signals.EXIT_CODES`, or "" where it finished; what `train` returns.
    """
    import jax

    from dl import report
    from dl.config import variants
    from dl.data.ragged import notes
    from dl.training import resume, trace
    from dl.training import workdir as folder
    from dl.training.assembly import assemble
    from dl.training.loop import train as loop
    from dl.training.progress import Progress
    from dl.training.result import command

    first = jax.process_index() == 0
    experiment = assemble(config, data_dir, manual_dir)
    with folder.open_for_writing(workdir, config, override) if first else nullcontext():
        folders = {"data_dir": data_dir, "manual_dir": manual_dir}
        begun = resume.start(experiment, workdir, folders, override, command())
        total = sum(phase.steps for phase in experiment.task.phases)
        trace.check(profile, total)
        rates = 1 + max(rate for _, rate in variants(config))
        progress = Progress(total, first, rates)
        for sentence in notes(experiment.dataset.splits):
            progress.note(sentence)
        trained = loop(experiment, workdir, progress, profile, prune)
        if not trained.finished:
            if first:
                print(f"stopped by {trained.stopped_by}, saved at step {trained.step}: start the same command again to go on.")
            return trained.stopped_by, None
        if first:
            resume.check_steps_taken(experiment, workdir, begun, trained.step)
        result = finish(experiment, workdir, trained)
        if first:
            report.write(workdir)
    return "", result if first else None


def finish(experiment: Any, workdir: Path, trained: Any) -> dict[str, Any]:
    """Writes `result.json` and the artifacts of the report for what a run reached."""
    import jax

    from dl import mesh as meshes
    from dl.training import history
    from dl.training.render import render_splits
    from dl.training.result import best, result
    from dl.training.workdir import write_json

    evaluated = trained.state.evaluated()
    params, shown = meshes.to_host((trained.state.params, evaluated), experiment.mesh)
    content = result(experiment.config, experiment.task.phases, trained.step, params, trained.evaluated, trained.seconds)
    content["best"] = best(experiment, workdir, trained.state)
    evaluators = experiment.task.evaluators.values()
    content["described"] = {name: metric._asdict() for e in evaluators for name, metric in e.metrics.items()}
    if jax.process_index() == 0:
        content |= history.made_with(workdir, trained.step)
        render_splits(experiment, workdir, meshes.first_replica(shown, evaluated, experiment.mesh), trained.evaluated)
        show_in_tensorboard(workdir, experiment.config, trained.step, content["metrics"])
        write_json(workdir / "result.json", content)
    return content


def show_in_tensorboard(workdir: Path, config: ConfigDict, step: int, metrics: dict[str, Any]) -> None:
    """Adds images, texts, settings and what was reached with them to the event files of a run."""
    from dl.config import flatten
    from dl.report import artifacts
    from dl.training.events import add_shown

    reached = {f"reached/{split}/{name}": found["mean"] for split, named in metrics.items() for name, found in named.items()}
    add_shown(workdir / "tensorboard", step, artifacts.load(workdir), flatten(config), reached)
