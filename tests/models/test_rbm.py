"""The restricted Boltzmann machine against itself with every state of its units written out."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.errors import UserError
from dl.models.rbm import DeepBeliefNet
from dl.tasks.boltzmann import divergence, pseudo_likelihood

VISIBLE, HIDDEN = 4, 3
MODEL = DeepBeliefNet((VISIBLE,), hidden=(HIDDEN,))
V = jnp.array(list(itertools.product([0.0, 1.0], repeat=VISIBLE)))  # [16, 4]
H = jnp.array(list(itertools.product([0.0, 1.0], repeat=HIDDEN)))
DATA = V[np.array([3, 5, 6, 9, 12, 15])]


def parameters():
    keys = jax.random.split(jax.random.key(3), 3)
    layer = {
        "kernel": jax.random.normal(keys[0], (VISIBLE, HIDDEN)),
        "bias": jax.random.normal(keys[1], (HIDDEN,)) / 2,
        "decoder_bias": jax.random.normal(keys[2], (VISIBLE,)) / 2,
    }
    return {"layer_0": layer}


def minus_energies(params):
    """-E(v, h) [16, 8]."""
    p = params["layer_0"]
    return (V @ p["decoder_bias"])[:, None] + (H @ p["bias"])[None] + V @ p["kernel"] @ H.T


def free_energy(params, v):
    return MODEL.apply({"params": params}, 0, "free_energy", v, method="at")


def log_likelihood(params, v):
    return (-free_energy(params, v) - jax.nn.logsumexp(minus_energies(params))).mean()


def transitions(params):
    """p(v' | v) of one sweep, [16, 16], summed over all hidden states."""
    energies = minus_energies(params)
    up = jax.nn.softmax(energies, axis=1)  # p(h | v)
    down = jax.nn.softmax(energies, axis=0).T  # p(v | h)
    return up @ down


def index(v):
    return (v @ 2 ** jnp.arange(VISIBLE - 1, -1, -1)).astype(int)


def sampled(params, k, copies):
    """The gradient of the loss, with so many chains from each example."""
    many = jnp.tile(DATA, (copies, 1))
    return jax.jit(jax.grad(lambda p: divergence(MODEL, p, 0, DATA, many, jax.random.key(1), k)[0]))(params)


def close(a, b, atol):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=atol), a, b)


def test_free_energy_sums_over_the_hidden_units():
    params = parameters()
    np.testing.assert_allclose(free_energy(params, V), -jax.nn.logsumexp(minus_energies(params), axis=1), rtol=1e-5)


def test_conditional_probabilities_are_those_of_the_energy():
    params = parameters()
    up = jax.nn.softmax(minus_energies(params), axis=1) @ H
    np.testing.assert_allclose(MODEL.apply({"params": params}, V, method="encode"), up, atol=1e-6)
    down = jax.nn.softmax(minus_energies(params), axis=0).T @ V
    np.testing.assert_allclose(jax.nn.sigmoid(MODEL.apply({"params": params}, H, method="decode")), down, atol=1e-6)


def test_one_sweep_has_the_distribution_of_the_exact_chain():
    params, many = parameters(), 50_000
    start = jnp.tile(V[5], (many, 1))
    end = MODEL.apply({"params": params}, 0, "gibbs", start, jax.random.key(0), 1, method="at")
    found = jnp.bincount(index(end), length=16) / many
    np.testing.assert_allclose(found, transitions(params)[5], atol=0.01)


@pytest.mark.parametrize("k", [1, 3])
def test_the_gradient_is_that_of_contrastive_divergence(k):
    params = parameters()
    chain = jnp.linalg.matrix_power(transitions(params), k)[index(DATA)]  # constants, as the definition has it

    def exact(params):
        return free_energy(params, DATA).mean() - (chain @ free_energy(params, V)).mean()

    close(sampled(params, k, 30_000), jax.jit(jax.grad(exact))(params), atol=0.01)


def test_with_many_sweeps_it_is_the_gradient_of_the_likelihood():
    params = parameters()
    close(sampled(params, 60, 10_000), jax.jit(jax.grad(lambda p: -log_likelihood(p, DATA)))(params), atol=0.01)


def test_learning_by_contrastive_divergence_raises_the_exact_likelihood():
    pairs = V[np.array([0, 3, 12, 15])]  # the first two units agree, and so do the last two

    def step(params, key):
        gradient = jax.grad(lambda p: divergence(MODEL, p, 0, pairs, jnp.tile(pairs, (20, 1)), key, 1)[0])(params)
        return jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient), None

    @jax.jit
    def learn():
        start = jax.tree.map(lambda p: 0.1 * p, parameters())
        end, _ = jax.lax.scan(step, start, jax.random.split(jax.random.key(2), 2000))
        return log_likelihood(start, pairs), log_likelihood(end, pairs)

    before, after = learn()
    assert before == pytest.approx(-np.log(16), abs=0.1)  # all 16 states alike
    assert -np.log(4) - 0.3 < after < -np.log(4)  # these four alike would be the best


def test_pseudo_likelihood():
    params = parameters()
    joint = jax.nn.softmax(-free_energy(params, V))
    exact = 0.0
    for i in range(VISIBLE):
        other = V.at[:, i].set(1 - V[:, i])
        exact += jnp.log(joint[index(DATA)] / (joint[index(DATA)] + joint[index(other)[index(DATA)]]))
    many = 20_000
    found = pseudo_likelihood(MODEL, params, jnp.tile(DATA, (many, 1)), jax.random.key(0))
    np.testing.assert_allclose(found.reshape(many, -1).mean(axis=0), exact, rtol=0.03)


def test_units_other_than_logistic_are_refused():
    with pytest.raises(UserError, match="the units of a deep belief net are logistic"):
        DeepBeliefNet((4,), activation="tanh").init(jax.random.key(0), V)
