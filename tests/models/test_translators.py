"""Translators: published parameter counts, one symbol at a time as all at once, NumPy's own loop, padding, reversed sources."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.errors import UserError
from dl.models.bahdanau import Bahdanau
from dl.models.encoder_decoder import Cho, Sutskever
from dl.models.luong import Luong

B, S, T = 3, 6, 5
SYMBOLS = (11, 13)
LENGTH = jnp.array([6, 3, 1])
SMALL = {
    "bahdanau": Bahdanau(SYMBOLS, 4, 5, attention_features=7, maxout=4),
    "tied": Bahdanau(SYMBOLS, 4, 5, attention_features=7, maxout=4, tied=True),
    "luong": Luong(SYMBOLS, 4, 5, 2),
    "luong_concat": Luong(SYMBOLS, 4, 5, 1, attention="concat", reverse=True),
    "sutskever": Sutskever(SYMBOLS, 4, 5, 2),
    "cho": Cho(SYMBOLS, 4, 5, 3),
}
SMALL |= {f"bahdanau_{kind}": Bahdanau(SYMBOLS, 4, 5, attention=kind, maxout=4, window=2) for kind in ("location", "local")}


@partial(jax.jit, static_argnums=0, static_argnames="method")
def run(model, *given, method="__call__"):
    return model.apply(*given, method=method)


@partial(jax.jit, static_argnums=0)
def drawn(model, *given):
    """Parameters, biases too."""
    params = model.init(jax.random.key(1), *given)["params"]
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(2), len(leaves))
    noise = [0.2 * jax.random.normal(k, leaf.shape) for k, leaf in zip(keys, leaves, strict=True)]
    return {"params": jax.tree.unflatten(structure, [a + b for a, b in zip(leaves, noise, strict=True)])}


def count(model):
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 2), int), jnp.array([2]), jnp.zeros((1, 2), int))
    sizes = {name: sum(leaf.size for leaf in jax.tree.leaves(part)) for name, part in shapes["params"].items()}
    return sum(sizes.values()), sizes


def started(model):
    source = jnp.asarray(np.random.default_rng(0).integers(4, 11, (B, S)))
    target = jnp.asarray(np.random.default_rng(1).integers(4, 13, (B, T)))
    return drawn(model, source, LENGTH, target), source, target


@pytest.mark.parametrize(
    ("model", "total", "parts"),
    [
        (Bahdanau((30_000, 30_000)), 80_442_000, {"encoder": 9_726_000, "alignment": 3_001_000, "output": 18_651_000}),
        (Luong((50_000, 50_000)), 221_082_000, {"encoder": 32_016_000, "decoder": 38_016_000, "alignment": 1_000_000}),
        (Sutskever((160_000, 80_000)), 384_112_000, {"encoder": 32_016_000, "output": 80_080_000}),  # "384M parameters"
        (Cho((15_000, 15_000)), 24_224_000, {"encoder": 3_303_000, "decoder": 6_303_000, "output": 9_616_000}),
    ],
)
def test_published_sizes(model, total, parts):
    found, sizes = count(model)
    assert found == total
    assert {name: sizes[name] for name in parts} == parts


@pytest.mark.parametrize("name", SMALL)
def test_one_symbol_at_a_time_is_all_at_once(name):
    model = SMALL[name]
    params, source, target = started(model)
    scores, weights = run(model, params, source, LENGTH, target)
    memory, state = run(model, params, source, LENGTH, method="encode")
    assert all(len(leaf) == B for leaf in jax.tree.leaves((memory, state)))
    for t in range(T):
        one, state, seen = run(model, params, memory, state, target[:, t : t + 1], method="decode")
        np.testing.assert_allclose(one[:, 0], scores[:, t], rtol=2e-4, atol=2e-5)
        np.testing.assert_allclose(seen[:, 0], weights[:, t], rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("name", SMALL)
def test_padding_of_the_source_makes_no_difference(name):
    model = SMALL[name]
    params, source, target = started(model)
    scores, weights = run(model, params, source, LENGTH, target)
    other = jnp.where(jnp.arange(S) < LENGTH[:, None], source, 7)
    longer = jnp.concatenate([other, jnp.full((B, 3), 9)], axis=1)
    again, wider = run(model, params, longer, LENGTH, target)
    np.testing.assert_allclose(again, scores, rtol=1e-4, atol=1e-5)
    if weights.shape[-1]:
        np.testing.assert_allclose(wider[..., :S], weights, rtol=1e-4, atol=1e-5)
        assert (np.asarray(wider)[1, :, 3:] == 0).all()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def dense(p, x):
    return x @ p["kernel"] + p["bias"]


def test_bahdanau_in_numpy():
    """The published equations for one sentence, step by step, in float64."""
    model = SMALL["bahdanau"]
    params, source, target = started(model)
    p = jax.tree.map(lambda a: np.asarray(a, np.float64), params["params"])
    n, size = 3, 5

    def gru(q, xs):
        h, out = np.zeros(size), []
        w, u, b = (np.split(q[name], 3, axis=-1) for name in ("kernel", "recurrent_kernel", "bias"))
        for x in xs:
            r, z = (sigmoid(x @ w[i] + h @ u[i] + b[i]) for i in (0, 1))
            h = z * h + (1 - z) * np.tanh(x @ w[2] + (r * h) @ u[2] + b[2])
            out.append(h)
        return out

    xs = p["source_embedding"]["embedding"][np.asarray(source[1, :n])]
    forward, backward = gru(p["encoder"]["layer1"], xs), gru(p["encoder"]["layer1_backward"], xs[::-1])[::-1]
    memory = np.concatenate([forward, backward], axis=1)
    s, a, d = np.tanh(dense(p["initial"], backward[0])), p["alignment"], p["decoder"]
    w, u, c, b = (np.split(d[name], 3, axis=-1) for name in ("kernel", "recurrent_kernel", "context_kernel", "bias"))
    scores, weights = run(model, params, source, LENGTH, target)
    for t in range(T):
        x = p["target_embedding"]["embedding"][int(target[1, t])]
        e = np.array([a["v"] @ np.tanh(s @ a["query_kernel"] + m @ a["memory_kernel"]) for m in memory])
        alpha = np.exp(e) / np.exp(e).sum()
        context = alpha @ memory
        r, z = (sigmoid(x @ w[i] + s @ u[i] + context @ c[i] + b[i]) for i in (0, 1))
        s = z * s + (1 - z) * np.tanh(x @ w[2] + (r * s) @ u[2] + context @ c[2] + b[2])
        hidden = dense(p["output"]["hidden"], np.concatenate([s, x, context])).reshape(4, 2).max(1)
        np.testing.assert_allclose(weights[1, t, :n], alpha, rtol=1e-4, atol=1e-6)
        expected = hidden @ p["output"]["output_kernel"] + p["output"]["output_bias"]
        np.testing.assert_allclose(scores[1, t], expected, rtol=1e-4, atol=1e-5)


def test_luong_in_numpy():
    """Two layers, input feeding and general attention, for one sentence, in float64."""
    model = SMALL["luong"]
    params, source, target = started(model)
    p = jax.tree.map(lambda a: np.asarray(a, np.float64), params["params"])
    n, size = 3, 5

    def lstm(gates, c):
        i, f, g, o = np.split(gates, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c

    xs = p["source_embedding"]["embedding"][np.asarray(source[1, :n])]
    states = []
    for name in ("layer1", "layer2"):
        q, h, c, out = p["encoder"][name], np.zeros(size), np.zeros(size), []
        for x in xs:
            h, c = lstm(x @ q["kernel"] + h @ q["recurrent_kernel"] + q["bias"], c)
            out.append(h)
        xs = np.array(out)
        states += [h, c]
    memory, d, a = xs, p["decoder"], np.zeros(size)
    scores, weights = run(model, params, source, LENGTH, target)
    h1, c1, h2, c2 = states
    for t in range(T):
        x = p["target_embedding"]["embedding"][int(target[1, t])]
        h1, c1 = lstm(x @ d["kernel"] + np.concatenate([h1, a]) @ d["recurrent_kernel1"] + d["bias1"], c1)
        h2, c2 = lstm(np.concatenate([h1, h2]) @ d["recurrent_kernel2"] + d["bias2"], c2)
        e = np.array([h2 @ (m @ p["alignment"]["memory_kernel"]) for m in memory])
        alpha = np.exp(e) / np.exp(e).sum()
        a = np.tanh(np.concatenate([alpha @ memory, h2]) @ d["output_kernel"])
        np.testing.assert_allclose(weights[1, t, :n], alpha, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(scores[1, t], dense(p["output"], a), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("one", "other"), [(Sutskever, {}), (Cho, {"maxout": 3})])
def test_a_source_read_from_its_end(one, other):
    forwards, backwards = (one(SYMBOLS, 4, 5, reverse=reverse, **other) for reverse in (False, True))
    params, source, target = started(forwards)
    turned = source.at[1, :3].set(source[1, 2::-1]).at[0].set(source[0, ::-1])
    a, b = run(forwards, params, turned, LENGTH, target)[0], run(backwards, params, source, LENGTH, target)[0]
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert np.abs(a - run(forwards, params, source, LENGTH, target)[0]).max() > 1e-3


@pytest.mark.parametrize("name", ["bahdanau", "luong", "luong_concat", "bahdanau_location"])
def test_gradients_are_those_of_differences(name):
    """The recurrence has its own rule for the gradient of its weights."""
    model = SMALL[name]
    params, source, target = started(model)

    def loss(params):
        scores, weights = run(model, params, source, LENGTH, target)
        return jnp.sin(scores).sum() + weights[:, -1, 0].sum()

    direction = jax.tree.map(lambda p: jnp.asarray(np.random.default_rng(p.size).normal(size=p.shape), p.dtype), params)
    slope = sum(jax.tree.leaves(jax.tree.map(lambda g, d: (g * d).sum(), jax.jit(jax.grad(loss))(params), direction)))
    ahead, behind = (loss(jax.tree.map(lambda p, d, s=s: p + s * d, params, direction)) for s in (1e-3, -1e-3))
    assert slope == pytest.approx(float(ahead - behind) / 2e-3, rel=2e-2)


def test_tied_weights_need_one_length():
    with pytest.raises(UserError, match="tied weights"):
        count(Bahdanau(SYMBOLS, 4, 5, maxout=3, tied=True))
