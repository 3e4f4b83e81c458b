"""Evaluation of one split, exact on a ragged last batch, for all replicas at once."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from dl import mesh as meshes
from dl.data.pipeline import EvaluationBatches
from dl.state import TrainState
from dl.task import Batch, Metrics, Task, Tree

EVALUATION_KEY = 0xE7A1  # folded into the run's key, so that an evaluation's draws are not those of a step


class Evaluated(NamedTuple):
    """metrics: name -> [replicas]; outputs: for each replica, name -> [N, ...]."""

    metrics: dict[str, np.ndarray]
    outputs: list[dict[str, np.ndarray]]


def evaluator(task: Task, batches: EvaluationBatches, mesh: Mesh, how: str) -> Callable[[TrainState], Evaluated]:
    """`state -> Evaluated` over the whole split. The moving average of the parameters is evaluated where the state has one."""

    def one(params: Tree, variables: Tree, key: jax.Array, batch: Batch) -> tuple[Metrics, dict[str, jax.Array]]:
        return task.evaluate(params, variables, batches.prepare(batch), key)

    def numbered(params: Tree, variables: Tree, keys: jax.Array, number: jax.Array, batch: Batch) -> Any:
        keys = jax.vmap(lambda k: jax.random.fold_in(jax.random.fold_in(k, EVALUATION_KEY), number))(keys)
        return lifted(params, variables, keys, batch)

    lifted = meshes.per_replica(one, mesh, how, (True, True, True, False))
    compiled = jax.jit(numbered, out_shardings=meshes.replicated(mesh))

    def evaluate(state: TrainState) -> Evaluated:
        params = state.ema or state.params
        results = []
        for number, (batch, rows) in enumerate(batches.blocks()):
            results.append((compiled(params, state.variables, state.key, jnp.int32(number), batch), rows))
        return gather(task, jax.device_get([r for r, _ in results]), [rows for _, rows in results])

    return evaluate


def gather(task: Task, results: list[Any], rows: list[int]) -> Evaluated:
    """Sums the pairs in float64, joins the outputs without the rows that pad, and adds the numbers of `summarize`."""
    metrics: dict[str, np.ndarray] = {}
    for name in results[0][0]:
        total = sum(np.asarray(pairs[name][0], np.float64) for pairs, _ in results)
        count = sum(np.asarray(pairs[name][1], np.float64) for pairs, _ in results)
        metrics[name] = np.asarray(total / count)
    names = results[0][1].keys()
    replicas = len(next(iter(metrics.values()))) if metrics else 1
    outputs = [
        {name: np.concatenate([out[name][r][:n] for (_, out), n in zip(results, rows, strict=True)]) for name in names}
        for r in range(replicas)
    ]
    summaries: list[Mapping[str, float]] = [task.summarize(o) for o in outputs]
    metrics |= {name: np.array([s[name] for s in summaries]) for name in summaries[0]}
    return Evaluated(metrics, outputs)
