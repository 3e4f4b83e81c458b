"""What makes the state of a node of a binary tree from those of its two children a and b.

    cell     parent                                                        source
    plain    h = tanh(W [a; b] + b)                                        Socher et al. 2013, section 4.1
    tensor   h = tanh([a; b]' V [a; b] + W [a; b] + b)                     Socher et al. 2013, section 4.3 (the RNTN)
    lstm     i, f_a, f_b, o, u = U [h_a; h_b] + b;                         Tai et al. 2015, eqs. 9-14, without an input at
             c = s(i) tanh(u) + s(f_a) c_a + s(f_b) c_b;                   inner nodes
             h = s(o) tanh(c)

s is the logistic function. Row by row: states are [N, D], those of `lstm` (h, c).
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

State = tuple[Array, ...]
Params = Mapping[str, Array]


class TreeCell(NamedTuple):
    """A kind of node. states: arrays of a state; compose: parameters, left state, right state -> state of the parent."""

    states: int
    compose: Callable[[Params, State, State], State]


def plain(params: Params, left: State, right: State) -> State:
    """`kernel` [2 D, D], `bias` [D]."""
    both = jnp.concatenate([left[0], right[0]], axis=-1)
    return (jnp.tanh(both @ params["kernel"] + params["bias"]),)


def tensor(params: Params, left: State, right: State) -> State:
    """`kernel` [2 D, D], `bias` [D], and `tensor` [2 D, 2 D, D], the slice V^[k] in `tensor[:, :, k]`."""
    both = jnp.concatenate([left[0], right[0]], axis=-1)
    return (jnp.tanh(quadratic(both, params["tensor"]) + both @ params["kernel"] + params["bias"]),)


def quadratic(x: Float[Array, "n d"], slices: Float[Array, "d d k"]) -> Float[Array, "n k"]:
    """The form x' V^[k] x of each slice k, by one product with the slices side by side."""
    wide = (x @ slices.reshape(len(slices), -1)).reshape(len(x), *slices.shape[1:])
    return (x[:, :, None] * wide).sum(1)


def lstm(params: Params, left: State, right: State) -> State:
    """`kernel` [2 D, 5 D], `bias` [5 D], blocks in the order i, f_a, f_b, o, u."""
    gates = jnp.concatenate([left[0], right[0]], axis=-1) @ params["kernel"] + params["bias"]
    i, to_left, to_right, o, u = jnp.split(gates, 5, axis=-1)
    c = nn.sigmoid(i) * jnp.tanh(u) + nn.sigmoid(to_left) * left[1] + nn.sigmoid(to_right) * right[1]
    return nn.sigmoid(o) * jnp.tanh(c), c


CELLS = {"plain": TreeCell(1, plain), "tensor": TreeCell(1, tensor), "lstm": TreeCell(2, lstm)}
