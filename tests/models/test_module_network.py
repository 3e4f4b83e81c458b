"""The logic of maps of logits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.models.module_network import both


def test_and_is_the_product_of_two_probabilities():
    first, second = np.meshgrid([-3.0, -0.5, 0.0, 2.0], [-1.0, 0.0, 4.0])
    first, second = jnp.float32(first), jnp.float32(second)
    product = 1 / (1 + np.exp(-np.asarray(first))) / (1 + np.exp(-np.asarray(second)))
    np.testing.assert_allclose(jax.nn.sigmoid(both(first, second)), product, rtol=1e-5)


@pytest.mark.parametrize(("first", "second"), [(-200.0, 3.0), (-2e4, -2e4), (200.0, 100.0), (-150.0, 150.0)])
def test_extreme_logits_have_finite_products_and_gradients(first, second):
    given = jnp.full((1, 9), first), jnp.full((1, 9), second)
    value, gradients = jax.value_and_grad(lambda a, b: both(a, b).sum(), argnums=(0, 1))(*given)
    assert np.isfinite(value) and all(np.isfinite(g).all() for g in gradients)


def test_both_maps_learn_whichever_is_smaller():
    """Of the smaller of two maps the larger one has no gradient."""
    given = jnp.full((1, 9), -2.0), jnp.full((1, 9), -0.5)
    gradients = jax.grad(lambda a, b: both(a, b).sum(), argnums=(0, 1))(*given)
    assert all((g > 0.1).all() for g in gradients)
