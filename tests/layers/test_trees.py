"""Recursive nets by levels do what a recursion over each tree does, forwards and backwards."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.layers.tree_cells import CELLS, quadratic
from dl.layers.trees import compose, plan
from dl.trees import parse, right_branching

SENTENCES = [
    "((This movie) ((was (actually ((neither (that funny)) (, (nor (super witty)))))) .))",
    "(a (b c))",
    "(((a b) (c d)) ((e f) (g h)))",
    "(((((a b) c) d) e) f)",
]
SIZE = 3


def trees():
    return [*(parse(text, labelled=False) for text in SENTENCES), right_branching(["word"]), right_branching(list("abcdefg"))]


def padded(forest, length):
    children, place = np.zeros((len(forest), length, 2), np.int16), np.full((len(forest), length), -1, np.int16)
    for i, tree in enumerate(forest):
        children[i, : len(tree.words)], place[i, : len(tree.words)] = tree.children, tree.place
    return jnp.asarray(children), jnp.asarray(place)


def weights(name, seed=0):
    rng = np.random.default_rng(seed)
    blocks = 5 if name == "lstm" else 1
    params = {"kernel": rng.normal(size=(2 * SIZE, blocks * SIZE)) / 2, "bias": rng.normal(size=blocks * SIZE) / 2}
    params |= {"tensor": rng.normal(size=(2 * SIZE, 2 * SIZE, SIZE)) / 4} if name == "tensor" else {}
    return {key: value.astype(np.float32) for key, value in params.items()}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def parent(name, params, left, right):
    """A node of its children, each (h,) or (h, c), as the papers write it."""
    both = np.concatenate([left[0], right[0]])
    if name == "lstm":
        i, f_left, f_right, o, u = np.split(both @ params["kernel"] + params["bias"], 5)
        c = sigmoid(i) * np.tanh(u) + sigmoid(f_left) * left[1] + sigmoid(f_right) * right[1]
        return sigmoid(o) * np.tanh(c), c
    value = both @ params["kernel"] + params["bias"]
    if name == "tensor":
        value = value + np.array([both @ params["tensor"][:, :, k] @ both for k in range(SIZE)])
    return (np.tanh(value),)


def recursion(name, params, tree, leaves):
    """Every inner node of one tree, gap -> state."""
    found = {}

    def state(child):
        if child >= 0:
            return tuple(leaf[child] for leaf in leaves)
        left, right = (state(int(c)) for c in tree.children[-child])
        found[-child] = parent(name, params, left, right)
        return found[-child]

    state(-tree.root)
    return found


@pytest.mark.parametrize("name", CELLS)
def test_levels_give_what_the_recursion_gives(name):
    forest, length, params = trees(), 14, weights(name)
    rng = np.random.default_rng(1)
    leaves = tuple(rng.normal(size=(len(forest), length, SIZE)).astype(np.float32) for _ in range(CELLS[name].states))
    made = jax.jit(partial(compose, CELLS[name].compose))(params, leaves, plan(*padded(forest, length)))
    for i, tree in enumerate(forest):
        found = recursion(name, params, tree, tuple(leaf[i] for leaf in leaves)) if len(tree.words) > 1 else {}
        assert set(found) == set(range(1, len(tree.words)))
        for number, values in enumerate(made):
            expected = np.zeros((length, SIZE), np.float32)
            for gap, state in found.items():
                expected[gap] = state[number]
            np.testing.assert_allclose(values[i], expected, atol=1e-5)


@pytest.mark.parametrize("name", CELLS)
def test_gradients_are_those_of_the_recursion(name):
    """JAX's own, of a program that goes through one tree node by node."""
    forest = [parse("(((a b) c) (d e))", labelled=False), parse("(a (b c))", labelled=False), right_branching(["word"])]
    length, params = 6, jax.tree.map(jnp.asarray, weights(name))
    keys = jax.random.split(jax.random.key(2), 4)
    leaves = tuple(jax.random.normal(k, (len(forest), length, SIZE)) for k in keys[: CELLS[name].states])
    weight = jax.random.normal(keys[3], (CELLS[name].states, len(forest), length, SIZE))
    nodes, cell = plan(*padded(forest, length)), CELLS[name].compose

    def by_levels(params, leaves):
        made = compose(cell, params, leaves, nodes)
        return sum((w * value).sum() for w, value in zip(weight, made, strict=True))

    def one_by_one(params, leaves):
        total = 0.0
        for i, tree in enumerate(forest):
            states = {word: tuple(leaf[i, word][None] for leaf in leaves) for word in range(len(tree.words))}
            for gap in tree.order:
                left, right = (int(child) for child in tree.children[gap])
                states[-gap] = cell(params, states[left], states[right])
                total += sum((w[i, gap] * s[0]).sum() for w, s in zip(weight, states[-gap], strict=True))
        return total

    ours = jax.jit(jax.grad(by_levels, (0, 1)))(params, leaves)
    theirs = jax.jit(jax.grad(one_by_one, (0, 1)))(params, leaves)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), ours, theirs)
    assert all(float(jnp.abs(leaf).max()) > 0.1 for leaf in jax.tree.leaves(ours))


def test_padding_and_neighbours_change_nothing():
    forest, params, cell = trees(), jax.tree.map(jnp.asarray, weights("plain")), CELLS["plain"].compose
    leaves = jax.random.normal(jax.random.key(3), (len(forest), 20, SIZE))
    whole = compose(cell, params, (leaves,), plan(*padded(forest, 20)))[0]
    alone = compose(cell, params, (leaves[1:2, :3],), plan(*padded(forest[1:2], 3)))[0]
    np.testing.assert_allclose(whole[1, :3], alone[0], atol=1e-6)
    assert not whole[1, 3:].any() and not whole[4].any()  # of one word there is no inner node


def test_a_quadratic_form_of_each_slice():
    x, slices = jnp.array([[1.0, 2.0]]), jnp.stack([jnp.array([[1.0, 0.0], [3.0, 0.0]]), jnp.eye(2)], axis=-1)
    assert quadratic(x, slices).tolist() == [[1 + 2 * 3 * 1, 1 + 4]]
