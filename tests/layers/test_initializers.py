"""Initial weights have the moments that the papers give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.errors import UserError
from dl.layers.initializers import INITIALIZERS, initializer, uniform_over_fan_in

DEVIATIONS = {  # of a kernel with fan-in n = 400, fan-out m = 200
    "zeros": 0.0,
    "normal": 1.0,
    "one_over_sqrt_n": 1 / 20,
    "lecun": 1 / 20,
    "glorot": (2 / 600) ** 0.5,
    "glorot_logistic": 4 * (2 / 600) ** 0.5,
    "glorot_normal": (2 / 600) ** 0.5,
    "he": (2 / 400) ** 0.5,
    "orthogonal": 1 / 20,
}


@pytest.mark.parametrize("name", INITIALIZERS)
def test_mean_and_deviation(name):
    kernel = initializer(name)(jax.random.key(0), (400, 200), jnp.float32)
    np.testing.assert_allclose(kernel.std(), DEVIATIONS[name], rtol=0.01)
    np.testing.assert_allclose(kernel.mean(), 0.0, atol=0.01 * max(DEVIATIONS[name], 1e-9))


@pytest.mark.parametrize("name", ["one_over_sqrt_n", "lecun", "he"])
def test_fan_in_of_a_convolution_counts_its_window(name):
    kernel = initializer(name)(jax.random.key(0), (5, 5, 16, 100), jnp.float32)  # 5 x 5 x 16 = 400
    np.testing.assert_allclose(kernel.std(), DEVIATIONS[name], rtol=0.02)


def test_glorot_is_uniform_within_its_bound():
    kernel = initializer("glorot")(jax.random.key(0), (400, 200), jnp.float32)
    np.testing.assert_allclose(jnp.abs(kernel).max(), 0.1, rtol=1e-3)  # sqrt(6 / 600)


def test_orthogonal_columns():
    kernel = initializer("orthogonal")(jax.random.key(0), (40, 20), jnp.float32)
    np.testing.assert_allclose(kernel.T @ kernel, np.eye(20), atol=1e-5)


def test_uniform_over_fan_in_of_each_element():
    fan_in = np.repeat([75, 150], 5000)
    drawn = uniform_over_fan_in(fan_in)(jax.random.key(0), (10000,))
    np.testing.assert_allclose(jnp.abs(drawn[:5000]).max(), 2.4 / 75, rtol=1e-2)
    np.testing.assert_allclose(jnp.abs(drawn[5000:]).max(), 2.4 / 150, rtol=1e-2)
    np.testing.assert_allclose(drawn[:5000].std(), 2.4 / 75 / 3**0.5, rtol=0.03)


def test_an_unknown_name_is_answered_with_the_choices():
    with pytest.raises(UserError, match=r"unknown initializer 'xavier'.*glorot, glorot_logistic, glorot_normal, he"):
        initializer("xavier")


@pytest.mark.parametrize("shape", [(64, 64), (256, 64), (64, 256), (3, 3, 4, 8), (1, 5)])
def test_orthogonal_kernels_are(shape):
    kernel = np.asarray(initializer("orthogonal")(jax.random.key(0), shape, jnp.float32)).reshape(-1, shape[-1])
    gram = kernel.T @ kernel if len(kernel) >= shape[-1] else kernel @ kernel.T
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=2e-6)


def test_orthogonal_kernels_are_uniform():
    """Traces of uniformly distributed 4 x 4 orthogonal matrices have the moments 0, 1 and 3 (Diaconis & Shahshahani 1994)."""
    keys = jax.random.split(jax.random.key(1), 20_000)
    traces = jnp.trace(jax.vmap(lambda key: INITIALIZERS["orthogonal"](key, (4, 4)))(keys), axis1=1, axis2=2)
    np.testing.assert_allclose(traces.mean(), 0.0, atol=0.03)
    np.testing.assert_allclose([(traces**2).mean(), (traces**4).mean()], [1.0, 3.0], rtol=0.06)


def test_orthogonal_kernels_need_no_factorisation():
    """LAPACK's, in two layers of one program, wait for each other's thread for ever (two cores, jaxlib 0.10.2)."""
    program = jax.jit(lambda key: INITIALIZERS["orthogonal"](key, (8, 8))).lower(jax.random.key(0)).compile().as_text()
    assert "lapack" not in program and "dot" in program
