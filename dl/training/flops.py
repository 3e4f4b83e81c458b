"""Floating-point operations of a function, counted in its jaxpr: none is run, and the backend does not matter.

    product of matrices, convolution   2 a multiply-add; a convolution's padding counts as data, as in published figures
    arithmetic and functions           1 an element of the result (+, /, max, exp, tanh, ...)
    reductions, cumulative sums        1 an element of the argument; pooling: the window, for each result
    the rest (copies, integers, comparisons, random bits)   0

A scan counts as often as it runs, a branch as its costliest case, a `while` loop once, because how often it runs is not known.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr, JaxprEqn, jaxprs_in_params
from jax.interpreters.partial_eval import dce_jaxpr

_NAMES = """
    add add_any sub mul div rem max min neg abs sign floor ceil round clamp pow integer_pow square sqrt rsqrt cbrt exp exp2 log
    log1p expm1 tanh logistic sin cos tan asin acos atan atan2 sinh cosh asinh acosh atanh erf erfc erf_inv lgamma digamma
"""
_ELEMENTWISE = frozenset(_NAMES.split())
_REDUCTIONS = frozenset(
    ["reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp"]
)
_WINDOWS = frozenset(["reduce_window_sum", "reduce_window_max", "reduce_window_min"])


class Operation(NamedTuple):
    """flops: of all its executions. times: how many they are. scope: its name stack, with those of the loops it is in."""

    flops: int
    times: int
    scope: str


def traced(function: Callable[..., Any], *arguments: Any) -> Jaxpr:
    """The program of `function` for arguments of these shapes, without what does not bear on its results."""
    jaxpr = jax.make_jaxpr(function)(*arguments).jaxpr
    return dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars), instantiate=True)[0]


def operations(jaxpr: Jaxpr, times: int = 1, scope: str = "") -> Iterator[Operation]:
    """Every operation of `jaxpr`; a loop, branch or call, itself without cost, is followed by those inside it."""
    for eqn in jaxpr.eqns:
        here = f"{scope}/{eqn.source_info.name_stack}"
        inner = [] if _counted(eqn) else list(jaxprs_in_params(eqn.params))
        yield Operation(_flops(eqn) * times, times, here)
        if inner and eqn.primitive.name == "cond":
            branches = [list(operations(branch, times, here)) for branch in inner]
            yield from max(branches, key=lambda branch: sum(o.flops for o in branch))
        else:
            repeated = times * (eqn.params["length"] if eqn.primitive.name == "scan" else 1)
            for sub in inner:
                yield from operations(sub, repeated, here)


def total(function: Callable[..., Any], *arguments: Any) -> int:
    """The floating-point operations of `function` for arguments of these shapes."""
    return sum(operation.flops for operation in operations(traced(function, *arguments)))


def _counted(eqn: JaxprEqn) -> bool:
    """Whether the operation is counted as a whole: a scatter, for one, holds its addition as a jaxpr."""
    return _flops(eqn) > 0


def _flops(eqn: JaxprEqn) -> int:
    name = eqn.primitive.name
    out: Any = eqn.outvars[0].aval if eqn.outvars else None
    if not hasattr(out, "dtype") or not jnp.issubdtype(out.dtype, jnp.inexact):
        return 0
    if name == "dot_general":
        (contracted, _), _ = eqn.params["dimension_numbers"]
        return 2 * out.size * math.prod(_shape(eqn, 0)[d] for d in contracted)
    if name == "conv_general_dilated":
        return _convolution(eqn)
    if name in _ELEMENTWISE:
        return out.size
    if name in _REDUCTIONS:
        return math.prod(_shape(eqn, 0))
    if name in _WINDOWS:
        return out.size * math.prod(eqn.params["window_dimensions"])
    if name == "select_and_scatter_add":  # the gradient of max-pooling; its first argument is that of the result
        return math.prod(_shape(eqn, 0)) * math.prod(eqn.params["window_dimensions"])
    if name.replace("-", "_") in ("scatter_add", "scatter_mul"):
        return math.prod(_shape(eqn, 2))
    return 0


def _convolution(eqn: JaxprEqn) -> int:
    """2 for each pair of a kernel element and an image element or result that it meets, along each axis whichever are fewer.

    A strided convolution has fewer results; a transposed one, and a gradient with respect to the image, is an image with holes
    and full padding, and has fewer elements. So each costs the same as its transpose, as it does in fact.
    """
    numbers = eqn.params["dimension_numbers"]
    result: Any = eqn.outvars[0].aval
    image, kernel, out = _shape(eqn, 0), _shape(eqn, 1), result.shape
    met = [min(image[i], out[o]) for i, o in zip(numbers.lhs_spec[2:], numbers.out_spec[2:], strict=True)]
    window = [kernel[k] for k in numbers.rhs_spec[2:]]
    channels = out[numbers.out_spec[1]] * kernel[numbers.rhs_spec[1]]
    return 2 * out[numbers.out_spec[0]] * channels * math.prod(met) * math.prod(window)


def _shape(eqn: JaxprEqn, argument: int) -> tuple[int, ...]:
    aval: Any = eqn.invars[argument].aval
    return aval.shape
