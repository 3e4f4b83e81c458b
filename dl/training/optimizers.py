"""Optimizers by name, from optax, with penalties, clipping and rules for groups of parameters.

    sgd       optax.sgd                          w <- w - rate g                                       (`momentum` may be set)
    momentum  optax.sgd(momentum=0.9)            m <- momentum m + g;  w <- w - rate m                 Polyak 1964
    ramped    dl.training.momentum.ramped        as above; momentum rises from `start` in `ramp` updates   Koch et al. 2015, 3.3
    nesterov  optax.sgd(momentum=0.9, nesterov)  as above;  w <- w - rate (g + momentum m)             Sutskever et al. 2013
    adam      optax.adam                         b1, b2, eps                                           Kingma & Ba 2015, alg. 1
    adamw     optax.adamw                        and weight_decay (1e-4), decoupled                    Loshchilov & Hutter 2019
    rmsprop   optax.rmsprop                      decay, eps (inside the root), centered, momentum      Hinton 2012, lecture 6e
    adagrad   optax.adagrad                      initial_accumulator_value (0.1), eps (in the root)    Duchi et al. 2011
    lamb      optax.lamb                         b1, b2, eps, weight_decay                             You et al. 2020, alg. 2
    lars      optax.lars                         trust_coefficient, weight_decay, momentum             You et al. 2017, alg. 1
    muon      optax.contrib.muon                 beta, weight_decay; for matrices, the rest by Adam    Jordan et al. 2024
    lbfgs     dl.training.lbfgs.lbfgs            memory_size, line_search_steps; of losses without     Liu & Nocedal 1989
                                                 noise; no penalties, no scales of rates

Defaults are optax's. An update is, in this order: penalties added to the gradient (as the terms of the loss that they are),
clipping by the global norm, the optimizer at the schedule's rate, the rules' scales. What a weight is, and
what rules are: `dl.training.rules`.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
import optax.contrib
from ml_collections import ConfigDict

from dl import registry
from dl.errors import UserError, unknown
from dl.training import rules, schedules
from dl.training.lbfgs import lbfgs
from dl.training.momentum import ramped
from dl.training.schedules import number, plain

Tree = Any  # a pytree of arrays
_COMMON = ("learning_rate", "schedule", "clip_norm", "l1", "l2", "rules")
NOT_SETTINGS = (
    "learning_rate",
    "mask",
    "weight_decay_mask",
    "trust_ratio_mask",
    "muon_weight_dimension_numbers",
    "adam_learning_rate",
)
_BELOW_ONE = ("momentum", "start", "b1", "b2", "decay", "beta", "adam_b1", "adam_b2")


class OptimizerState(NamedTuple):
    """What `build`'s optimizers keep; arrays alone, those of a parameter's shape under a path that ends in the parameter's.

    count: updates made, int32 scalar.
    learning_rate: rate of the last update, before the rules' scales, float32 scalar; of the first one where none was made.
    which: index of the learning rate in use, of those that `build` was given, int32 scalar; see `choose_rate`.
    inner: optax's own state; nothing for frozen parameters.
    """

    count: jax.Array  # type: ignore[assignment]  # a field, where tuples have a method
    learning_rate: jax.Array
    which: jax.Array
    inner: Tree


def learning_rate(opt_state: Tree) -> jax.Array | None:
    """The rate that the last update used: float32 scalar, or [R] where R replicas are stacked; None if the state shows none."""
    found = optax.tree_utils.tree_get_all_with_path(opt_state, "learning_rate")
    return found[0][1] if found else None


def choose_rate(opt_state: Tree, which: jax.Array) -> Tree:
    """The state before the first update, of an optimizer that uses its learning rate number `which` (int32 scalar).

    Replicas of one program differ in nothing else. An optimizer of one learning rate keeps to it; states that are not of
    `build`'s making are left as they are.
    """

    def chosen(state: Tree) -> Tree:
        return state._replace(which=jnp.asarray(which, jnp.int32)) if isinstance(state, OptimizerState) else state

    return jax.tree.map(chosen, opt_state, is_leaf=lambda state: isinstance(state, OptimizerState))


def build(settings: Mapping[str, Any] | ConfigDict, steps: int) -> optax.GradientTransformation:
    """The optimizer that `config.optimizer` describes, for a tree of parameter groups `{"model": {...}, ...}`.

    Args:
        settings: `name`, `learning_rate`, and where wanted `schedule` (see `dl.training.schedules`), `clip_norm` (0: none; of
            the gradient of all that this optimizer moves), `l1` and `l2` (adding l1 sum|w| + l2/2 sum w^2 over the weights to
            the loss), `rules`, and what the optimizer of that name takes (see the module's table). `learning_rate` may be a
            traced scalar, or several, of which `choose_rate` chooses one, so that replicas can differ in it.
        steps: the updates that this optimizer will make in all, for its schedule.

    Returns:
        The transformation; its state is an `OptimizerState`. `update` needs `params`. `init` raises UserError, also while it is
        traced, where the rules do not divide the parameters.

    Raises:
        UserError: an unknown optimizer, schedule or setting, or a value out of range.
    """
    chosen = plain(settings)
    name = chosen.pop("name", None)
    if name not in OPTIMIZERS:
        raise unknown("optimizer", str(name), OPTIMIZERS)
    if "learning_rate" not in chosen:
        raise UserError("the optimizer needs the setting 'learning_rate'.")
    common = {key: chosen.pop(key) for key in _COMMON if key in chosen}
    section, rates = common.get("schedule", {}), _rates(common["learning_rate"])
    if not isinstance(section, Mapping | ConfigDict):
        raise UserError(f"optimizer.schedule must be a section such as {{'name': 'cosine'}}, not {section!r}.")
    for rate in rates:
        schedules.build(section, rate, steps)  # raises
    divided = rules.read(common.get("rules", ()), common.get("l1", 0.0), common.get("l2", 0.0))
    clip_norm = rules.not_negative(common.get("clip_norm", 0.0), "optimizer.clip_norm")
    if name == "lbfgs" and any(rule.l1 or rule.l2 or rule.learning_rate_scale != 1.0 for rule in divided):
        raise UserError("the optimizer lbfgs takes no l1, l2 or learning_rate_scale: its line search would not see them.")
    own = _checked(name, chosen)

    def scheduled(schedule: optax.Schedule) -> optax.GradientTransformation:
        optimizer = registry.call(OPTIMIZERS[name], f"optimizer {name!r}", own, learning_rate=schedule)
        return _ruled(optimizer, divided, clip_norm)

    def schedule_of(which: jax.Array) -> optax.Schedule:
        return schedules.build(section, jnp.asarray(rates, jnp.float32)[jnp.minimum(which, len(rates) - 1)], steps)

    return _counted(scheduled, schedule_of, divided)


def _rates(given: Any) -> list[Any]:
    """The learning rates, one or several, of which traced ones are taken as they are."""
    several = given if isinstance(given, list | tuple) and given else [given]
    return [rate if isinstance(rate, jax.Array) else number(rate, "optimizer.learning_rate") for rate in several]


def _ruled(
    optimizer: optax.GradientTransformation, divided: tuple[rules.Rule, ...], clip_norm: float
) -> optax.GradientTransformation:
    """The optimizer between penalties, clipping and the rules' scales, in this order; it does not see what is frozen."""
    parts = [rules.penalties(divided)] if any(rule.l1 or rule.l2 for rule in divided) else []
    parts += [optax.clip_by_global_norm(clip_norm)] if clip_norm else []
    parts += [optimizer]
    parts += [rules.scales(divided)] if any(rule.learning_rate_scale != 1.0 for rule in divided) else []
    moved = optax.chain(*parts)
    if any(rule.frozen for rule in divided):
        return optax.partition({"moved": moved, "frozen": optax.set_to_zero()}, functools.partial(rules.labels, divided))
    return moved


def _matrices(params: Tree) -> Tree:
    """For Muon: weights as matrices [inputs, outputs], convolutions flattened; None (Adam) for embeddings and all others."""

    def numbers(path: Any, leaf: Any) -> optax.contrib.MuonDimensionNumbers | None:
        name = rules.path_name(path)
        if leaf.ndim < 2 or name.endswith("embedding") or not rules.is_weight(name, leaf.ndim):
            return None
        return optax.contrib.MuonDimensionNumbers(tuple(range(leaf.ndim - 1)), leaf.ndim - 1)

    return jax.tree.map_with_path(numbers, params)


# A new optimizer is a new line: any function of optax that takes `learning_rate` and makes a GradientTransformation.
OPTIMIZERS: dict[str, Callable[..., optax.GradientTransformation]] = {
    "sgd": optax.sgd,
    "momentum": functools.partial(optax.sgd, momentum=0.9),
    "ramped": ramped,
    "nesterov": functools.partial(optax.sgd, momentum=0.9, nesterov=True),
    "adam": optax.adam,
    "adamw": functools.partial(optax.adamw, mask=rules.weights),
    "rmsprop": optax.rmsprop,
    "adagrad": optax.adagrad,
    "lamb": functools.partial(optax.lamb, mask=rules.weights),
    "lars": functools.partial(optax.lars, weight_decay_mask=rules.weights, trust_ratio_mask=rules.weights),
    "muon": functools.partial(optax.contrib.muon, weight_decay_mask=rules.weights, muon_weight_dimension_numbers=_matrices),
    "lbfgs": lbfgs,
}


def _counted(
    scheduled: Callable[[optax.Schedule], optax.GradientTransformation],
    schedule_of: Callable[[jax.Array], optax.Schedule],
    divided: tuple[rules.Rule, ...],
) -> optax.GradientTransformation:
    """What `scheduled` makes of the schedule of the chosen rate, with that choice, the rate and the count in its state."""

    def rate(schedule: optax.Schedule, count: jax.Array) -> jax.Array:
        return jnp.asarray(schedule(count), jnp.float32)

    def init(params: Tree) -> OptimizerState:
        rules.check_cover(divided, params)
        count = which = jnp.zeros((), jnp.int32)
        schedule = schedule_of(which)
        return OptimizerState(count, rate(schedule, count), which, scheduled(schedule).init(params))

    def update(updates: Tree, state: OptimizerState, params: Tree | None = None, **extra: Any) -> tuple[Tree, OptimizerState]:
        schedule = schedule_of(state.which)
        inner_update = optax.with_extra_args_support(scheduled(schedule)).update
        updates, inner = inner_update(updates, state.inner, params, **extra)
        return updates, OptimizerState(optax.safe_increment(state.count), rate(schedule, state.count), state.which, inner)

    return optax.GradientTransformationExtraArgs(init, update)


def _checked(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the optimizer `name` itself: known, and numbers where its defaults are, whole ones made floats."""
    takes = {key: p.default for key, p in inspect.signature(OPTIMIZERS[name]).parameters.items() if key not in NOT_SETTINGS}
    out: dict[str, Any] = {}
    for key, value in settings.items():
        if key not in takes:
            raise unknown(f"setting of optimizer {name!r}", key, [*takes, *_COMMON])
        if isinstance(takes[key], float) or (key in _BELOW_ONE and value is not None):
            value = rules.not_negative(value, f"optimizer.{key}")
        if key in _BELOW_ONE and value is not None and value >= 1:
            raise UserError(f"optimizer.{key} must be at least 0 and below 1, not {value:g}.")
        out[key] = value
    return out
