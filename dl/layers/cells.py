"""Recurrent cells, and the loop over the steps of a sequence.

    cell           step from h (and c); x is U x_t + b, the projected input                  source
    elman          h' = f(x + W h)                                                           Elman 1990
    irnn           the same with f = relu and W the identity at first, b = 0                 Le, Jaitly & Hinton 2015
    lstm           i, f, g, o = x + W h;  c' = s(f) c + s(i) tanh(g);  h' = s(o) tanh(c')    Gers et al. 2000
    lstm_peephole  the same with i + p_i c, f + p_f c and o + p_o c'                         Gers et al. 2002
    gru            r, z, n;  n' = tanh(x_n + W_n (r h));  h' = z h + (1 - z) n'              Cho et al. 2014, eqs. 5-8
    gru_after      the same with n' = tanh(x_n + r (W_n h + b_n)), as cuDNN and PyTorch      Cho et al. 2014, version 1

s is the logistic function; r and z are s(x + W h).

What makes the loop fast: the gradient of W is one product after it. In the backward loop JAX would add up T small products,
each as large as W. So W is a constant to the differentiated loop, and its gradient is found from what every product was given
and what came back to its result. On the CPU the time and batch axes are made one first, as the gradient is slow otherwise.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dl.errors import UserError, unknown
from dl.layers import backend
from dl.layers.activations import FUNCTIONS

State = tuple[Array, ...]  # h [B, H], and for an LSTM c [B, H]
Tree = Any
Product = Callable[[int, Array], Array]  # number, u [B, H] -> tap + u W
Step = Callable[[Tree, State, Product, Tree], State]  # parameters, state, product, rest of the input -> state


class Cell(NamedTuple):
    """A kind of recurrent unit.

    inputs: blocks of H columns of the projected input.
    products: blocks of the result of each product with recurrent weights.
    states: arrays of the state, h first.
    step: one step; see `Step`.
    """

    inputs: int
    products: tuple[int, ...]
    states: int
    step: Step


def _elman(function: str, params: Tree, state: State, product: Product, rest: Tree) -> State:
    return (FUNCTIONS[function](product(0, state[0])),)


def _lstm(params: Tree, state: State, product: Product, rest: Tree) -> State:
    h, c = state
    i, f, g, o = jnp.split(product(0, h), 4, axis=-1)
    c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
    return nn.sigmoid(o) * jnp.tanh(c), c


def _lstm_peephole(params: Tree, state: State, product: Product, rest: Tree) -> State:
    h, c = state
    i, f, g, o = jnp.split(product(0, h), 4, axis=-1)
    to_input, to_forget, to_output = params["peephole"]
    c = nn.sigmoid(f + to_forget * c) * c + nn.sigmoid(i + to_input * c) * jnp.tanh(g)
    return nn.sigmoid(o + to_output * c) * jnp.tanh(c), c


def _gru(params: Tree, state: State, product: Product, rest: Tree) -> State:
    (h,) = state
    r, z = jnp.split(nn.sigmoid(product(0, h)), 2, axis=-1)
    n = jnp.tanh(product(1, r * h))
    return (z * h + (1 - z) * n,)


def _gru_after(params: Tree, state: State, product: Product, rest: Tree) -> State:
    (h,) = state
    r, z, n = jnp.split(product(0, h), 3, axis=-1)
    r, z = nn.sigmoid(r), nn.sigmoid(z)
    return (z * h + (1 - z) * jnp.tanh(rest["n"] + r * n),)


CELLS = {
    "elman": Cell(1, (1,), 1, partial(_elman, "tanh")),
    "irnn": Cell(1, (1,), 1, partial(_elman, "relu")),
    "lstm": Cell(4, (4,), 2, _lstm),
    "lstm_peephole": Cell(4, (4,), 2, _lstm_peephole),
    "gru": Cell(3, (2, 1), 1, _gru),
    "gru_after": Cell(3, (3,), 1, _gru_after),
}


def find_cell(name: str, activation: str = "") -> Cell:
    """The cell of that name; `activation` replaces f of `elman`.

    Raises:
        UserError: no such cell or activation, or an activation for another cell than `elman`.
    """
    if name not in CELLS:
        raise unknown("cell", name, CELLS)
    if not activation:
        return CELLS[name]
    if name != "elman":
        raise UserError(f"the activation of the cell {name!r} is part of it; only that of 'elman' can be set.")
    if activation not in FUNCTIONS:
        raise unknown("activation", activation, FUNCTIONS)
    return CELLS["elman"]._replace(step=partial(_elman, activation))


def _scan(step: Step, kernels: State, params: Tree, taps: State, rest: Tree, state: State) -> Any:
    """((h of every step [T, B, H], last state), what each product was given [T, B, H])."""

    def body(state: State, inputs: Any) -> Any:
        taps, rest = inputs
        given: list[Array] = []

        def product(number: int, u: Array) -> Array:
            u = u * params["mask"] if "mask" in params else u
            given.append(u)
            return taps[number] + u @ kernels[number]

        new = step(params, state, product, rest)
        if "valid" in rest:  # past its end the state of a sequence is kept
            new = tuple(jnp.where(rest["valid"] > 0, n, o) for n, o in zip(new, state, strict=True))
        return new, (new[0], tuple(given))

    last, (outputs, given) = jax.lax.scan(body, state, (taps, rest))
    return (outputs, last), given


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def recur(step: Step, kernels: State, params: Tree, taps: State, rest: Tree, state: State) -> tuple[Array, State]:
    """The recurrence: h of every step [T, B, H] and the last state.

    Args:
        step: one step of a cell.
        kernels: the recurrent weights [H, blocks * H] of each product.
        params: what else the step takes; `mask` [B, H], where there is one, multiplies what the products are given.
        taps: what is added to the result of each product [T, B, blocks * H]: the projected inputs.
        rest: other inputs [T, B, ...]; where `valid` [T, B, 1] is 0 the state stays as it is.
        state: before the first step, each [B, H].
    """
    return _scan(step, kernels, params, taps, rest, state)[0]


def _recur_forward(step: Step, kernels: State, params: Tree, taps: State, rest: Tree, state: State) -> Any:
    result, pull, given = jax.vjp(partial(_scan, step, kernels), params, taps, rest, state, has_aux=True)
    return result, (pull, given)


def _recur_backward(step: Step, residuals: Any, cotangent: Any) -> Any:
    pull, given = residuals
    params, taps, rest, state = pull(cotangent)
    return tuple(_outer(u, tap) for u, tap in zip(given, taps, strict=True)), params, taps, rest, state


recur.defvjp(_recur_forward, _recur_backward)


def _outer(u: Float[Array, "t b h"], v: Float[Array, "t b g"]) -> Float[Array, "h g"]:
    if backend.prefers_matmul():
        return u.reshape(-1, u.shape[-1]).T @ v.reshape(-1, v.shape[-1])
    return jnp.einsum("tbh,tbg->hg", u, v)


def initial_state(cell: str, features: int, batch: int, dtype: DTypeLike = jnp.float32) -> State:
    """Zeros [batch, features] for each array of the cell's state."""
    return tuple(jnp.zeros((batch, features), dtype) for _ in range(find_cell(cell).states))
