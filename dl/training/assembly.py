"""From a configuration to everything that a program needs: the data, the task and the mesh."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from ml_collections import ConfigDict

from dl import mesh as meshes
from dl import registry
from dl.config import variants
from dl.data import pipeline
from dl.dataset import Dataset, Resources, column_of
from dl.errors import UserError, unknown
from dl.layers import backend
from dl.metric import LOWER, Metric
from dl.state import TrainState, averaged
from dl.task import Batch, Task, Tree
from dl.training import limits
from dl.training.feed import Fed
from dl.training.optimizers import choose_rate
from dl.training.plan import Intervals, intervals, total_steps


class Creation(NamedTuple):
    """How the state of all replicas before the first step is made.

    target: shape, dtype and sharding of every array.
    make: makes it, each array where it will lie; raises UserError where it does not fit into the memory, nor do the batches.
    """

    target: Tree
    make: Callable[[], TrainState]


class Experiment(NamedTuple):
    """An experiment, ready to run."""

    config: ConfigDict
    dataset: Dataset
    task: Task
    mesh: Mesh

    def streams(self) -> dict[str, pipeline.Stream]:
        """The training batches of each stream that a phase names."""
        info, splits = self.dataset
        names = {name for phase in self.task.phases for name in phase.streams}
        return {n: pipeline.train_stream(self.config, info, splits[n], self.mesh) for n in sorted(names)}

    def evaluation(self, split: str) -> pipeline.EvaluationBatches:
        """The batches of a split for evaluation."""
        return pipeline.evaluation_batches(self.config, self.dataset.info, self.dataset.splits[split], self.mesh)

    def evaluation_splits(self) -> list[str]:
        """The splits that no phase trains on."""
        trained = {name for phase in self.task.phases for name in phase.streams}
        return [n for n in self.dataset.splits if n not in trained]

    def prepare(self, batch: Batch) -> Batch:
        """A batch of any split as evaluators see it; part of their programs."""
        return Fed(pipeline.prepare_evaluation(self.config.dataset.to_dict(), self.dataset.info.features, batch))

    def examples(self) -> int:
        """How many examples an epoch of the training split has; 0 where there is none."""
        return pipeline.epoch_size(self.config, self.dataset.splits["train"]) if "train" in self.dataset.splits else 0

    def intervals(self) -> Intervals:
        """When lines, evaluations and checkpoints are due."""
        return intervals(self.config, self.examples())

    def best(self) -> Metric | None:
        """The metric that the best checkpoint is chosen by, if one is kept."""
        name = self.config.best.metric
        return metric_of(self, name, "config.best.metric") if name else None

    def creation(self) -> Creation:
        """How the state before the first step is made, of all replicas (see `variants`). The task's `init` is traced once."""
        seeds, rates = zip(*variants(self.config), strict=True)
        given = jnp.asarray(seeds, jnp.uint32), jnp.asarray(rates, jnp.int32)
        one = partial(create, self.task, ema=self.config.ema)
        # `jit` keeps what was traced for the shapes, and `make` finds it there.
        traced = jax.jit(meshes.per_replica(one, self.mesh, self.config.replicate, (True, True)), inline=True)
        with limits.traced(self.config):
            shapes = jax.eval_shape(traced, *given)
        limits.check_shapes(shapes)
        shardings = meshes.place(shapes, self.mesh, self.config.mesh.get("rules", ()))
        target = jax.tree.map(lambda s, sh: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=sh), shapes, shardings)

        def make() -> TrainState:
            steps = sum(phase.steps for phase in self.task.phases)
            limits.check_memory(self.config, self.dataset.info, target, steps, self.mesh.size)
            return jax.jit(traced, out_shardings=shardings, compiler_options=backend.run_once())(*given)

        return Creation(target, make)

    def target(self) -> Tree:
        """Shape, dtype and sharding of every array of the state, without making one."""
        return self.creation().target

    def initial_state(self) -> TrainState:
        """The state before the first step, of all replicas.

        Raises:
            UserError: it does not fit into the memory, nor do the batches.
        """
        return self.creation().make()


def assemble(config: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None, known: bool = False) -> Experiment:
    """Loads the data and builds the task and the mesh; with `known`, stand-ins of published data, of which no file is read.

    Raises:
        UserError: something in the configuration does not exist or does not fit.
    """
    from dl.data.load import load

    check(config)
    mesh = meshes.build(config.mesh.to_dict(), config.replicas)
    dataset = load(config.dataset, data_dir, manual_dir, known)
    steps = total_steps(config, pipeline.epoch_size(config, dataset.splits["train"]) if "train" in dataset.splits else 0)
    limits.check_steps(steps)
    resources = Resources(dataset.info, manual_dir=manual_dir)
    if "train" in dataset.splits:
        first = partial(pipeline.first_examples, config.dataset.to_dict(), dataset.info.features, dataset.splits["train"])
        resources = resources._replace(first=first, column=partial(column_of, dataset.splits["train"]))
    with limits.traced(config):
        task = registry.find("dl.tasks", "task", config.task.name)(config, resources, steps)
    limits.check_steps(sum(phase.steps for phase in task.phases))
    for name in (name for phase in task.phases for name in phase.streams):
        if name not in dataset.splits:
            raise UserError(f"the task trains on the split {name!r}: name it in config.dataset.splits.")
    experiment = Experiment(config, dataset, task, mesh)
    check_task(experiment)
    for split in experiment.evaluation_splits():
        task.check(split, dataset.splits[split])
    return experiment


def create(task: Task, seed: jax.Array, rate: jax.Array, ema: float) -> TrainState:
    """The state of one replica before the first step, from its seed (uint32) and which learning rate is its own (int32)."""
    init_key, key = jax.random.split(jax.random.key(seed))
    params, variables = task.init(init_key)
    opt_state = {name: o.optimizer.init({g: params[g] for g in o.groups}) for name, o in task.objectives.items()}
    opt_state = choose_rate(opt_state, rate)
    # A copy, because a donated buffer may stand in the state only once.
    average = jax.tree.map(jnp.copy, averaged(params, variables)) if ema else {}
    return TrainState(jnp.int32(0), key, params, variables, opt_state, average)


def check_task(experiment: Experiment) -> None:
    """Checks what the configuration asks of the task.

    Raises:
        UserError: microbatches of a loss that compares the examples of a batch, early stopping without patience, or a metric
            that is not measured.
    """
    config, task = experiment.config, experiment.task
    across = [name for name, objective in task.objectives.items() if objective.whole_batch]
    if config.microbatches > 1 and across:
        raise UserError(
            f"the objective {across[0]!r} compares the examples of a batch with each other, so it cannot be cut into "
            f"config.microbatches={config.microbatches}: set it to 1."
        )
    for section in ("best", "early_stopping"):
        if config[section].metric:
            metric_of(experiment, config[section].metric, f"config.{section}.metric")
    if config.early_stopping.metric and not config.early_stopping.patience:
        raise UserError("config.early_stopping.patience=0 evaluations without improvement: give at least 1, or no metric.")


def metric_of(experiment: Experiment, name: str, key: str) -> Metric:
    """What is known of the metric `"split/name"`, one of those that a run measures while it trains.

    Raises:
        UserError: it is not measured; the message lists the choices.
    """
    known: dict[str, Metric] = {}
    for split in watched(experiment.evaluation_splits()):
        known |= {f"{split}/{n}": metric for n, metric in experiment.task.metrics(split).items()}
    if name.startswith("train/"):  # of the batches: what objectives minimise, and what they measure under the same names
        known = {f"train/{n.partition('/')[2]}": metric for n, metric in known.items()}
        known |= {f"train/objective/{n}": LOWER for n in experiment.task.objectives}
    found = known.get(name)
    if found is None:
        raise unknown(f"metric for {key}", name, known)
    if not found.better:
        raise UserError(f"{key}={name!r}: it is no measure of how good the run is. Choices: {', '.join(sorted(known))}.")
    return found


def watched(splits: Sequence[str]) -> list[str]:
    """The splits that are evaluated during the training: `validation` where there is one, else all."""
    return [split for split in splits if split == "validation"] or list(splits)


def check(config: ConfigDict) -> None:
    """Checks what every experiment has: its numbers, and words of which there are few.

    Raises:
        UserError: one of them makes no sense.
    """
    limits.check_numbers(config)
    if config.dtype not in ("float32", "bfloat16"):
        raise UserError(f"config.dtype must be float32 or bfloat16, got {config.dtype!r}.")
