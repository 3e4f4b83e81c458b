"""One training step of one replica, and a dispatch of several. Pure functions; which task it is does not matter to them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from dl.state import TrainState, averaged
from dl.task import Batch, Metrics, Objective, Phase, Task, Tree, divided

Prepare = Callable[[Tree, jax.Array, Batch], Batch]  # (constants, key, batch as fetched) -> batch as the task sees it


@partial(jax.tree_util.register_dataclass, data_fields=("values",), meta_fields=("names",))
@dataclass(frozen=True)
class Packed:
    """Metrics as one array float32 [..., M, 2], the (sum, count) pairs in the order of `names`: one transfer to the host."""

    values: Any
    names: tuple[str, ...]


def pack(metrics: Metrics) -> Packed:
    """(sum, count) pairs of scalars as one array, by their names."""
    names = tuple(sorted(metrics))
    pairs = [jnp.stack([jnp.asarray(x, jnp.float32) for x in metrics[name]]) for name in names]
    return Packed(jnp.stack(pairs) if pairs else jnp.zeros((0, 2), jnp.float32), names)


def add(a: Metrics, b: Metrics) -> Metrics:
    """The union of two sets of (sum, count) pairs. Where both have a name the pairs add up: the mean over both."""
    both = {name: (a[name][0] + b[name][0], a[name][1] + b[name][1]) for name in a.keys() & b.keys()}
    return {**a, **b, **both}


def gradients(objective: Objective, moved: Tree, rest: Tree, variables: Tree, batch: Batch, key: jax.Array, parts: int) -> Any:
    """Loss, new variables, metrics, and the gradient with respect to `moved`, from `parts` equal parts of the batch.

    Sums and counts add up over the parts and are divided once. Variables pass from part to part. Part p holds the examples p,
    p + parts, ...: on a mesh each device splits what it has.
    """

    def loss(moved: Tree, variables: Tree, batch: Batch, key: jax.Array, divide: bool) -> Any:
        (total, count), (variables, metrics) = objective.loss({**rest, **moved}, variables, batch, key)
        return divided((total, count)) if divide else total, (jax.lax.stop_gradient(count), variables, metrics)

    graded = jax.value_and_grad(loss, has_aux=True)
    if parts == 1:
        (value, (_, variables, metrics)), gradient = graded(moved, variables, batch, key, True)
        return value, variables, metrics, gradient

    def part(carry: Any, p: jax.Array) -> Any:
        variables, total, count, summed = carry
        piece = jax.tree.map(lambda x: x.reshape(-1, parts, *x.shape[1:])[:, p], batch)
        (value, (n, variables, metrics)), gradient = graded(moved, variables, piece, jax.random.fold_in(key, p), False)
        return (variables, total + value, count + n, jax.tree.map(jnp.add, summed, gradient)), metrics

    start = (variables, jnp.float32(0), jnp.float32(0), jax.tree.map(jnp.zeros_like, moved))
    (variables, total, count, summed), stacked = jax.lax.scan(part, start, jnp.arange(parts))
    gradient = jax.tree.map(lambda g: divided((g, count)).astype(g.dtype), summed)
    return divided((total, count)), variables, jax.tree.map(lambda x: x.sum(0), stacked), gradient


def descend(objective: Objective, name: str, state: TrainState, batch: Batch, key: jax.Array, parts: int) -> Any:
    """One update by one objective: the new state and its metrics."""
    moved = {group: state.params[group] for group in objective.groups}
    value, variables, metrics, gradient = gradients(objective, moved, state.params, state.variables, batch, key, parts)

    def value_fn(moved: Tree) -> jax.Array:  # for optimizers with a line search
        return objective.value({**state.params, **moved}, state.variables, batch, key)[0]

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


def moving_average(state: TrainState, decay: float) -> Tree:
    """The averages after a step: of what steps 1 to t ended with, step i weighted by decay^(t - i), the weights adding up to 1.

    So nothing of the initial values is in it (Kingma & Ba 2015, section 3, of Adam's moments).
    """
    weight = (1 - decay) / (1 - decay ** (state.step + 1).astype(jnp.float32))
    return jax.tree.map(lambda a, x: a + weight * (x - a), state.ema, averaged(state.params, state.variables))


def train_step(task: Task, phase: Phase, microbatches: int, ema: float) -> Callable[[TrainState, Batch, jax.Array], Any]:
    """`(state, batch, key) -> (state, metrics)`: the phase's objectives in their order, then the moving averages."""

    def step(state: TrainState, batch: Batch, key: jax.Array) -> tuple[TrainState, Metrics]:
        metrics: Metrics = {}
        for i, name in enumerate(phase.objectives):
            objective_key = jax.random.fold_in(key, i)
            state, measured = descend(task.objectives[name], name, state, batch, objective_key, microbatches)
            metrics = add(metrics, measured)
        if ema:
            state = state._replace(ema=moving_average(state, ema))
        return state._replace(step=state.step + 1), metrics

    return step


def dispatch(
    task: Task, phase: Phase, prepare: Prepare, microbatches: int, ema: float
) -> Callable[[TrainState, Tree, Batch, jax.Array], tuple[TrainState, Packed]]:
    """`(state, constants, batches [K, ...], count) -> (state, metrics [K])`: `count` steps of one replica, one after another.

    `count`, an int32 scalar, is at most K; what lies behind it in the batches is not looked at, and the metrics there are 0. So
    one program takes any number of steps, and where dispatches begin and end does not change what they compute.
    """
    step = train_step(task, phase, microbatches, ema)

    def one(state: TrainState, batch: Batch, constants: Tree) -> tuple[TrainState, Packed]:
        data_key, key = jax.random.split(jax.random.fold_in(state.key, state.step))
        state, metrics = step(state, prepare(constants, data_key, batch), key)
        return state, pack(metrics)

    traced = jax.jit(one, inline=True)  # once for its shapes and for the loop

    def several(state: TrainState, constants: Tree, batches: Batch, count: jax.Array) -> tuple[TrainState, Packed]:
        most = len(batches["step"])
        batches = {name: value for name, value in batches.items() if name != "step"}

        def at(i: Any) -> Batch:
            return jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, i, keepdims=False), batches)

        if most == 1:  # without the loop, in which a convolution's gradient is slow on the CPU
            state, metrics = traced(state, at(0), constants)
            return state, jax.tree.map(lambda x: x[None], metrics)

        def body(i: jax.Array, carry: tuple[TrainState, Packed]) -> tuple[TrainState, Packed]:
            state, metrics = traced(carry[0], at(i), constants)
            return state, jax.tree.map(lambda all, new: all.at[i].set(new), carry[1], metrics)

        shapes = jax.eval_shape(traced, state, at(0), constants)[1]
        nothing = jax.tree.map(lambda s: jnp.zeros((most, *s.shape), s.dtype), shapes)
        return jax.lax.fori_loop(0, count, body, (state, nothing))

    return several
