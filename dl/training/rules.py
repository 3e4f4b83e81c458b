"""Rules that divide the parameters, and what counts as a weight.

A **weight** is a parameter named `kernel` or `embedding`, or one of two axes or more whose name does not end in `bias`, `scale`
or `slope` (stacked and per-head biases have two axes too). Penalties and weight decay act on weights alone: not on biases, the
scales of normalisation, or the slopes of activations. LARS adapts the rates of weights alone.

**Rules** divide the parameters: `{"pattern": ..., "learning_rate_scale": 1.0, "frozen": False, "l1": ..., "l2": ...}`. The
pattern is a regular expression that must match the whole path (`re.fullmatch`), e.g. `model/conv1/.*`; the first rule that
matches holds, and each must be the first for some parameter, as with the mesh's rules (`dl.mesh.place`). `l1` and `l2` replace
the general ones for the weights among them.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from dl.errors import UserError, unknown
from dl.training.schedules import number, plain

Tree = Any  # a pytree of arrays


def path_name(path: Any) -> str:
    """The path of a leaf as rules see it: `model/conv1/kernel`."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def not_negative(value: Any, key: str) -> float:
    """The number that the setting `key` has; raises UserError where it is none, or below 0."""
    if number(value, key) < 0:
        raise UserError(f"{key} must not be negative, not {value!r}.")
    return float(value)


def weights(params: Tree) -> Tree:
    """True for each parameter that counts as a weight (see the module), False for biases, scales and slopes."""
    return jax.tree.map_with_path(lambda path, leaf: is_weight(path_name(path), leaf.ndim), params)


def is_weight(path: str, axes: int) -> bool:
    """Whether the parameter of that path and so many axes is a weight (see the module)."""
    name = path.rpartition("/")[2]
    return name in ("kernel", "embedding") or (axes >= 2 and not name.endswith(("bias", "scale", "slope")))


@dataclasses.dataclass(frozen=True)
class Rule:
    """What holds for the parameters whose whole path `pattern` matches; not a pytree, so that it can be a leaf."""

    pattern: str
    learning_rate_scale: float = 1.0
    frozen: bool = False
    l1: float = 0.0
    l2: float = 0.0

    def matches(self, path: str) -> bool:
        return re.fullmatch(self.pattern, path) is not None


def read(given: Any, l1: Any, l2: Any) -> tuple[Rule, ...]:
    """The rules as given, checked as far as they can be without the parameters; one for all where none is given."""
    general = {"l1": not_negative(l1, "optimizer.l1"), "l2": not_negative(l2, "optimizer.l2")}
    if not given:
        return (Rule(".*", l1=general["l1"], l2=general["l2"]),)
    return tuple(_rule(settings, general) for settings in given)


def _rule(given: Any, general: Mapping[str, float]) -> Rule:
    if not isinstance(given, Mapping) or not isinstance(given.get("pattern"), str):
        raise UserError(
            f"optimizer.rules: each rule must be a section with a 'pattern', such as {{'pattern': 'model/.*'}}, not {given!r}."
        )
    settings = plain(given)
    fields = [field.name for field in dataclasses.fields(Rule)]
    for key in settings:
        if key not in fields:
            raise unknown(f"setting of the optimizer's rule {settings['pattern']!r}", key, fields)
    try:
        re.compile(settings["pattern"])
    except re.error as error:
        raise UserError(f"optimizer.rules: {settings['pattern']!r} is not a regular expression: {error}.") from None
    where = f"of the optimizer's rule {settings['pattern']!r}"
    scale = number(settings.get("learning_rate_scale", 1.0), f"learning_rate_scale {where}")
    if scale <= 0:
        raise UserError(f"learning_rate_scale {where} must be above 0, not {scale:g}; to freeze parameters, set 'frozen'.")
    frozen = settings.get("frozen", False)
    if not isinstance(frozen, bool):
        raise UserError(f"frozen {where} must be True or False, not {frozen!r}.")
    l1, l2 = (not_negative(settings.get(key, general[key]), f"{key} {where}") for key in ("l1", "l2"))
    return Rule(settings["pattern"], scale, frozen, l1, l2)


def check_cover(rules: tuple[Rule, ...], params: Tree) -> None:
    """Raises UserError unless every parameter has a rule, every rule is the first for some, and not all are frozen."""
    paths = [path_name(path) for path, _ in jax.tree.leaves_with_path(params)]
    if not paths:  # optax.tree_map_params calls `init` with a stand-in that has no leaves
        return
    used: set[Rule] = set()
    for path in paths:
        matching = [rule for rule in rules if rule.matches(path)]
        if not matching:
            raise UserError(f"optimizer.rules: no rule matches the parameter {path!r}; end with one for '.*', the rest.")
        used.add(matching[0])
    for rule in rules:
        if rule not in used:
            known = ", ".join(paths[:5]) + (", ..." if len(paths) > 5 else "")
            left = " that no rule before it matches" if any(rule.matches(path) for path in paths) else ""
            raise UserError(f"optimizer.rules: {rule.pattern!r} matches no parameter{left}. Parameters: {known}.")
    if all(rule.frozen for rule in rules):
        raise UserError("optimizer.rules: every parameter is frozen, so there is nothing to train.")


def _of(rules: tuple[Rule, ...], path: Any) -> Rule:
    return next(rule for rule in rules if rule.matches(path_name(path)))


def labels(rules: tuple[Rule, ...], params: Tree) -> Tree:
    """`moved` or `frozen` for each parameter."""
    return jax.tree.map_with_path(lambda path, _: "frozen" if _of(rules, path).frozen else "moved", params)


def penalties(rules: tuple[Rule, ...]) -> optax.GradientTransformation:
    """Adds the gradient of l1 sum|w| + l2/2 sum w^2 over the weights; that of |w| at 0 is 0, so that zeros stay."""

    def add(path: Any, gradient: Any, weight: Any) -> jax.Array:
        rule = _of(rules, path)
        if not is_weight(path_name(path), weight.ndim):
            return gradient
        gradient = gradient + rule.l2 * weight if rule.l2 else gradient
        return gradient + rule.l1 * jnp.sign(weight) if rule.l1 else gradient

    return optax.stateless(lambda updates, params: jax.tree.map_with_path(add, updates, params))


def scales(rules: tuple[Rule, ...]) -> optax.GradientTransformation:
    """Multiplies each update, which is proportional to the learning rate in all of the optimizers, by its rule's scale."""
    return optax.stateless(
        lambda updates, _: jax.tree.map_with_path(lambda path, u: _of(rules, path).learning_rate_scale * u, updates)
    )
