"""The loop: it takes any task through its phases, and knows of it only what `Task` says."""

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dl import mesh as meshes
from dl.errors import UserError
from dl.state import TrainState
from dl.task import Tree
from dl.training.assembly import Experiment, metric_of, watched
from dl.training.evaluate import Evaluated, Evaluations, check_finite
from dl.training.feed import Feed, feeds, read_ahead
from dl.training.meter import Meter
from dl.training.plan import blocks, history, stop_early
from dl.training.preemption import watch
from dl.training.progress import Progress
from dl.training.step import dispatch
from dl.training.trace import tracing
from dl.training.workdir import MetricsFile


class Trained(NamedTuple):
    """What a run ends with.

    `finished` is False where `stopped_by`, "SIGTERM" or "Ctrl-C", stopped it; `evaluated` are the splits at the last step.
    """

    finished: bool
    step: int
    state: TrainState
    evaluated: dict[str, Evaluated]
    seconds: float
    stopped_by: str = ""


def train(
    experiment: Experiment,
    workdir: Path,
    progress: Progress,
    profile: tuple[int, int] | None = None,
    prune: Callable[[Sequence[dict[str, Any]]], bool] | None = None,
) -> Trained:
    """Trains from the newest checkpoint in `workdir`, or from the start, to the last step of the last phase.

    Args:
        experiment: what is trained.
        workdir: folder of the run; it exists.
        progress: what a person sees of it.
        profile: (first step, last step) of which a trace is written to `workdir/profile`.
        prune: lines of `metrics.jsonl` -> whether the run ends here, as by early stopping; asked after every evaluation.

    Raises:
        UserError: a metric or a parameter is NaN or infinite, the disk can't be written, or the workdir is gone; what was
            saved stays.
    """
    from dl.training import checkpoint  # costs half a second, so it is not loaded by those who only ask for --help

    config, task = experiment.config, experiment.task
    total, when = sum(phase.steps for phase in task.phases), experiment.intervals()

    # Where are we? Batches and keys are functions of the step, so the state alone is enough to go on.
    creation = experiment.creation()
    target = creation.target
    restored = checkpoint.restore_latest(workdir, target)
    step, state = restored or (0, creation.make())
    if restored:
        progress.note(f"resumed at step {step}")
    log = MetricsFile(workdir, step, writing=jax.process_index() == 0)

    # What is compiled: a dispatch for each phase, each evaluator, the health of the parameters.
    fed = feeds(task.phases, experiment.streams(), experiment.mesh, config.steps_per_dispatch)
    constants = [feed.constants() for feed in fed]
    dispatches = compile_dispatches(experiment, fed, target)
    evaluations = Evaluations(experiment)
    during, splits = watched(experiment.evaluation_splits()), experiment.evaluation_splits()
    health = jax.jit(
        meshes.per_replica(healthy, experiment.mesh, config.replicate, (True, True)),
        out_shardings=meshes.replicated(experiment.mesh),
    )

    best = experiment.best()
    writer = checkpoint.Writer(workdir, best is not None, best.better if best else "lower")
    spent = max([line.get("seconds", 0.0) for line in log.lines], default=0.0)
    meter = Meter([feed.examples * config.replicas for feed in fed], spent, log.partial)
    saved = step if restored else None
    evaluated: dict[str, Evaluated] = {}
    stopped_by = ""

    def kept() -> str:
        return f"the checkpoint of step {saved} is kept" if saved else "no checkpoint was saved yet"

    def evaluate(everything: bool) -> None:
        """All splits and evaluators at the last step; else those that are due."""
        meter.pause()
        for split in splits if everything else during:
            due = [
                n
                for n in evaluations.names(split)
                if everything or is_due(task.evaluators[n].every, when.evaluate.number(step))
            ]
            if due:
                evaluated[split] = evaluations(state, split, due)
        meter.skip()

    def save(value: float | None) -> None:
        nonlocal saved
        check_healthy(jax.device_get(health(state.params, state.variables)), step, kept())
        writer.save(step, state, value)
        saved = step

    with (
        closing(writer),
        closing(log),
        watch() as stop,
        tracing(workdir, profile) as traced,
        progress,
    ):  # also where it fails, what is being saved is finished
        done = step == total or stopped_early(experiment, log.lines, total)
        begin, buckets = step if not done else total, [feed.bucket for feed in fed]
        ahead = read_ahead(fed, blocks(task.phases, config.steps_per_dispatch, when, begin, buckets))
        for block, batch, count in ahead:
            traced(block.start, block.end)
            with jax.transfer_guard("disallow"):
                state, metrics = dispatches[block.phase](state, constants[block.phase], batch, count)
            step = block.end
            meter.add(block, metrics)
            progress.advance(step)
            evaluated = {}
            stopped_by = stop(step)
            last = step == total
            saving, evaluating = last or when.save.due(step), last or when.evaluate.due(step)
            line_due = saving or evaluating or when.log.due(step)
            value, improved = None, False

            if line_due or stopped_by:
                check_there(workdir)
            if stopped_by and not line_due:  # no line of the run's, but what the next start needs to write the one that is due
                log.write_partial(step, meter.collect(kept()), meter.seconds)
            if line_due:
                means, speed = meter.flush(kept())
                norms = check_healthy(jax.device_get(health(state.params, state.variables)), step, kept())
                progress.line(log.write(step, "train", {**means, **norms}, **speed))
            if evaluating:
                evaluate(everything=last)
                for split, result in evaluated.items():
                    if not all(np.isfinite(values).all() for values in result.metrics.values()):
                        save(None)
                        check_finite(result, split, step)
                    progress.line(log.write(step, split, result.metrics))
            if line_due:
                done = stopped_early(experiment, log.lines, total)
            if evaluating and prune and not last:
                done = prune(log.lines) or done
            if best and (saving or evaluating):
                competing = [line for line in log.lines if when.competes(line["step"], total)]
                value, improved = best_value(competing, config.best.metric, step, best.better == "lower")
            if saving or improved or done or stopped_by:
                save(value)
            if stopped_by or done:
                break
        finished = step == total or done
        if finished and (step < total or set(evaluated) != set(splits)):
            evaluate(everything=True)
            for split, result in evaluated.items():
                check_finite(result, split, step)
                progress.line(log.write(step, split, result.metrics))
    return Trained(finished, step, state, evaluated, meter.seconds, "" if finished else stopped_by)


def compile_dispatches(experiment: Experiment, fed: Sequence[Feed], target: Tree) -> list[Callable[..., Any]]:
    """For each phase `(state, constants, batches, count) -> (state, metrics)`, all replicas; the state's buffers are reused."""
    config, mesh = experiment.config, experiment.mesh
    shardings = (jax.tree.map(lambda s: s.sharding, target), meshes.replicated(mesh))
    made: list[Callable[..., Any]] = []
    for phase, feed in zip(experiment.task.phases, fed, strict=True):
        one = dispatch(experiment.task, phase, feed.prepare, config.microbatches, config.ema)
        lifted = meshes.per_replica(one, mesh, config.replicate, (True, False, True, False))
        made.append(jax.jit(lifted, donate_argnums=0, out_shardings=shardings))
    return made


def is_due(every: int, number: int) -> bool:
    """Whether an evaluator takes part in the evaluation of this number, counted from 1."""
    return every > 0 and number % every == 0


def stopped_early(experiment: Experiment, lines: Sequence[dict[str, Any]], total: int) -> bool:
    """Whether `config.early_stopping` ends the run, of `total` steps, after these lines."""
    rule = experiment.config.early_stopping
    if not rule.metric:
        return False
    lower = metric_of(experiment, rule.metric, "config.early_stopping.metric").better == "lower"
    last_phase = total - experiment.task.phases[-1].steps  # what earlier phases do, as pretraining, need not move the metric
    return stop_early(history(lines, rule.metric, last_phase), lower, rule.patience)


def best_value(lines: Sequence[dict[str, Any]], metric: str, step: int, lower: bool) -> tuple[float | None, bool]:
    """The mean over the replicas of `"split/name"` at a step, if it was measured, and whether none before is as good."""
    now = history([line for line in lines if line["step"] == step], metric)
    before = history([line for line in lines if line["step"] < step], metric)
    if not now:
        return None, False
    return now[-1], all(now[-1] < value if lower else now[-1] > value for value in before)


def healthy(params: Tree, variables: Tree) -> dict[str, jax.Array]:
    """`parameter_norm/<group>`: the Euclidean norm of each parameter group. `variables`: 0 where all of them are finite."""
    norms = {f"parameter_norm/{group}": optax.tree.norm(values) for group, values in params.items()}
    floats = [x for x in jax.tree.leaves(variables) if jnp.issubdtype(x.dtype, jnp.floating)]
    return {**norms, "variables": sum((jnp.sum(~jnp.isfinite(x)) for x in floats), jnp.int32(0)).astype(jnp.float32)}


def check_healthy(found: dict[str, np.ndarray], step: int, kept: str) -> dict[str, np.ndarray]:
    """The norms, all finite.

    Raises:
        UserError: parameters or variables are NaN or infinite, or so large that their norm is.
    """
    norms = {name: values for name, values in found.items() if name != "variables"}
    bad = {name: ~np.isfinite(values) for name, values in norms.items()} | {"variables": found["variables"] > 0}
    for name, where in bad.items():
        if where.any():
            what = "a running statistic or another variable" if name == "variables" else f"the metric {name!r}"
            raise UserError(
                f"stopped at step {step}: {what} of replica {int(np.argmax(where))} is NaN or infinite ({kept}). Lower the "
                "learning rate, clip the gradient (config.optimizer.clip_norm) or look for NaN in the data."
            )
    return norms


def check_there(workdir: Path) -> None:
    """Raises UserError where the folder of the run was removed while it ran."""
    if not workdir.is_dir():
        raise UserError(f"--workdir={workdir} was removed while the run wrote to it: nothing of it is left; start it again.")
