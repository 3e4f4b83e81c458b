"""Numbers that no experiment can have, and experiments that no memory holds: said before anything is allocated."""

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from dl.dataset import Info
from dl.errors import UserError
from dl.state import TrainState, path_name
from dl.task import Tree

MOST = 2**31 - 1  # steps are counted in int32
INTEGERS = {  # key -> the least and the largest value
    "seed": (0, 2**32 - 1),  # of a PRNG
    "replicas": (1, 10_000),
    "steps": (0, MOST),
    "batch_size": (1, MOST),
    "microbatches": (1, MOST),
    "steps_per_dispatch": (1, MOST),
    "test_time.samples": (1, 1000),  # each is a forward pass of its own in the program
    "log_every": (1, MOST),
    "eval_every": (0, MOST),
    "eval_batch_size": (1, MOST),
    "checkpoint_every": (0, MOST),
    "early_stopping.patience": (0, MOST),
    "mesh.replica": (-1, MOST),
    "mesh.data": (-1, MOST),
    "mesh.fsdp": (-1, MOST),
    "mesh.model": (-1, MOST),
}
_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def check_numbers(config: ConfigDict) -> None:
    """Checks the numbers that every configuration has.

    Raises:
        UserError: one of another type, or out of its range.
    """
    for key, (least, most) in INTEGERS.items():
        value = _value(config, key)
        if isinstance(value, bool) or not isinstance(value, int):
            raise UserError(f"config.{key} must be a whole number, got {value!r}.")
        if value < least:
            least_said = "must not be negative" if least == 0 else f"must be at least {least}"
            raise UserError(f"config.{key} {least_said}, got {value}.")
        if value > most:
            raise UserError(f"config.{key} must be at most {most:,}, got {value}.")
    if config.seed + config.replicas - 1 > INTEGERS["seed"][1]:
        raise UserError(f"config.seed={config.seed} leaves no room for {config.replicas} replicas, whose seeds follow it.")
    for key in ("epochs", "ema", "reference.value"):
        value = _value(config, key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise UserError(f"config.{key} must be a finite number, got {value!r}.")
    if config.epochs < 0:
        raise UserError(f"config.epochs must not be negative, got {config.epochs}.")
    if not 0 <= config.ema < 1:
        raise UserError(f"config.ema must be in [0, 1), got {config.ema}.")


def _value(config: ConfigDict, key: str) -> Any:
    section, _, name = key.rpartition(".")
    return (config[section] if section else config)[name]


def check_steps(steps: int) -> None:
    """Raises UserError where a run would take more steps than can be counted."""
    if steps > MOST:
        raise UserError(f"the run would take {steps:.3g} steps, more than {MOST:,}: lower config.epochs or config.steps.")


@contextlib.contextmanager
def traced(config: ConfigDict) -> Iterator[None]:
    """Around what traces the model: an error there that a size of nought or beyond all bounds explains is the user's.

    Raises:
        UserError: with the settings that are such sizes. Other errors are left as they are.
    """
    try:
        yield
    except (ArithmeticError, TypeError, ValueError) as error:
        odd = {key: value for key, value in config.model.items() if any(n == 0 or n > MOST for n in _integers(value))}
        if not odd:
            raise
        given = ", ".join(f"config.model.{key}={value!r}" for key, value in odd.items())
        raise UserError(f"the model {config.model.name} cannot be made with {given}: {error}") from error


def _integers(value: Any) -> list[int]:
    values = value if isinstance(value, tuple | list) else [value]
    return [v for v in values if isinstance(v, int) and not isinstance(v, bool)]


def check_shapes(shapes: TrainState) -> None:
    """Raises UserError where a parameter has no elements: a layer of no units."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(shapes.params):
        if 0 in leaf.shape:
            raise UserError(f"the parameter {path_name(path)} has no elements, {leaf.shape[1:]}: a size in config.model is 0.")


def check_memory(config: ConfigDict, info: Info, target: TrainState, steps: int, devices: int) -> None:
    """Compares what must be held at once with the memory of a device, or of this machine where that is the CPU.

    Args:
        config: the experiment's.
        info: description of its data.
        target: shapes, dtypes and shardings of the state.
        steps: number of training steps, so that no dispatch has more.
        devices: number of devices of the mesh.

    Raises:
        UserError: the state and the gradients, or the batches of a dispatch, cannot fit.
    """
    there = memory()
    state = _bytes(target) + _bytes(target.params)
    if state > there:
        raise UserError(
            f"the parameters, what the optimizers keep and the gradients take {_gigabytes(state)} a device, and there are "
            f"{_gigabytes(there)}: make the model smaller (config.model), or shard it (config.mesh.fsdp)."
        )
    elements = max(8, sum(math.prod(n or 1 for n in shape) for shape in info.shapes.values()))  # an index, at least
    ahead = min(config.steps_per_dispatch, steps)
    batch = config.batch_size * config.replicas * elements * (4 + ahead) // devices
    if batch > there:
        raise UserError(
            f"the batches of a dispatch take {_gigabytes(batch)} at least, and there are {_gigabytes(there)}: lower "
            f"config.batch_size={config.batch_size}, or config.steps_per_dispatch={config.steps_per_dispatch}."
        )


def memory() -> int:
    """Bytes that arrays on one of this process's devices may take; devices of the CPU share the machine's."""
    devices = jax.local_devices()
    limit = (devices[0].memory_stats() or {}).get("bytes_limit", 0)
    return limit or _machine_memory() // len(devices)


def _machine_memory() -> int:
    """Bytes of the machine, or of the container that this is."""
    try:
        limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    except (AttributeError, OSError, ValueError):  # not of every system
        return 1 << 62
    for path in map(Path, _CGROUPS):
        with contextlib.suppress(OSError, ValueError):
            limits.append(int(path.read_text()))
    return min(limits)


def _bytes(tree: Tree) -> int:
    """Of a device."""

    def one(leaf: Any) -> int:
        size = 8 if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf.dtype.itemsize
        return math.prod(leaf.sharding.shard_shape(leaf.shape)) * size

    return sum(one(leaf) for leaf in jax.tree.leaves(tree))


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:,.3g} GB"
