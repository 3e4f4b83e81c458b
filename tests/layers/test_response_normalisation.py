"""Local response normalisation against the paper's formula and a case by hand; beside PyTorch's in test_pytorch.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.errors import UserError
from dl.layers.response_normalisation import local_response_norm


def formula(a, n, k, alpha, beta):
    """Krizhevsky et al. 2012, section 3.3, for one position."""
    count = len(a)
    return [
        a[i] / (k + alpha * sum(a[j] ** 2 for j in range(max(0, i - n // 2), min(count - 1, i + n // 2) + 1))) ** beta
        for i in range(count)
    ]


@pytest.mark.parametrize("size", [1, 3, 5, 9])
def test_equals_the_formula(size):
    a = np.random.default_rng(0).normal(scale=30, size=7)
    found = local_response_norm(jnp.asarray(a, jnp.float32)[None, None, None], size)
    np.testing.assert_allclose(found[0, 0, 0], formula(a, size, 2.0, 1e-4, 0.75), rtol=1e-5)


def test_by_hand():
    """Three maps of 3, 0 and 4 with n = 3, k = 0, alpha = 1, beta = 1/2: divided by 3, 5 and 4."""
    found = local_response_norm(jnp.array([3.0, 0.0, 4.0]), 3, 0.0, 1.0, 0.5)
    np.testing.assert_allclose(found, [1.0, 0.0, 1.0], rtol=1e-6)


def test_bfloat16_and_errors():
    x = jax.random.normal(jax.random.key(0), (1, 2, 2, 8), jnp.bfloat16)
    assert local_response_norm(x).dtype == jnp.bfloat16
    with pytest.raises(UserError, match="odd number of maps, not 4"):
        local_response_norm(x, 4)
