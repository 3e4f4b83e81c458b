import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.errors import UserError
from dl.layers import backend
from dl.layers.ceil_pooling import ceil_pool


def by_hand(x, reduce):
    """Every window that begins inside the image."""
    rows, columns = (-(-(n - 3) // 2) + 1 for n in x.shape[1:3])
    windows = [[x[:, 2 * r : 2 * r + 3, 2 * c : 2 * c + 3] for c in range(columns)] for r in range(rows)]
    return np.stack([np.stack([reduce(w, axis=(1, 2)) for w in row], axis=1) for row in windows], axis=1)


@pytest.mark.parametrize("size", [(2, 3), (6, 7), (8, 9)])
@pytest.mark.parametrize(("kind", "reduce"), [("max", np.max), ("average", np.mean)])
def test_windows_that_reach_over_the_edge_count(size, kind, reduce):
    x = np.random.default_rng(0).normal(size=(2, *size, 3)).astype(np.float32)
    np.testing.assert_allclose(ceil_pool(jnp.asarray(x), kind), by_hand(x, reduce), rtol=1e-5, atol=1e-6)


def test_slices_are_the_stock_operation():
    x = jax.random.normal(jax.random.key(0), (2, 8, 9, 3))
    both = jax.value_and_grad(lambda x: (ceil_pool(x) ** 2).sum())
    ours = both(x)
    with backend.stock_operations():
        stock = both(x)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), ours, stock)


def test_bad_input():
    x = jnp.zeros((1, 1, 8, 3))
    with pytest.raises(UserError, match="3x3 does not fit features of 1x8"):
        ceil_pool(x)
    with pytest.raises(UserError, match="Choices: average, max"):
        ceil_pool(jnp.zeros((1, 8, 8, 3)), "median")
