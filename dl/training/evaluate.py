"""Evaluation of a split, exact on a ragged last batch, for all replicas at once."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dl import mesh as meshes
from dl.data.pipeline import RESIDENT_BYTES
from dl.errors import UserError
from dl.state import TrainState
from dl.task import Batch, Evaluator, Tree
from dl.training.assembly import Experiment

EVALUATION_KEY = 0xE7A1  # folded into the run's key, so that an evaluation's draws are not those of a step


class Evaluated(NamedTuple):
    """metrics: name -> [replicas]; for each replica, outputs: name -> [N, ...], and sums: evaluator -> its pytree."""

    metrics: dict[str, np.ndarray]
    outputs: list[dict[str, np.ndarray]]
    sums: list[dict[str, Tree]] = []  # noqa: RUF012  # never changed

    def merged(self, other: "Evaluated") -> "Evaluated":
        """What both found, of the same replicas."""
        outputs = [a | b for a, b in zip(self.outputs, other.outputs, strict=True)]
        return Evaluated(self.metrics | other.metrics, outputs, [a | b for a, b in zip(self.sums, other.sums, strict=True)])


class Evaluations:
    """The evaluators of an experiment, each compiled once for a shape of batches, whatever the number of splits.

    On an accelerator the batches of a split that fits stay there from the first evaluation on.
    """

    def __init__(self, experiment: Experiment):
        self.experiment = experiment
        self.programs = {name: self._program(evaluator) for name, evaluator in experiment.task.evaluators.items()}
        self.kept: dict[str, list[tuple[Batch, np.ndarray]]] = {}

    def names(self, split: str) -> list[str]:
        """The evaluators of a split."""
        return [n for n, e in self.experiment.task.evaluators.items() if not e.splits or split in e.splits]

    def __call__(self, state: TrainState, split: str, names: Collection[str] | None = None, ema: bool = True) -> Evaluated:
        """All replicas on the whole split, by all evaluators of the split or those named; averages where the state has them.

        Args:
            state: state of all replicas, on the devices.
            split: its name.
            names: names of the evaluators.
            ema: whether the averages are evaluated.
        """
        replicas = len(state.step)
        found = Evaluated({}, [{} for _ in range(replicas)], [{} for _ in range(replicas)])
        params, variables = state.evaluated(ema)
        for name in self.names(split) if names is None else names:
            sums, outputs = self._run(name, split, params, variables, state.key)
            found = found.merged(finish(name, self.experiment.task.evaluators[name], sums, outputs, replicas))
        return found

    def _program(self, evaluator: Evaluator) -> Callable[..., Any]:
        experiment = self.experiment

        def one(params: Tree, variables: Tree, key: jax.Array, batch: Batch) -> Any:
            return evaluator.step(params, variables, experiment.prepare(batch), key)

        lifted = meshes.per_replica(one, experiment.mesh, experiment.config.replicate, (True, True, True, False))

        def numbered(params: Tree, variables: Tree, keys: jax.Array, number: jax.Array, batch: Batch) -> Any:
            keys = jax.vmap(lambda k: jax.random.fold_in(jax.random.fold_in(k, EVALUATION_KEY), number))(keys)
            return lifted(params, variables, keys, batch)

        return jax.jit(numbered, out_shardings=meshes.replicated(experiment.mesh))

    def _batches(self, split: str) -> Iterator[tuple[Batch, np.ndarray]]:
        batches = self.experiment.evaluation(split)
        if not meshes.on_accelerator() or not batches.source.resident or batches.bytes() > RESIDENT_BYTES:
            return batches.blocks()
        if split not in self.kept:
            self.kept[split] = list(batches.blocks())
        return iter(self.kept[split])

    def _run(self, name: str, split: str, params: Tree, variables: Tree, keys: jax.Array) -> tuple[Tree, dict[str, np.ndarray]]:
        """The sums over the split and the outputs [replicas, N, ...] in the split's order, on the host."""
        total: Tree = None
        outputs: list[dict[str, np.ndarray]] = []
        waiting: list[tuple[Any, int]] = []
        places: list[np.ndarray] = []
        for number, (batch, examples) in enumerate(self._batches(split)):
            places.append(examples)
            waiting.append((self.programs[name](params, variables, keys, jnp.int32(number), batch), len(examples)))
            if len(waiting) > 1:  # the device works on a batch while the one before it goes to the host
                total = _take(*waiting.pop(0), total, outputs)
        for made, rows in waiting:
            total = _take(made, rows, total, outputs)
        return total, {n: in_order([part[n] for part in outputs], np.concatenate(places)) for n in outputs[0]}


def _take(made: Any, rows: int, total: Tree, outputs: list[dict[str, np.ndarray]]) -> Tree:
    sums, per_example = jax.device_get(made)
    outputs.append({name: values[:, :rows] for name, values in per_example.items()})
    exact = jax.tree.map(lambda x: x.astype(np.float64 if np.issubdtype(x.dtype, np.inexact) else np.int64), sums)
    return exact if total is None else jax.tree.map(np.add, total, exact)


def in_order(parts: list[np.ndarray], places: np.ndarray) -> np.ndarray:
    """One output [replicas, N, ...] of a split, from those of its batches [replicas, n, ...].

    Where batches differ in another axis, as outputs for each token do, all are padded with 0 to the longest.

    Args:
        parts: the batches.
        places: int [N], which example of the split each row is, one batch after another.
    """
    most = np.max([part.shape[2:] for part in parts], axis=0).astype(int)
    made = np.zeros((len(parts[0]), len(places), *most), parts[0].dtype)
    begin = 0
    for part in parts:
        index: tuple[Any, ...] = (slice(None), places[begin : begin + part.shape[1]], *map(slice, part.shape[2:]))
        made[index] = part
        begin += part.shape[1]
    return made


def finish(name: str, evaluator: Evaluator, sums: Tree, outputs: Mapping[str, np.ndarray], replicas: int) -> Evaluated:
    """Numbers of what was summed and gathered; a metric that is undefined for some replica is left out."""
    joined = [{n: values[r] for n, values in outputs.items()} for r in range(replicas)]
    summed = [jax.tree.map(lambda x: x[r], sums) for r in range(replicas)]  # noqa: B023
    numbers = [evaluator.finish(s, o) for s, o in zip(summed, joined, strict=True)]
    unknown = sorted({n for found in numbers for n in found} - set(evaluator.metrics))
    if unknown:  # a mistake in the task, not of the user: nothing would know whether lower is better
        raise ValueError(f"the evaluator {name!r} gives {unknown}, which its metrics do not describe")
    shared = [n for n in numbers[0] if all(n in found for found in numbers)]
    metrics = {n: np.array([found[n] for found in numbers], np.float64) for n in shared}
    return Evaluated(metrics, joined, [{name: s} for s in summed])


def check_finite(evaluated: Evaluated, split: str, step: int) -> None:
    """Raises UserError where a metric is NaN or infinite; the message names it, the split and the replica."""
    for name, values in evaluated.metrics.items():
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise UserError(
                f"after step {step} the metric {name!r} of replica {bad[0]} is {values[bad[0]]} on the split {split!r}: look "
                f"for NaN or huge values in the data of that split. What was trained is saved."
            )
