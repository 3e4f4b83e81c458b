"""Frozen layers: constants to the gradient, and batch normalisation that keeps to its running statistics.

Which layers, the optimizer's rules say (`dl.training.optimizers`): `{"pattern": "model/layer1_.*", "frozen": True}`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import flax.linen as nn
import jax

Frozen = Callable[[str], bool]  # of the path of a parameter, `model/conv1/kernel`


def frozen(rules: Sequence[Mapping[str, Any]]) -> Frozen:
    """Whether an optimizer with these rules, which it has checked, leaves the parameter of a path as it is."""
    compiled = [(re.compile(rule["pattern"]), bool(rule.get("frozen", False))) for rule in rules]
    return lambda path: next((is_frozen for pattern, is_frozen in compiled if pattern.fullmatch(path)), False)


def nothing(path: str) -> bool:
    """No parameter is frozen."""
    return False


def constant(params: Any, is_frozen: Frozen) -> Any:
    """The same parameters, the frozen ones without a gradient, so that none is computed for the layers before them either."""

    def one(path: Any, leaf: jax.Array) -> jax.Array:
        return jax.lax.stop_gradient(leaf) if is_frozen(jax.tree_util.keystr(path, simple=True, separator="/")) else leaf

    return jax.tree.map_with_path(one, params)


def frozen_statistics(group: str, is_frozen: Frozen) -> AbstractContextManager[Any]:
    """Within it, every `nn.BatchNorm` whose scale or bias is frozen normalises by its running statistics and keeps them.

    So a frozen layer gives in training what it gives in evaluation; otherwise its statistics would drift to the new data.

    Args:
        group: the parameter group of the module that is applied, `model`.
        is_frozen: path of a parameter -> whether it is frozen.
    """

    def intercept(call: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
        module = context.module
        if not isinstance(module, nn.BatchNorm) or context.method_name != "__call__" or module.is_initializing():
            return call(*args, **kwargs)
        path = "/".join((group, *module.path))
        if not any(is_frozen(f"{path}/{name}") for name in ("scale", "bias")):
            return call(*args, **kwargs)
        frozen_module = module.clone(parent=None, name=None, use_running_average=True)
        return frozen_module.apply(module.variables, *args, **{k: v for k, v in kwargs.items() if k != "use_running_average"})

    return nn.intercept_methods(intercept)
