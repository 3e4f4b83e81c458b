"""One training step of one replica, and a dispatch of several. Pure functions; which task it is does not matter to them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from dl.state import TrainState
from dl.task import Batch, Metrics, Objective, Phase, Task, Tree

Prepare = Callable[[Tree, jax.Array, Batch], Batch]  # (constants, key, batch as fetched) -> batch as the task sees it


def add(a: Metrics, b: Metrics) -> Metrics:
    """The union of two sets of (sum, count) pairs. Where both have a name the pairs add up: the mean over both."""
    both = {name: (a[name][0] + b[name][0], a[name][1] + b[name][1]) for name in a.keys() & b.keys()}
    return {**a, **b, **both}


def gradients(objective: Objective, moved: Tree, rest: Tree, variables: Tree, batch: Batch, key: jax.Array, parts: int) -> Any:
    """Loss, new variables, metrics and gradient with respect to `moved`, averaged over `parts` equal parts of the batch.

    Variables pass from part to part. Part p holds the examples p, p + parts, ...: on a mesh each device splits what it has.
    """

    def loss(moved: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Any:
        return objective.loss({**rest, **moved}, variables, batch, key)

    graded = jax.value_and_grad(loss, has_aux=True)
    if parts == 1:
        (value, (variables, metrics)), gradient = graded(moved, variables, batch, key)
        return value, variables, metrics, gradient

    def part(carry: Any, p: jax.Array) -> Any:
        variables, total, summed = carry
        piece = jax.tree.map(lambda x: x.reshape(-1, parts, *x.shape[1:])[:, p], batch)
        (value, (variables, metrics)), gradient = graded(moved, variables, piece, jax.random.fold_in(key, p))
        return (variables, total + value / parts, jax.tree.map(lambda s, g: s + g / parts, summed, gradient)), metrics

    start = (variables, jnp.float32(0), jax.tree.map(jnp.zeros_like, moved))
    (variables, value, gradient), stacked = jax.lax.scan(part, start, jnp.arange(parts))
    return value, variables, jax.tree.map(lambda x: x.sum(0), stacked), gradient


def descend(objective: Objective, name: str, state: TrainState, batch: Batch, key: jax.Array, parts: int) -> Any:
    """One update by one objective: the new state and its metrics."""
    moved = {group: state.params[group] for group in objective.groups}
    value, variables, metrics, gradient = gradients(objective, moved, state.params, state.variables, batch, key, parts)

    def value_fn(moved: Tree) -> jax.Array:  # for optimizers with a line search
        return objective.loss({**state.params, **moved}, state.variables, batch, key)[0]

    update = optax.with_extra_args_support(objective.optimizer).update
    updates, opt_state = update(gradient, state.opt_state[name], moved, value=value, grad=gradient, value_fn=value_fn)
    params = {**state.params, **optax.apply_updates(moved, updates)}
    one = jnp.float32(1)
    measured: Metrics = {f"objective/{name}": (value.astype(jnp.float32), one)}
    measured[f"gradient_norm/{name}"] = (optax.tree.norm(gradient).astype(jnp.float32), one)
    rates = optax.tree_utils.tree_get_all_with_path(opt_state, "learning_rate")
    if rates:
        measured[f"learning_rate/{name}"] = (jnp.asarray(rates[0][1], jnp.float32), one)
    opt_states = {**state.opt_state, name: opt_state}
    return state._replace(params=params, variables=variables, opt_state=opt_states), {**metrics, **measured}


def train_step(task: Task, phase: Phase, microbatches: int, ema: float) -> Callable[[TrainState, Batch, jax.Array], Any]:
    """`(state, batch, key) -> (state, metrics)`: the phase's objectives in their order, then the moving average."""

    def step(state: TrainState, batch: Batch, key: jax.Array) -> tuple[TrainState, Metrics]:
        metrics: Metrics = {}
        for i, name in enumerate(phase.objectives):
            objective_key = jax.random.fold_in(key, i)
            state, measured = descend(task.objectives[name], name, state, batch, objective_key, microbatches)
            metrics = add(metrics, measured)
        if ema:
            average = jax.tree.map(lambda a, p: ema * a + (1 - ema) * p, state.ema, state.params)
            state = state._replace(ema=average)
        return state._replace(step=state.step + 1), metrics

    return step


def dispatch(
    task: Task, phase: Phase, prepare: Prepare, microbatches: int, ema: float
) -> Callable[[TrainState, Tree, Batch], tuple[TrainState, Metrics]]:
    """`(state, constants, batches [K, ...]) -> (state, metrics [K])`: K steps of one replica, one after another."""
    step = train_step(task, phase, microbatches, ema)

    def one(state: TrainState, batch: Batch, constants: Tree) -> tuple[TrainState, Metrics]:
        data_key, key = jax.random.split(jax.random.fold_in(state.key, state.step))
        return step(state, prepare(constants, data_key, batch), key)

    def several(state: TrainState, constants: Tree, batches: Batch) -> tuple[TrainState, Metrics]:
        count = len(batches["step"])
        batches = {name: value for name, value in batches.items() if name != "step"}
        if count == 1:  # without the loop, in which a convolution's gradient is slow on the CPU
            state, metrics = one(state, jax.tree.map(lambda x: x[0], batches), constants)
            return state, jax.tree.map(lambda x: x[None], metrics)
        return jax.lax.scan(lambda s, b: one(s, b, constants), state, batches, length=count)

    return several
