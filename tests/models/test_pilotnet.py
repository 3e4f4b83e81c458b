"""PilotNet has the layers that were published, and sees colours as YUV."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.errors import UserError
from dl.layers.backend import stock_operations
from dl.models.mlp import MLP
from dl.models.pilotnet import YUV, PilotNet

COUNTS = {
    "conv1": (5 * 5 * 3 + 1) * 24,
    "conv2": (5 * 5 * 24 + 1) * 36,
    "conv3": (5 * 5 * 36 + 1) * 48,
    "conv4": (3 * 3 * 48 + 1) * 64,
    "conv5": (3 * 3 * 64 + 1) * 64,
    "dense1": (1 * 18 * 64 + 1) * 100,
    "dense2": (100 + 1) * 50,
    "dense3": (50 + 1) * 10,
    "output": 10 + 1,
}


def test_its_parameters_are_those_of_the_published_layers():
    shapes = jax.eval_shape(PilotNet().init, jax.random.key(0), jnp.zeros((1, 66, 200, 3)))["params"]
    assert {name: sum(leaf.size for leaf in jax.tree.leaves(tree)) for name, tree in shapes.items()} == COUNTS
    assert sum(COUNTS.values()) == 252_219
    assert jax.eval_shape(PilotNet().apply, {"params": shapes}, jnp.zeros((4, 66, 200, 3))).shape == (4, 1)


def test_colours_are_brought_to_yuv():
    """Grey has no colour, red, green and blue have the luma of BT.601, and the network takes them so."""
    colours = jnp.array([[1.0, 1, 1], [1, 0, 0], [0, 0, 1]]) @ jnp.array(YUV).T
    np.testing.assert_allclose(colours[0], [1, 0, 0], atol=1e-4)
    np.testing.assert_allclose(colours[1:, 0], [0.299, 0.114])
    assert colours[1, 2] > 0.6 and colours[2, 1] > 0.4
    x = jax.random.normal(jax.random.key(1), (1, 61, 61, 3))
    with stock_operations():
        variables = jax.jit(PilotNet().init)(jax.random.key(0), x)
        both = jax.jit(lambda v: (PilotNet().apply(v, x), PilotNet(yuv=False).apply(v, x @ jnp.array(YUV).T)))(variables)
    np.testing.assert_allclose(*both, rtol=1e-4, atol=1e-6)


def test_an_image_that_is_too_small_is_a_line():
    with pytest.raises(UserError, match=r"images of at least 61x61, and these are 60x200"):
        jax.eval_shape(PilotNet().init, jax.random.key(0), jnp.zeros((1, 60, 200, 3)))


def test_the_two_layer_perceptron_by_hand():
    """tanh(w2 . max(0, W1 x + b1) + b2)."""
    params = {
        "dense1": {"kernel": jnp.array([[1.0, -1.0], [2.0, 0.0]]), "bias": jnp.array([0.5, -1.0])},
        "dense2": {"kernel": jnp.array([[0.3], [9.0]]), "bias": jnp.array([-0.2])},
    }
    model = MLP(num_classes=1, hidden=(2,), activation="relu", output="tanh")
    found = model.apply({"params": params}, jnp.array([[1.0, 0.5]]))  # hidden: 2.5, and -2 cut to 0
    np.testing.assert_allclose(found, [[np.tanh(0.3 * 2.5 - 0.2)]], rtol=1e-6)
