"""The deep bidirectional LSTM: the published weights, and that padding is not read."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.layers.listening import joined
from dl.models.deep_blstm import DeepBLSTM

KEY = jax.random.key(0)


def count(**settings):
    model = DeepBLSTM(62, **settings)
    made = jax.eval_shape(model.init, KEY, jnp.zeros((1, 4, 123)), jnp.array([4]))
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(made))


@pytest.mark.parametrize(
    ("hidden", "layers", "millions"), [(250, 1, 0.8), (622, 1, 3.8), (250, 2, 2.3), (250, 3, 3.8), (250, 5, 6.8)]
)
def test_weights_are_those_of_the_published_table(hidden, layers, millions):
    """CTC-1l-622h and those of 1, 2, 3 and 5 layers of 250 units."""
    assert round(count(hidden=hidden, layers=layers) / 1e6, 1) == millions
    if (hidden, layers) == (250, 3):
        assert count(hidden=250, layers=3) == 3_787_562


@pytest.mark.parametrize("join", [1, 3])
def test_padding_changes_nothing_and_frames_are_joined(join):
    model = DeepBLSTM(5, hidden=4, layers=2, cell="lstm", join=join)
    x = jax.random.normal(KEY, (2, 12, 3))
    length = jnp.array([12, 7])
    params = model.init(KEY, x, length)
    scores, kept = model.apply(params, x, length)
    assert scores.shape == (2, 12 // join, 5) and kept.tolist() == ([12, 7] if join == 1 else [4, 3])
    alone, _ = model.apply(params, x[1:, :7], length[1:])
    np.testing.assert_allclose(scores[1, : kept[1]], alone[0, : kept[1]], atol=1e-5)
    noisy, _ = model.apply(params, x.at[1, 7:].set(9.0), length)
    np.testing.assert_allclose(noisy[:, : kept[1]], scores[:, : kept[1]], atol=1e-6)


def test_neighbours_stand_side_by_side():
    x = jnp.arange(10.0).reshape(1, 5, 2)
    np.testing.assert_array_equal(joined(x, 2)[0], [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 0, 0]])
