"""From a configuration to everything that a program needs: the data, the task and the mesh."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from ml_collections import ConfigDict

from dl import mesh as meshes
from dl import registry
from dl.config import variants
from dl.data import pipeline
from dl.dataset import Dataset
from dl.errors import UserError
from dl.state import TrainState
from dl.task import Task, Tree
from dl.training.optimizers import choose_rate
from dl.training.plan import total_steps


class Experiment(NamedTuple):
    """An experiment, ready to run."""

    config: ConfigDict
    dataset: Dataset
    task: Task
    mesh: Mesh

    def streams(self) -> dict[str, pipeline.Stream]:
        """The training batches of each stream that a phase names."""
        names = {phase.stream for phase in self.task.phases}
        return {n: pipeline.train_stream(self.config, self.dataset.splits[n], self.mesh) for n in sorted(names)}

    def evaluation(self, split: str) -> pipeline.EvaluationBatches:
        """The batches of a split for evaluation."""
        return pipeline.evaluation_batches(self.config, self.dataset.splits[split], self.mesh)

    def evaluation_splits(self) -> list[str]:
        """The splits that no phase trains on."""
        return [n for n in self.dataset.splits if n not in {phase.stream for phase in self.task.phases}]

    def target(self) -> Tree:
        """Shape, dtype and sharding of every array of the state, without making one."""
        shapes = jax.eval_shape(self._create_all(), *self._variants())
        shardings = meshes.place(shapes, self.mesh, self.config.mesh.get("rules", ()))
        return jax.tree.map(lambda s, sh: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=sh), shapes, shardings)

    def initial_state(self) -> TrainState:
        """The state before the first step, of all replicas (see `variants`), each array made where it will lie."""
        shardings = jax.tree.map(lambda s: s.sharding, self.target())
        return jax.jit(self._create_all(), out_shardings=shardings)(*self._variants())

    def _variants(self) -> tuple[jax.Array, jax.Array]:
        seeds, rates = zip(*variants(self.config), strict=True)
        return jnp.asarray(seeds, jnp.uint32), jnp.asarray(rates, jnp.int32)

    def _create_all(self) -> Callable[[jax.Array], Any]:
        one = partial(create, self.task, ema=self.config.ema)
        return meshes.per_replica(one, self.mesh, self.config.replicate, (True, True))


def assemble(config: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Experiment:
    """Loads the data and builds the task and the mesh.

    Raises:
        UserError: something in the configuration does not exist or does not fit.
    """
    from dl.data.load import load

    check(config)
    mesh = meshes.build(config.mesh.to_dict(), config.replicas)
    dataset = load(config.dataset, data_dir, manual_dir)
    steps = total_steps(config, pipeline.epoch_size(config, dataset.splits["train"]) if "train" in dataset.splits else 0)
    if "train" in dataset.splits:
        first = partial(pipeline.first_examples, config.dataset.to_dict(), dataset.splits["train"])
        dataset = dataset._replace(info=dataset.info._replace(first=first))
    task = registry.find("dl.tasks", "task", config.task.name)(config, dataset.info, steps)
    for phase in task.phases:
        if phase.stream not in dataset.splits:
            raise UserError(f"the task trains on the split {phase.stream!r}: name it in config.dataset.splits.")
    experiment = Experiment(config, dataset, task, mesh)
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
    average = jax.tree.map(jnp.copy, params) if ema else {}
    return TrainState(jnp.int32(0), key, params, variables, opt_state, average)


def check(config: ConfigDict) -> None:
    """Checks the numbers that every experiment has.

    Raises:
        UserError: one that makes no sense.
    """
    for name in ("replicas", "batch_size", "microbatches", "steps_per_dispatch", "log_every", "eval_batch_size"):
        if config[name] < 1:
            raise UserError(f"config.{name} must be at least 1, got {config[name]}.")
    for name in ("seed", "steps", "epochs", "eval_every", "checkpoint_every"):
        if config[name] < 0:
            raise UserError(f"config.{name} must not be negative, got {config[name]}.")
    if not 0 <= config.ema < 1:
        raise UserError(f"config.ema must be in [0, 1), got {config.ema}.")
    if config.dtype not in ("float32", "bfloat16"):
        raise UserError(f"config.dtype must be float32 or bfloat16, got {config.dtype!r}.")
    for section in ("best", "early_stopping"):
        if config[section].mode not in ("min", "max"):
            raise UserError(f"config.{section}.mode must be min or max, got {config[section].mode!r}.")
