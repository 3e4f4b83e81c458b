"""Experiments: their configuration, their task and its step."""

import copy
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from dl import config_file
from dl.config import cite
from dl.state import TrainState
from dl.task import Batch, Task, divided
from dl.training import explain as explaining
from dl.training import settings
from dl.training.assembly import Experiment, assemble, create
from dl.training.step import train_step


def load_config(name: str, changed: Mapping[str, Any] | None = None) -> ConfigDict:
    """The configuration of `"configs/NAME.py"` or `"configs/NAME.py:VARIANT"`.

    Args:
        name: the file, and the variant behind a colon; none is the published setting.
        changed: key -> value, such as `{"optimizer.learning_rate": 0.01}`: what `--config.KEY=VALUE` does in a shell.

    Raises:
        UserError: no such file, variant or key, or a value that it can't have.
    """
    config = config_file.load(name)
    changed = dict(changed or {})
    settings.prepare(config, {key: str(value) for key, value in changed.items()})
    settings.assign(config, changed, "load_config")
    if "metric" in config.get("reference", {}):
        path, _, variant = name.partition(":")
        cite(config, config_file.load(path), variant, changed)
    return config


def configuration(config: ConfigDict | str) -> ConfigDict:
    """A copy of a configuration, or the one of that name."""
    return load_config(config) if isinstance(config, str) else copy.deepcopy(config)


def experiment(config: ConfigDict | str, data_dir: str | None = None, manual_dir: str | None = None) -> Experiment:
    """The experiment of a configuration, ready to run: its `dataset`, its `task` and the state it begins with.

    Args:
        config: a configuration, or the name of one (see `load_config`).
        data_dir: folder of prepared datasets.
        manual_dir: folder of archives.

    Raises:
        UserError: something in the configuration does not exist or does not fit.
    """
    return assemble(configuration(config), data_dir, manual_dir)


def explain(config: ConfigDict | str) -> explaining.Explanation:
    """Layers, parameters, FLOPs and phases of an experiment; nothing is run, and published data are not needed."""
    return explaining.explain(explaining.assemble_known(configuration(config))[0])


def initial_state(task: Task, seed: int = 0) -> TrainState:
    """The state of one run of a task before its first step: parameters, what the optimizers keep, and a key."""
    return jax.jit(partial(create, task, ema=0.0))(jnp.uint32(seed), jnp.int32(0))


def make_step(task: Task, phase: int = 0) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, jax.Array]]]:
    """One step of a task, `(state, batch) -> (state, metrics)`, compiled: the phase's objectives, each with its optimizer.

    It is the engine's own step. Randomness comes from the key in the state and the number of the step.

    Args:
        task: any task, made here or the `task` of an `experiment`.
        phase: number of the phase whose objectives are taken.
    """
    step = train_step(task, task.phases[phase], 1, 0.0)

    @jax.jit
    def stepped(state: TrainState, batch: Batch) -> tuple[TrainState, dict[str, jax.Array]]:
        state, metrics = step(state, batch, jax.random.fold_in(state.key, state.step))
        return state, {name: divided(pair) for name, pair in metrics.items()}

    return stepped
