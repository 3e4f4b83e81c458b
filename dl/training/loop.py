"""The loop: it takes any task through its phases, and knows of it only what `Task` says."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import optax

from dl import mesh as meshes
from dl.data.pipeline import Stream, read_block
from dl.state import TrainState
from dl.task import Batch, Tree
from dl.training.assembly import Experiment
from dl.training.evaluate import Evaluated, evaluator
from dl.training.meter import Meter
from dl.training.plan import Block, blocks, due, history, stop_early
from dl.training.preemption import watch
from dl.training.progress import Progress
from dl.training.step import dispatch
from dl.training.workdir import MetricsFile

READ_AHEAD = 2  # dispatches whose batches are made while the device works


class Trained(NamedTuple):
    """What a run ends with. `finished` is False where SIGTERM stopped it; `evaluated` are the splits at the last step."""

    finished: bool
    step: int
    state: TrainState
    evaluated: dict[str, Evaluated]
    seconds: float


def train(experiment: Experiment, workdir: Path, progress: Progress) -> Trained:
    """Trains from the newest checkpoint in `workdir`, or from the start, to the last step of the last phase.

    Raises:
        UserError: a metric is NaN or infinite, or the disk can't be written; what was saved stays.
    """
    from dl.training import checkpoint  # costs half a second, so it is not loaded by those who only ask for --help

    config, task, mesh = experiment.config, experiment.task, experiment.mesh
    total = sum(phase.steps for phase in task.phases)

    # Where are we? Batches and keys are functions of the step, so the state alone is enough to go on.
    restored = checkpoint.restore_latest(workdir, experiment.target())
    step, state = restored or (0, experiment.initial_state())
    if restored:
        progress.note(f"resumed at step {step}")
    log = MetricsFile(workdir, step, writing=jax.process_index() == 0)

    # What is compiled: a dispatch for each phase, an evaluation for each split, the norms of the parameters.
    streams = experiment.streams()
    dispatches = []
    for phase in task.phases:
        one = dispatch(task, phase, streams[phase.stream].prepare, config.microbatches, config.ema)
        lifted = meshes.per_replica(one, mesh, config.replicate, (True, False, True))
        shardings = (jax.tree.map(lambda s: s.sharding, experiment.target()), meshes.replicated(mesh))
        dispatches.append(jax.jit(lifted, donate_argnums=0, out_shardings=shardings))
    evaluators = {
        split: evaluator(task, experiment.evaluation(split), mesh, config.replicate) for split in experiment.evaluation_splits()
    }
    watched = [split for split in evaluators if split == "validation"] or list(evaluators)
    norms = jax.jit(meshes.per_replica(parameter_norms, mesh, config.replicate, (True,)), out_shardings=meshes.replicated(mesh))

    meter = Meter(config.batch_size * config.replicas, max([line.get("seconds", 0.0) for line in log.lines], default=0.0))
    writer = checkpoint.Writer(workdir, bool(config.best.metric), config.best.mode)
    saved = step if restored else None
    evaluated: dict[str, Evaluated] = {}

    def record(split: str, metrics: dict[str, np.ndarray], **numbers: float) -> None:
        progress.line(log.write(step, split, metrics, **numbers))

    def stopped_early() -> bool:
        rule = config.early_stopping
        last_phase = total - task.phases[-1].steps  # what earlier phases do, such as pretraining, need not move the metric
        return bool(rule.metric) and stop_early(history(log.lines, rule.metric, last_phase), rule.mode, rule.patience)

    with closing(writer), closing(log), watch() as requested, progress:  # also where it fails, what is being saved is finished
        done = step == total or stopped_early()
        for block, batch in read_ahead(experiment, streams, step if not done else total):
            state, metrics = dispatches[block.phase](state, streams[task.phases[block.phase].stream].constants, batch)
            step = block.end
            meter.add(block, metrics)
            progress.advance(step)
            evaluated = {}
            stop = requested(step)
            saving = due(step, config.checkpoint_every, total) or stop

            if due(step, config.log_every, total) or saving:
                means, speed = meter.flush(
                    f"the checkpoint of step {saved} is kept" if saved else "no checkpoint was saved yet"
                )
                record("train", {**means, **jax.device_get(norms(state.params))}, **speed)
            if due(step, config.eval_every, total):
                evaluated = {split: evaluators[split](state) for split in (watched if step < total else evaluators)}
                for split, result in evaluated.items():
                    record(split, result.metrics)
                meter.skip()
                done = stopped_early()
            if saving or done:
                writer.save(step, state, best_value(evaluated, config.best.metric))
                saved = step
            if stop or done:
                break
        finished = step == total or done
        if finished and set(evaluated) != set(evaluators):
            evaluated = {split: evaluate(state) for split, evaluate in evaluators.items()}
            for split, result in evaluated.items():
                record(split, result.metrics)
    return Trained(finished, step, state, evaluated, meter.seconds)


def read_ahead(experiment: Experiment, streams: dict[str, Stream], start: int) -> Iterator[tuple[Block, Batch]]:
    """Each dispatch with its batches on the devices, made in a thread while the dispatches before it run."""
    task, config, mesh = experiment.task, experiment.config, experiment.mesh
    waiting: deque[tuple[Block, Future[Batch]]] = deque()
    with ThreadPoolExecutor(1, "read-ahead") as reader:
        try:
            for block in blocks(task.phases, config, start):
                stream = streams[task.phases[block.phase].stream]
                waiting.append((block, reader.submit(read_block, stream, mesh, block.start, block.end - block.start)))
                if len(waiting) > READ_AHEAD:
                    ready, future = waiting.popleft()
                    yield ready, future.result()
            for ready, future in waiting:
                yield ready, future.result()
        finally:
            reader.shutdown(wait=True, cancel_futures=True)


def parameter_norms(params: Tree) -> dict[str, jax.Array]:
    """`parameter_norm/<group>`: the Euclidean norm of each parameter group."""
    return {f"parameter_norm/{group}": optax.tree.norm(values) for group, values in params.items()}


def best_value(evaluated: dict[str, Evaluated], metric: str) -> float | None:
    """The mean over the replicas of `"split/name"`, if it was just measured."""
    split, _, name = metric.partition("/")
    measured = evaluated[split].metrics.get(name) if split in evaluated else None
    return None if measured is None else float(measured.mean())
