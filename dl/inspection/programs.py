"""A network's forward pass as a program that can be changed: another backward pass of its ReLUs, or another value of a layer.

Guided backpropagation and deconvolution differ from the gradient only in what a ReLU does to the signal on its way back:

    rule        signal at the input, of x and the signal g at the output
    gradient    g where x > 0
    deconvnet   max(g, 0)                                   Zeiler & Fergus 2014, section 2.1
    guided      max(g, 0) where x > 0                       Springenberg et al. 2015, section 3.1, figure 1

Models call `nn.relu` and know nothing of this. The function is traced to a jaxpr, which is evaluated again with another rule
in the place of every `relu` call: so it works for each network, those included that are written later, and no layer needs a
switch. What is no `nn.relu` (a tanh, a leaky ReLU, `jnp.maximum(x, 0)`) keeps its gradient.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core
from jax.extend.core import primitives
from jaxtyping import Array, Float

from dl.errors import UserError, unknown

Rule = Callable[[Array, Array], Array]
RULES: dict[str, Rule] = {
    "gradient": lambda x, g: jnp.where(x > 0, g, 0),
    "deconvnet": lambda x, g: jnp.maximum(g, 0),
    "guided": lambda x, g: jnp.where(x > 0, jnp.maximum(g, 0), 0),
}
INLINED = {primitives.jit_p: "jaxpr", primitives.remat_p: "jaxpr", primitives.closed_call_p: "call_jaxpr"}


def with_rule(function: Callable[..., Any], rule: str) -> Callable[..., Any]:
    """The function with the same values, whose ReLUs pass signals back by the `rule`.

    Raises:
        UserError: no such rule; when it is called, a ReLU inside a loop, which is out of reach.
    """
    if rule not in RULES:
        raise unknown("rule for ReLUs", rule, RULES)
    if rule == "gradient":
        return function
    rectifier = _rectifier(RULES[rule])

    def changed(*args: Any) -> Any:
        program, shape = jax.make_jaxpr(function, return_shape=True)(*args)
        results = _evaluate(program.jaxpr, program.consts, jax.tree.leaves(args), rectifier, {})
        return jax.tree.unflatten(jax.tree.structure(shape), results)

    return changed


def cut(
    function: Callable[[Array], tuple[Array, Array]], x: Float[Array, "..."]
) -> tuple[Array, Array, Callable[[Array], Array]]:
    """Cuts a function in two at a value that it computes on its way.

    Args:
        function: x -> (result, value).
        x: where.

    Returns:
        The result, the value, and the rest of the function: value -> result, where all that does not come by the value (a
        connection that skips the layer) stays as it is for `x`.

    Raises:
        ValueError: the result is not computed from the value, but perhaps from another of the same kind (a mistake in the
            calling program, such as two passes of the network).
    """
    program = jax.make_jaxpr(function)(x)
    at = program.jaxpr.outvars[-1]
    if not _leads(program.jaxpr, at):
        raise ValueError("the result does not depend on the value at which the function is cut")

    def rest(value: Array) -> Array:
        return _evaluate(program.jaxpr, program.consts, [x], None, {at: value})[0]

    result, value = _evaluate(program.jaxpr, program.consts, [x], None, {})
    return result, value, rest


def _leads(jaxpr: core.Jaxpr, at: Any) -> bool:
    """Whether the first output is computed from the variable."""
    reached = {at}
    for equation in jaxpr.eqns:
        if any(not isinstance(v, core.Literal) and v in reached for v in equation.invars):
            reached.update(equation.outvars)
    return not isinstance(at, core.Literal) and jaxpr.outvars[0] in reached


def _rectifier(rule: Rule) -> Callable[[Array], Array]:
    rectifier = jax.custom_vjp(lambda x: jnp.maximum(x, 0))
    rectifier.defvjp(lambda x: (jnp.maximum(x, 0), x), lambda x, g: (rule(x, g).astype(g.dtype),))
    return rectifier


def _evaluate(
    jaxpr: core.Jaxpr,
    consts: Sequence[Any],
    args: Sequence[Any],
    rectifier: Callable[[Array], Array] | None,
    replaced: Mapping[Any, Array],
) -> list[Any]:
    """The outputs of a jaxpr, with `rectifier` for its ReLUs, and the variables in `replaced` having those values."""
    values: dict[Any, Any] = {}

    def write(variables: Sequence[Any], results: Sequence[Any]) -> None:
        for variable, result in zip(variables, results, strict=True):
            values[variable] = replaced.get(variable, result)

    write(jaxpr.constvars, consts)
    write(jaxpr.invars, args)
    for equation in jaxpr.eqns:
        given = [v.val if isinstance(v, core.Literal) else values[v] for v in equation.invars]
        with equation.ctx.manager:
            write(equation.outvars, _apply(equation, given, rectifier))
    return [v.val if isinstance(v, core.Literal) else values[v] for v in jaxpr.outvars]


def _apply(equation: core.JaxprEqn, given: list[Any], rectifier: Callable[[Array], Array] | None) -> Sequence[Any]:
    if rectifier is not None and _is_relu(equation):
        return [rectifier(*given)]
    if rectifier is not None and _holds_relu(equation):
        if equation.primitive not in INLINED:
            raise UserError(f"a ReLU inside of {equation.primitive} can't be given another rule: only gradients are shown.")
        inner = equation.params[INLINED[equation.primitive]]
        jaxpr, consts = (inner.jaxpr, inner.consts) if isinstance(inner, core.ClosedJaxpr) else (inner, ())
        return _evaluate(jaxpr, consts, given, rectifier, {})
    results = equation.primitive.bind(*given, **equation.primitive.get_bind_params(equation.params))
    return results if equation.primitive.multiple_results else [results]


def _is_relu(equation: core.JaxprEqn) -> bool:
    """`nn.relu` is JAX's: a `custom_jvp` of a jitted function of that name."""
    if equation.primitive is not primitives.custom_jvp_call_p:
        return False
    inner = equation.params["call_jaxpr"].eqns
    return len(inner) == 1 and inner[0].primitive is primitives.jit_p and inner[0].params["name"] == "relu"


def _holds_relu(equation: core.JaxprEqn) -> bool:
    return any(
        _is_relu(inner) or _holds_relu(inner) for jaxpr in core.jaxprs_in_params(equation.params) for inner in jaxpr.eqns
    )
