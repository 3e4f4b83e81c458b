"""Activations: worked examples, and the two that are more than functions."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.errors import UserError
from dl.layers.activations import ACTIVATIONS, Activation

EXAMPLES = {
    "identity": (-2.0, 3.0),
    "logistic": (1 / (1 + math.e**2), 1 / (1 + math.e**-3)),
    "tanh": (-0.9640276, 0.9950548),
    "scaled_tanh": (1.7159 * math.tanh(-4 / 3), 1.7159 * math.tanh(2.0)),
    "arctan": (-1.1071487, 1.2490458),
    "relu": (0.0, 3.0),
    "leaky_relu": (-0.02, 3.0),
    "prelu": (-0.5, 3.0),
    "rrelu": (-2 / 5.5, 3.0),
    "elu": (math.exp(-2) - 1, 3.0),
    "softmax": (1 / (1 + math.exp(5)), 1 / (1 + math.exp(-5))),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_worked_example(name):
    x = jnp.array([[-2.0, 3.0]])
    y, _ = Activation(name).init_with_output(jax.random.key(0), x)
    np.testing.assert_allclose(y[0], EXAMPLES[name], rtol=1e-5)


def test_scaled_tanh_maps_one_to_one():
    y, _ = Activation("scaled_tanh").init_with_output(jax.random.key(0), jnp.array([[1.0, -1.0]]))
    np.testing.assert_allclose(y[0], [1.0, -1.0], atol=1e-4)


def test_prelu_learns_one_slope_a_channel():
    x = jnp.array([[-2.0, 3.0, -1.0], [-4.0, -5.0, 6.0]])
    params = Activation("prelu").init(jax.random.key(0), x)
    np.testing.assert_array_equal(params["params"]["slope"], [0.25] * 3)
    gradient = jax.grad(lambda p: Activation("prelu").apply(p, x).sum())(params)
    np.testing.assert_allclose(gradient["params"]["slope"], [-6.0, -5.0, -1.0])  # the sum of the negative inputs


def test_rrelu_draws_its_slopes_in_training_only():
    x, layer = -jnp.ones((100, 100)), Activation("rrelu")
    y = layer.apply({}, x, True, rngs={"dropout": jax.random.key(0)})
    assert y.min() >= -1 / 3
    assert y.max() <= -1 / 8
    assert np.unique(np.asarray(y)).size > 9000
    np.testing.assert_allclose((-1 / y).mean(), 5.5, atol=0.05)  # a ~ U(3, 8)
    np.testing.assert_array_equal(y, layer.apply({}, x, True, rngs={"dropout": jax.random.key(0)}))
    np.testing.assert_allclose(layer.apply({}, x), -1 / 5.5, rtol=1e-6)
    positive = layer.apply({}, -x, True, rngs={"dropout": jax.random.key(0)})
    np.testing.assert_array_equal(positive, -x)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_keeps_the_dtype(name):
    y, _ = Activation(name).init_with_output(jax.random.key(0), jnp.ones((2, 3), jnp.bfloat16))
    assert y.dtype == jnp.bfloat16


def test_an_unknown_name_is_answered_with_the_choices():
    with pytest.raises(UserError, match=r"unknown activation 'rellu'\. Did you mean 'relu'.*arctan"):
        Activation("rellu").init(jax.random.key(0), jnp.ones((1, 1)))
