"""Recursive nets over binary trees, level by level: a batch of trees is a few matrix products.

How trees are stored is told in `dl.trees`: everything is an array of as many rows as the sentence has words. All trees of a
batch compute a level at the same time, each at most `WIDTH` nodes of it, and as many levels as the deepest of them needs.

What makes it fast: every node has one parent, so that its gradient is looked up where its parent has left it, and nothing is
added up at places that differ (a scatter). The gradient of the parameters is found after the loop, of all nodes at once; in the
loop JAX would add up one as large as the parameters for each level.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from dl.trees import WIDTH

Tree = Any  # a pytree of arrays
State = tuple[Array, ...]  # each [N, D]
Cell = Callable[[Tree, State, State], State]  # parameters, states of the left and right children -> of their parents


class Plan(NamedTuple):
    """Where the nodes of B trees over L words lie while they are computed: leaf i in row i, what has the place p in row L + p.

    levels: how many there are, int32 scalar.
    row: of the node at each gap [B, L]; 0 where there is none.
    exists: whether there is a node at a gap, bool [B, L].
    children: rows of the children of the node at each gap [B, L, 2]; 0 where there is none.
    gap: of the node that has a place [B, P]; 0 where there is none.
    parent: of each row [B, L + P], twice the place of the parent, and one more for a right child; 2 P where there is none.
    """

    levels: Int[Array, ""]
    row: Int[Array, "b l"]
    exists: Array
    children: Int[Array, "b l 2"]
    gap: Int[Array, "b p"]
    parent: Int[Array, "b r"]


def plan(children: Int[Array, "b l 2"], place: Int[Array, "b l"]) -> Plan:
    """The plan of some trees, from `children` and `place` of `dl.trees.SentenceTree`; `place` is padded with -1."""
    batch, length = place.shape
    children, place = children.astype(jnp.int32), place.astype(jnp.int32)
    exists, places = place >= 0, max(length - 1, 1) * WIDTH
    row = jnp.where(exists, length + place, 0)
    inner = jnp.take_along_axis(row[:, :, None], jnp.maximum(-children, 0), axis=1)
    rows = jnp.where(exists[:, :, None], jnp.where(children < 0, inner, children), 0)
    trees, nowhere = jnp.arange(batch)[:, None], length + places
    gap = jnp.zeros((batch, places), jnp.int32)
    gap = gap.at[trees, jnp.where(exists, place, places)].set(jnp.arange(length), mode="drop")
    parent = jnp.full((batch, nowhere), 2 * places, jnp.int32)
    slots = 2 * place[:, :, None] + jnp.arange(2)
    parent = parent.at[trees[:, :, None], jnp.where(exists[:, :, None], rows, nowhere)].set(slots, mode="drop")
    return Plan(place.max() // WIDTH + 1, row, exists, rows, gap, parent)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def compose(cell: Cell, params: Tree, leaves: State, nodes: Plan) -> State:
    """The states of the inner nodes at each gap, each [B, L, D]; zeros where there is none.

    Args:
        cell: what makes the states of parents of those of their children, row by row.
        params: of the cell.
        leaves: states of the leaves, each [B, L, D].
        nodes: where they lie.
    """
    return _at_gaps(_run(cell, params, leaves, nodes), nodes)


def _run(cell: Cell, params: Tree, leaves: State, nodes: Plan) -> State:
    """The states of all rows [B, L + P, D]."""
    batch, length = nodes.row.shape
    rows = tuple(jnp.pad(leaf, ((0, 0), (0, nodes.gap.shape[1]), (0, 0))) for leaf in leaves)

    def level(number: Array, rows: State) -> State:
        now = cell(params, *_children(rows, nodes, _part(nodes.gap, number * WIDTH)))
        start = length + number * WIDTH
        return tuple(_put(r, n.reshape(batch, WIDTH, -1), start) for r, n in zip(rows, now, strict=True))

    return jax.lax.fori_loop(0, nodes.levels, level, rows)


def _forward(cell: Cell, params: Tree, leaves: State, nodes: Plan) -> Any:
    rows = _run(cell, params, leaves, nodes)
    return _at_gaps(rows, nodes), (params, rows, nodes)


def _backward(cell: Cell, saved: Any, cotangents: State) -> Any:
    params, rows, nodes = saved
    length, places = nodes.row.shape[1], nodes.gap.shape[1]
    asked = tuple(c * nodes.exists[:, :, None] for c in cotangents)  # what is asked of a node from outside

    def passed(given: State, start: Any, count: int) -> State:
        """What the parents of some rows have left for them."""
        parents = jax.lax.dynamic_slice_in_dim(nodes.parent, start, count, 1)
        return _pick(given, parents)

    def level(number: Array, carry: tuple[State, State]) -> tuple[State, State]:
        whole, given = carry
        start = (nodes.levels - 1 - number) * WIDTH
        gaps = _part(nodes.gap, start)
        total = _sum(_pick(asked, gaps), passed(given, length + start, WIDTH))  # gap 0 has no node, and is asked nothing
        _, pull = jax.vjp(partial(cell, params), *_children(rows, nodes, gaps))
        left, right = pull(tuple(t.reshape(-1, t.shape[-1]) for t in total))
        both = (jnp.stack(pair, axis=1).reshape(len(gaps), 2 * WIDTH, -1) for pair in zip(left, right, strict=True))
        given = tuple(_put(g, b, 2 * start) for g, b in zip(given, both, strict=True))
        return tuple(_put(w, t, start) for w, t in zip(whole, total, strict=True)), given

    whole = tuple(jnp.zeros((len(c), places, c.shape[-1]), c.dtype) for c in cotangents)
    given = tuple(jnp.zeros((len(r), 2 * places + 1, r.shape[-1]), r.dtype) for r in rows)  # the last for what has no parent
    whole, given = jax.lax.fori_loop(0, nodes.levels, level, (whole, given))
    of_gaps = _pick(whole, jnp.maximum(nodes.row - length, 0))
    flat = tuple((c * nodes.exists[:, :, None]).reshape(-1, c.shape[-1]) for c in of_gaps)
    every = jnp.broadcast_to(jnp.arange(length), nodes.row.shape)
    (of_params,) = jax.vjp(lambda p: cell(p, *_children(rows, nodes, every)), params)[1](flat)
    return of_params, passed(given, 0, length), None


compose.defvjp(_forward, _backward)


def _children(rows: State, nodes: Plan, gaps: Int[Array, "b w"]) -> tuple[State, State]:
    """The states of the left and of the right children of the nodes at some gaps, each [B * W, D]."""
    places = jnp.take_along_axis(nodes.children, gaps[:, :, None], axis=1)
    left, right = (_pick(rows, places[:, :, side]) for side in (0, 1))
    return tuple(x.reshape(-1, x.shape[-1]) for x in left), tuple(x.reshape(-1, x.shape[-1]) for x in right)


def _at_gaps(rows: State, nodes: Plan) -> State:
    return tuple(x * nodes.exists[:, :, None] for x in _pick(rows, nodes.row))


def _pick(values: State, index: Int[Array, "b w"]) -> State:
    return tuple(jnp.take_along_axis(x, index[:, :, None], axis=1) for x in values)


def _part(values: Int[Array, "b p"], start: Any) -> Int[Array, "b w"]:
    return jax.lax.dynamic_slice_in_dim(values, start, WIDTH, 1)


def _put(values: Float[Array, "b p d"], new: Float[Array, "b w d"], start: Any) -> Float[Array, "b p d"]:
    return jax.lax.dynamic_update_slice_in_dim(values, new.astype(values.dtype), start, 1)


def _sum(a: State, b: State) -> State:
    return tuple(x + y for x, y in zip(a, b, strict=True))
