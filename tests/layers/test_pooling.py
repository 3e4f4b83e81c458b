"""Pooling over slices against Linen's."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.errors import UserError
from dl.layers import backend
from dl.layers.pooling import Pool, adaptive_avg_pool, avg_pool, max_pool, pool


@pytest.mark.parametrize(
    ("shape", "window", "strides", "padding"),
    [
        ((2, 8, 6, 3), (2, 2), None, "VALID"),
        ((2, 9, 7, 3), (3, 2), None, "VALID"),
        ((1, 8, 8, 2), (2, 2), (2, 2), "SAME"),
        ((1, 7, 7, 2), (2, 2), None, "SAME"),
        ((1, 7, 7, 2), (3, 3), (2, 2), "VALID"),
        ((1, 8, 6, 2), (3, 3), (2, 2), "VALID"),
        ((1, 5, 6, 2), (3, 3), (1, 1), "SAME"),
    ],
)
@pytest.mark.parametrize(("ours", "stock"), [(max_pool, nn.max_pool), (avg_pool, nn.avg_pool)], ids=["max", "average"])
def test_equals_linen_with_its_gradient(ours, stock, shape, window, strides, padding, monkeypatch):
    monkeypatch.setattr(backend, "prefers_matmul", lambda: True)
    x = jax.random.permutation(jax.random.key(0), jnp.arange(np.prod(shape), dtype=jnp.float32)).reshape(shape)  # no ties

    def value_and_gradient(pool, strides):
        def loss(x):
            y = pool(x, window, strides, padding)
            return (y * jnp.sin(jnp.arange(y.size)).reshape(y.shape)).sum(), y

        (_, y), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(x)
        return y, gradient

    expected = value_and_gradient(stock, strides or window)
    for a, b in zip(value_and_gradient(ours, strides), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


def test_windows_side_by_side_need_no_reduce_window(monkeypatch):
    monkeypatch.setattr(backend, "prefers_matmul", lambda: True)
    assert "reduce_window" not in str(jax.make_jaxpr(lambda x: max_pool(x, (2, 2)))(jnp.ones((1, 4, 4, 1))))
    monkeypatch.setattr(backend, "prefers_matmul", lambda: False)
    assert "reduce_window" in str(jax.make_jaxpr(lambda x: max_pool(x, (2, 2)))(jnp.ones((1, 4, 4, 1))))


def test_overlapping_maxima_need_no_scatter_for_their_gradient(monkeypatch):
    """The stock gradient, which scatters, is slow on the CPU."""
    gradient = jax.grad(lambda x: max_pool(x, (3, 3), (2, 2)).sum())
    for fast in (True, False):
        monkeypatch.setattr(backend, "prefers_matmul", lambda fast=fast: fast)
        assert ("select_and_scatter" in str(jax.make_jaxpr(lambda x: gradient(x))(jnp.ones((1, 7, 7, 1))))) != fast


def test_adaptive_average_by_hand():
    """Of 5 to 3: pixels 0 and 1, 1 to 3, 3 and 4; of 2 to 3: pixel 0, both, pixel 1."""
    row = jnp.arange(5.0).reshape(1, 1, 5, 1)
    np.testing.assert_allclose(adaptive_avg_pool(row, (1, 3)).ravel(), [0.5, 2.0, 3.5])
    np.testing.assert_allclose(adaptive_avg_pool(row[:, :, :2], (1, 3)).ravel(), [0.0, 0.5, 1.0])


def test_a_pooling_as_a_layer_has_no_parameters():
    x = jnp.arange(16.0).reshape(1, 4, 4, 1)
    y, variables = Pool(lambda x: max_pool(x, (2, 2))).init_with_output(jax.random.key(0), x)
    assert not variables
    np.testing.assert_array_equal(y, max_pool(x, (2, 2)))


def test_gradient_is_shared_among_equal_maxima(monkeypatch):
    monkeypatch.setattr(backend, "prefers_matmul", lambda: True)
    gradient = jax.grad(lambda x: max_pool(x, (2, 2)).sum())(jnp.ones((1, 2, 2, 1)))
    np.testing.assert_array_equal(gradient.ravel(), [0.25] * 4)


def test_errors():
    with pytest.raises(UserError, match="2x2 does not fit images of 1x5"):
        max_pool(jnp.ones((1, 1, 5, 1)), (2, 2))
    with pytest.raises(UserError, match=r"unknown pooling 'median'.*average, max"):
        pool("median")
