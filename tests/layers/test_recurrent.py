"""Recurrent layers: published formulas in NumPy (PyTorch: test_pytorch.py), gradients, lengths, directions, dropout."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.errors import UserError
from dl.evaluation import gradient_flow
from dl.layers import cells
from dl.layers.cells import CELLS, _scan, initial_state, recur
from dl.layers.recurrent import Elman, Recurrent, RecurrentStack

T, B, D, H = 7, 3, 4, 5
KEY = jax.random.key(0)


def logistic(x):
    return 1 / (1 + np.exp(-x))


def random_layer(cell, **settings):
    """A layer whose parameters are all random, biases and peepholes too, with inputs and a state."""
    layer = Recurrent(cell, H, **settings)
    x = jnp.asarray(np.random.default_rng(1).normal(size=(T, B, D)), jnp.float32)
    shapes = jax.eval_shape(layer.init, KEY, x)
    rng = np.random.default_rng(2)
    params = jax.tree.map(lambda s: jnp.asarray(rng.normal(size=s.shape, scale=0.5), s.dtype), shapes)
    state = tuple(jnp.asarray(rng.normal(size=(B, H), scale=0.5), jnp.float32) for _ in range(CELLS[cell].states))
    return layer, params, x, state


def numpy_steps(cell, p, x, state):
    """The published formulas, a step at a time, in float64."""
    p, x, state = jax.tree.map(lambda a: np.asarray(a, np.float64), (p, x, state))
    blocks = CELLS[cell].inputs
    u, w = (np.split(p[name], blocks, axis=1) for name in ("kernel", "recurrent_kernel"))
    b = np.split(p["bias"], blocks)
    h, outputs = state[0], []
    c = state[-1]
    for x_t in x:
        a = [x_t @ u[k] + b[k] for k in range(blocks)]
        if cell == "elman":
            h = np.tanh(a[0] + h @ w[0])
        elif cell == "irnn":
            h = np.maximum(a[0] + h @ w[0], 0)
        elif cell.startswith("lstm"):
            peep = p["peephole"] if cell == "lstm_peephole" else np.zeros((3, H))
            i = logistic(a[0] + h @ w[0] + peep[0] * c)
            f = logistic(a[1] + h @ w[1] + peep[1] * c)
            c = f * c + i * np.tanh(a[2] + h @ w[2])
            h = logistic(a[3] + h @ w[3] + peep[2] * c) * np.tanh(c)
        else:
            r, z = logistic(a[0] + h @ w[0]), logistic(a[1] + h @ w[1])
            hidden = (r * h) @ w[2] if cell == "gru" else r * (h @ w[2] + p["recurrent_bias"])
            n = np.tanh(a[2] + hidden)
            h = (1 - z) * n + z * h
        outputs.append(h)
    return np.stack(outputs), (h, c)[: len(state)]


@pytest.mark.parametrize("cell", CELLS)
def test_layer_follows_the_published_formulas(cell):
    layer, params, x, state = random_layer(cell)
    outputs, last = layer.apply(params, x, state)
    expected, expected_last = numpy_steps(cell, params["params"], x, state)
    np.testing.assert_allclose(outputs, expected, atol=2e-6)
    for ours, theirs in zip(last, expected_last, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-6)


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_equal_those_of_the_plain_scan(cell, monkeypatch):
    layer, params, x, state = random_layer(cell)
    lengths = jnp.array([T, 3, 5])

    def value(params, x, state):
        outputs, last = layer.apply(params, x, state, lengths)
        return (outputs**2).sum() + sum((s**3).sum() for s in last)

    ours = jax.jit(jax.grad(value, argnums=(0, 1, 2)))(params, x, state)
    monkeypatch.setattr("dl.layers.recurrent.recur", lambda *arguments: _scan(*arguments)[0])
    plain = jax.jit(jax.grad(lambda *given: value(*given), argnums=(0, 1, 2)))(params, x, state)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5), ours, plain)


def test_the_gradient_of_the_recurrent_weights_is_one_product(monkeypatch):
    calls = []
    monkeypatch.setattr(cells, "_outer", lambda u, v: calls.append(u.shape) or jnp.einsum("tbh,tbg->hg", u, v))
    state = initial_state("lstm", H, B)
    kernel, taps = jnp.ones((H, 4 * H)), jnp.ones((T, B, 4 * H))
    jax.grad(lambda w: recur(CELLS["lstm"].step, (w,), {}, (taps,), {}, state)[0].sum())(kernel)
    assert calls == [(T, B, H)]


def test_scalar_neuron_gradients_equal_the_recurrences_of_backpropagation_through_time():
    """Loss sum_t (y_t - d_t)^2 / 2 of h_t = tanh(u x_t + w h_{t-1}), y_t = v h_t; deltas from the last step backwards."""
    u, w, v, steps = 0.7, -0.9, 1.3, 6
    rng = np.random.default_rng(0)
    x, target = rng.normal(size=steps), rng.normal(size=steps)
    h = np.zeros(steps + 1)  # h[t + 1] is h_t, h[0] the state before the first step
    for t in range(steps):
        h[t + 1] = np.tanh(u * x[t] + w * h[t])
    error = v * h[1:] - target
    delta, du, dw = 0.0, 0.0, 0.0
    for t in reversed(range(steps)):
        delta = (1 - h[t + 1] ** 2) * (v * error[t] + w * delta)
        du, dw = du + delta * x[t], dw + delta * h[t]
    expected = {"u": du, "w": dw, "v": error @ h[1:]}

    net = Elman(hidden=1, outputs=1)
    params = {
        "hidden": {"kernel": jnp.full((1, 1), u), "recurrent_kernel": jnp.full((1, 1), w)},
        "output": {"kernel": jnp.full((1, 1), v)},
    }
    assert jax.tree.structure(jax.eval_shape(net.init, KEY, jnp.zeros((1, 2, 1)))["params"]) == jax.tree.structure(params)

    def loss(params):
        y = net.apply({"params": params}, jnp.asarray(x[None, :, None], jnp.float32))[0, :, 0]
        return 0.5 * jnp.square(y - target).sum()

    gradient = jax.jit(jax.grad(loss))(params)
    got = {"u": gradient["hidden"]["kernel"], "w": gradient["hidden"]["recurrent_kernel"], "v": gradient["output"]["kernel"]}
    for name, value in expected.items():
        np.testing.assert_allclose(got[name][0, 0], value, rtol=1e-5, err_msg=name)


def test_irnn_starts_as_the_identity_and_an_lstm_with_an_open_forget_gate():
    x = jnp.zeros((2, 1, D))
    irnn, lstm, gru = jax.jit(lambda k: [Recurrent(c, H).init(k, x)["params"] for c in ("irnn", "lstm", "gru")])(KEY)
    np.testing.assert_array_equal(irnn["recurrent_kernel"], np.eye(H))
    np.testing.assert_array_equal(irnn["bias"], 0)
    assert 0 < np.abs(irnn["kernel"]).max() < 0.01
    np.testing.assert_array_equal(lstm["bias"], np.repeat([0, 1, 0, 0], H))
    gates = np.split(gru["recurrent_kernel"], 3, axis=1)
    for gate in gates:
        np.testing.assert_allclose(gate.T @ gate, np.eye(H), atol=1e-5)
    assert np.abs(gates[0] - gates[1]).max() > 0.1


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_padding_changes_nothing(cell):
    stack = RecurrentStack(cell, H, layers=2, bidirectional=True)
    apply = jax.jit(stack.apply)
    lengths = np.array([7, 2, 7])
    x = np.random.default_rng(3).normal(size=(3, 7, D)).astype(np.float32)
    for row, length in enumerate(lengths):
        x[row, length:] = 1e3
    params = jax.jit(stack.init)(KEY, x)
    outputs, states = apply(params, x, (), lengths)
    for row, length in enumerate(lengths):
        alone, own = apply(params, x[row : row + 1, :length])
        np.testing.assert_allclose(outputs[row, :length], alone[0], atol=1e-6)
        np.testing.assert_array_equal(outputs[row, length:], 0)
        for state, single in zip(jax.tree.leaves(states), jax.tree.leaves(own), strict=True):
            np.testing.assert_allclose(state[row], single[0], atol=1e-6)


def test_padding_has_no_gradient():
    layer, params, x, state = random_layer("lstm")
    gradient = jax.grad(lambda x: layer.apply(params, x, state, jnp.array([7, 2, 5]))[0].sum())(x)
    np.testing.assert_array_equal(gradient[2:, 1], 0)
    assert np.abs(gradient[:2, 1]).min() > 0


def test_a_backward_layer_is_a_forward_layer_on_the_reversed_sequence():
    layer, params, x, state = random_layer("gru_after")
    forward, _ = layer.apply(params, x[::-1], state)
    backward, _ = Recurrent("gru_after", H, reverse=True).apply(params, x, state)
    np.testing.assert_allclose(backward, forward[::-1], atol=1e-6)


def test_two_windows_with_the_state_carried_are_one_sequence():
    stack = RecurrentStack("lstm_peephole", H, layers=2)
    x = jax.random.normal(KEY, (B, 8, D))
    params, apply = jax.jit(stack.init)(KEY, x), jax.jit(stack.apply)
    whole, last = apply(params, x)
    first, carry = apply(params, x[:, :3])
    second, end = apply(params, x[:, 3:], carry)
    np.testing.assert_allclose(jnp.concatenate([first, second], 1), whole, atol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), end, last)


def test_variational_dropout_drops_the_same_units_at_every_step():
    for variational in (False, True):
        stack = RecurrentStack("elman", H, dropout=0.5, variational=variational, settings=(("activation", "identity"),))
        x = jnp.ones((2, 30, 8))
        params = jax.tree.map(
            lambda s: jnp.zeros(s.shape), jax.eval_shape(stack.init, KEY, x)
        )  # without recurrence, so that y_t shows the mask of step t alone
        params["params"]["layer1"]["kernel"] = jnp.eye(8, H)
        y = stack.apply(params, x, train=True, rngs={"dropout": KEY})[0]
        assert set(np.unique(y)) == {0.0, 2.0}
        assert bool((y == y[:, :1]).all()) == variational
        np.testing.assert_array_equal(stack.apply(params, x)[0], 1)


def test_recurrent_dropout_hides_the_same_units_of_the_state_at_every_step():
    layer = Recurrent("elman", 64, activation="identity", use_bias=False, recurrent_dropout=0.5)
    x = jnp.zeros((5, 1, D))
    params = {"params": {"kernel": jnp.zeros((D, 64)), "recurrent_kernel": jnp.eye(64)}}
    outputs, _ = layer.apply(params, x, (jnp.ones((1, 64)),), None, True, rngs={"dropout": KEY})
    kept = outputs[0, 0] > 0
    assert 10 < kept.sum() < 54
    for step, y in enumerate(outputs[:, 0], 1):
        np.testing.assert_array_equal(y, np.where(kept, 2.0**step, 0.0))
    np.testing.assert_array_equal(layer.apply(params, x, (jnp.ones((1, 64)),))[0], 1)


def test_gradients_vanish_and_explode_with_the_power_of_the_recurrent_weight():
    """Of a linear scalar neuron |d h_T / d x_t| = |u| |w|^(T - t) exactly."""
    for w in (0.8, 1.25):
        layer = Recurrent("elman", 1, activation="identity", use_bias=False)
        params = {"params": {"kernel": jnp.full((1, 1), 2.0), "recurrent_kernel": jnp.full((1, 1), w)}}
        gradient = jax.grad(lambda x: layer.apply(params, x)[0][-1].sum())(jnp.zeros((20, 1, 1)))  # noqa: B023
        norms = gradient_flow.norms_by_distance(gradient.swapaxes(0, 1))
        np.testing.assert_allclose(norms, 2 * w ** np.arange(20), rtol=1e-5)


def test_gradient_reaches_further_through_an_open_forget_gate():
    both = jax.jit(lambda key: [gradient_flow.of_cell("lstm", 16, 60, key, forget_bias=b) for b in (4.0, 0.0)])
    open_, half = map(np.asarray, both(KEY))
    assert open_[50] / open_[0] > 1e3 * half[50] / half[0]
    lines = gradient_flow.curves({"open": open_, "half": half}).lines
    assert lines["open"][1][0] == 0 and lines["open"][1][50] > lines["half"][1][50] + 3


def test_unknown_names_are_refused():
    with pytest.raises(UserError, match=r"unknown cell 'lstn'.*'lstm'"):
        Recurrent("lstn", H).init(KEY, jnp.zeros((2, 1, D)))
    with pytest.raises(UserError, match="only that of 'elman'"):
        Recurrent("lstm", H, activation="relu").init(KEY, jnp.zeros((2, 1, D)))
    with pytest.raises(UserError, match="unknown activation"):
        Recurrent("elman", H, activation="rellu").init(KEY, jnp.zeros((2, 1, D)))
