"""The noises have the statistics that their definitions give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.errors import UserError
from dl.layers.corruption import corruption

X = jax.random.uniform(jax.random.key(9), (200, 500), minval=0.2, maxval=0.8)  # neither 0 nor 1


def noisy(name, amount, key=0):
    return np.asarray(corruption({"name": name, "amount": amount})(jax.random.key(key), X))


def test_gaussian():
    added = noisy("gaussian", 0.5) - X
    np.testing.assert_allclose((added.mean(), added.std()), (0.0, 0.5), atol=0.005)


def test_masking_sets_the_given_part_to_zero_and_leaves_the_rest():
    out = noisy("masking", 0.3)
    np.testing.assert_allclose((out == 0).mean(), 0.3, atol=0.005)
    np.testing.assert_array_equal(out[out != 0], np.asarray(X)[out != 0])
    np.testing.assert_allclose((out == 0).mean(axis=0).std(), (0.21 / 200) ** 0.5, rtol=0.1)  # each pixel alike


def test_salt_and_pepper_are_half_of_the_given_part_each():
    out = noisy("salt_and_pepper", 0.3)
    np.testing.assert_allclose(((out == 0).mean(), (out == 1).mean()), (0.15, 0.15), atol=0.005)
    kept = (out != 0) & (out != 1)
    np.testing.assert_array_equal(out[kept], np.asarray(X)[kept])


@pytest.mark.parametrize("name", ["gaussian", "masking", "salt_and_pepper"])
def test_the_key_alone_decides(name):
    np.testing.assert_array_equal(noisy(name, 0.4), noisy(name, 0.4))
    assert (noisy(name, 0.4) != noisy(name, 0.4, key=1)).any()


def test_no_noise():
    assert corruption({}) is None and corruption({"name": "none"}) is None
    assert corruption({"name": "masking", "amount": 0.0}) is None
    assert (jnp.asarray(noisy("masking", 1.0)) == 0).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "pepper", "amount": 0.1}, "unknown noise 'pepper'.*salt_and_pepper"),
        ({"name": "masking"}, "needs the setting 'amount'"),
        ({"name": "masking", "amount": 1.2}, "must be a probability"),
        ({"name": "gaussian", "amount": -1.0}, "must not be negative"),
        ({"name": "masking", "amount": 0.1, "level": 1}, "unknown setting of the noise 'masking' 'level'"),
    ],
)
def test_mistakes_are_named(settings, message):
    with pytest.raises(UserError, match=message):
        corruption(settings)
