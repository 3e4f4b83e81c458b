"""Attention: examples worked by hand, the published formulas in NumPy, and padding, which has no influence at all."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.errors import UserError
from dl.layers.attention import KINDS, Attention, masked_softmax

B, S, D, Q, A = 3, 6, 5, 4, 7
LENGTH = jnp.array([6, 3, 1], jnp.int32)
SETTINGS = {"features": A, "window": 2, "filters": 3, "filter_width": 5}


def drawn(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def case(kind):
    """An attention whose parameters are all random, with a query, a memory, and the weights before."""
    attention = Attention(kind, **SETTINGS)
    query, values = drawn(1, B, D if kind == "dot" else Q), drawn(2, B, S, D)
    previous = masked_softmax(drawn(3, B, S), (jnp.arange(S) < LENGTH[:, None]).astype(jnp.float32))
    shapes = jax.eval_shape(attention.init, jax.random.key(0), query, values, LENGTH)
    rng = np.random.default_rng(4)
    params = jax.tree.map(lambda s: jnp.asarray(rng.normal(size=s.shape), jnp.float32), shapes)
    return attention, params, query, values, previous


def published(kind, p, query, values, length, previous):
    """The formulas for one example, in float64, over its true places alone."""
    p = {name: np.asarray(v, np.float64) for name, v in p.items()}
    query, values, previous = (np.asarray(a, np.float64) for a in (query, values, previous))
    scores = []
    for s in range(length):
        m = values[s]
        if kind == "dot":
            scores.append(query @ m)
        elif kind in ("general", "local"):
            scores.append(query @ (m @ p["memory_kernel"]))
        elif kind in ("concat", "additive"):
            w = np.concatenate([p["query_kernel"], p["memory_kernel"]])
            scores.append(p["v"] @ np.tanh(np.concatenate([query, m]) @ w))
        else:
            filters = p["filters"][:, 0, 0]  # [R, K]
            near = [previous[s + j - 2] if 0 <= s + j - 2 < S else 0.0 for j in range(5)]
            hidden = query @ p["query_kernel"] + m @ p["memory_kernel"] + p["bias"]
            scores.append(p["v"] @ np.tanh(hidden + np.array(near) @ filters @ p["filter_kernel"]))
    inside = np.ones(length, bool)
    centre = 0.0
    if kind == "local":
        centre = length / (1 + np.exp(-np.tanh(query @ p["query_kernel"]) @ p["position_v"]))
        inside = np.abs(np.arange(length) - centre) <= 2
    powers = np.exp(np.array(scores) - max(scores)) * inside
    weights = powers / powers.sum()
    if kind == "local":
        sigma = 2 / 2
        weights = weights * np.exp(-((np.arange(length) - centre) ** 2) / (2 * sigma**2))
    return weights @ values[:length], weights


@pytest.mark.parametrize("kind", KINDS)
def test_the_published_formulas(kind):
    attention, params, query, values, previous = case(kind)
    context, weights = jax.jit(attention.apply)(params, query, values, LENGTH, previous)
    for b in range(B):
        expected = published(kind, params["params"] if params else {}, query[b], values[b], LENGTH[b], previous[b])
        np.testing.assert_allclose(context[b], expected[0], rtol=2e-4, atol=2e-5)
        np.testing.assert_allclose(weights[b, : LENGTH[b]], expected[1], rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_has_no_influence_on_results_or_gradients(kind):
    attention, params, query, values, previous = case(kind)

    def loss(params, query, values, previous):
        context, weights = attention.apply(params, query, values, LENGTH, previous)
        return jnp.square(context).sum() + weights[0, 0], (context, weights)

    both = jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))
    (_, (context, weights)), gradients = both(params, query, values, previous)
    assert all((np.asarray(weights)[b, n:] == 0).all() for b, n in enumerate(LENGTH))
    assert all((np.asarray(gradients[2])[b, n:] == 0).all() for b, n in enumerate(LENGTH))
    spoilt = jnp.where((jnp.arange(S) < LENGTH[:, None])[:, :, None], values, jnp.nan)
    longer = jnp.concatenate([spoilt, jnp.full((B, 2, D), 1e30)], axis=1)
    before = jnp.concatenate([previous, jnp.zeros((B, 2))], axis=1)
    (_, (again, wider)), same = both(params, query, longer, before)
    np.testing.assert_allclose(again, context, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(wider[:, :S], weights, rtol=1e-6, atol=1e-6)
    for a, b in zip(jax.tree.leaves(same[:2]), jax.tree.leaves(gradients[:2]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_dot_worked_by_hand():
    values = jnp.array([[[1.0, 0.0], [0.0, 1.0], [9.0, 9.0]]])
    context, weights = Attention("dot").apply({}, jnp.array([[np.log(3.0), 0.0]]), values, jnp.array([2]))
    np.testing.assert_allclose(weights, [[0.75, 0.25, 0.0]], rtol=1e-6)
    np.testing.assert_allclose(context, [[0.75, 0.25]], rtol=1e-6)


def test_local_is_a_bell_around_the_predicted_place():
    """position_v = 0 puts the centre in the middle; equal scores leave the softmax over the window times the bell."""
    attention, values = Attention("local", window=2), jnp.ones((1, 8, 2))
    query = jnp.zeros((1, 2))
    params = {"query_kernel": jnp.ones((2, 2)), "memory_kernel": jnp.eye(2), "position_v": jnp.zeros(2)}
    _, weights = attention.apply({"params": params}, query, values, jnp.array([8]))
    bell = np.exp(-(np.array([2, 1, 0, 1, 2]) ** 2) / 2.0) / 5
    np.testing.assert_allclose(weights[0], [0, 0, *bell, 0], rtol=1e-6)


def test_location_follows_the_weights_before():
    """With one filter that looks a place back, and no other score, the weights move on by a place."""
    params = {
        "query_kernel": jnp.zeros((1, 1)),
        "memory_kernel": jnp.zeros((1, 1)),
        "v": jnp.array([50.0]),
        "bias": jnp.zeros(1),
        "filters": jnp.array([1.0, 0.0, 0.0])[:, None, None, None],
        "filter_kernel": jnp.ones((1, 1)),
    }
    attention = Attention("location", features=1, filters=1, filter_width=3)
    previous = jnp.array([[0.0, 1.0, 0.0, 0.0]])
    _, weights = attention.apply({"params": params}, jnp.ones((1, 1)), jnp.ones((1, 4, 1)), jnp.array([4]), previous)
    np.testing.assert_allclose(weights, [[0, 0, 1, 0]], atol=1e-6)


def test_masked_softmax_of_nothing_is_nothing():
    found, slope = jax.value_and_grad(lambda x: masked_softmax(x, jnp.zeros(3)).sum())(jnp.array([1.0, np.nan, np.inf]))
    assert found == 0 and (slope == 0).all()
    np.testing.assert_allclose(masked_softmax(jnp.array([1e5, 1e5, 2e5]), jnp.array([1.0, 1.0, 0.0])), [0.5, 0.5, 0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "soft"}, "unknown attention 'soft'"),
        ({"kind": "dot"}, "take 'general'"),
        ({"kind": "local", "window": 0}, "at least 1 place"),
    ],
)
def test_mistakes_are_told(settings, message):
    with pytest.raises(UserError, match=message):
        Attention(**settings).init(jax.random.key(0), drawn(1, B, Q), drawn(2, B, S, D), LENGTH)
