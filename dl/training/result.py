"""`result.json`: what a finished run reached, with all that is needed to say how."""

import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from dl import provenance
from dl.config import config_hash, reference
from dl.state import TrainState, digests
from dl.task import Phase, Tree
from dl.training.assembly import Experiment
from dl.training.evaluate import Evaluated, Evaluations
from dl.training.workdir import statistics

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "tensorflow-datasets", "pillow")


def result(
    config: ConfigDict, phases: Sequence[Phase], step: int, params: Tree, evaluated: dict[str, Evaluated], seconds: float
) -> dict[str, Any]:
    """The content of `result.json`.

    Args:
        config: configuration of the run.
        phases: phases of its task.
        step: the number of steps taken.
        params: the last parameters, on the host, [replicas, ...].
        evaluated: the splits at the last step.
        seconds: wall time of training in all starts.
    """
    return {
        "config": config.to_dict(),
        "config_hash": config_hash(config),
        "command": command(),
        "commit": provenance.commit(),
        "versions": {"python": platform.python_version(), **{p: _version(p) for p in PACKAGES}},
        "devices": devices(),
        "replicas": config.replicas,
        "parameters": sum(int(np.prod(leaf.shape[1:])) for leaf in jax.tree.leaves(params)),
        "wall_seconds": round(seconds, 3),
        "steps": step,
        "phases": [phase._asdict() for phase in phases],
        "params_sha256": digests(params),
        "metrics": _statistics(evaluated),
        "reference": reference(config.to_dict()),  # only where it holds for the data
    }


def best(experiment: Experiment, workdir: Path, state: TrainState) -> dict[str, Any] | None:
    """What the best checkpoint that is whole reaches on all splits, with its step; None where there is none.

    Args:
        experiment: that was trained.
        workdir: of the run.
        state: the last one, like which the best lies on the devices.
    """
    from dl.training import checkpoint

    metric = experiment.best()
    target = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state)
    restored = checkpoint.restore_best(workdir, metric.better, target) if metric else None
    if restored is None:
        return None
    step, state = restored
    evaluations = Evaluations(experiment)
    evaluated = {split: evaluations(state, split) for split in experiment.evaluation_splits()}
    return {"step": step, "metrics": _statistics(evaluated)}


def _statistics(evaluated: dict[str, Evaluated]) -> dict[str, Any]:
    return {split: {name: statistics(v) for name, v in result.metrics.items()} for split, result in evaluated.items()}


def devices() -> dict[str, Any]:
    """Platform, kind and number of the devices, the processes, and the machine's processor."""
    first = jax.devices()[0]
    return {
        "platform": first.platform,
        "kind": first.device_kind,
        "count": jax.device_count(),
        "processes": jax.process_count(),
        "processor": _processor(),
    }


def command() -> str:
    """The command of this program."""
    return " ".join(["python", "-m", _program(), *sys.argv[1:]])


def _program() -> str:
    main = sys.modules["__main__"].__spec__
    return main.name if main else Path(sys.argv[0]).name


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return name
