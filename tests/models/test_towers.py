"""The towers: published parameter counts and initial weights, and which images they take."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.errors import UserError
from dl.layers.weighted_l1 import WeightedL1
from dl.models.koch import Koch
from dl.models.small_tower import SmallTower


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_koch_has_38951745_parameters():
    tower = jax.eval_shape(Koch().init, jax.random.key(0), jnp.zeros((1, 105, 105, 1)))["params"]
    side = jnp.zeros((1, 4096))
    head = jax.eval_shape(WeightedL1().init, jax.random.key(0), side, side)["params"]
    layers = {name: count(tower[name]) for name in tower}
    assert layers == {"conv1": 6464, "conv2": 401_536, "conv3": 262_272, "conv4": 524_544, "dense": 37_752_832}
    assert count(tower) + count(head) == 38_951_745
    assert jax.eval_shape(Koch().apply, {"params": tower}, jnp.zeros((2, 105, 105, 1))).shape == (2, 4096)


def test_koch_starts_as_published():
    tower = Koch(num_classes=512).init(jax.random.key(0), jnp.zeros((1, 65, 65, 1)))["params"]
    for name, layer in tower.items():
        assert layer["kernel"].std() == pytest.approx(0.2 if name == "dense" else 0.01, rel=0.05)
        assert layer["bias"].mean() == pytest.approx(0.5, abs=0.01)
        assert layer["bias"].std() == pytest.approx(0.01, rel=0.3)


def test_small_tower_counts():
    variables = jax.eval_shape(SmallTower().init, jax.random.key(0), jnp.zeros((1, 28, 28, 1)))
    assert count(variables["params"]) == 115_840


def test_weighted_l1_is_the_formula():
    a, b = jnp.array([[1.0, 2.0]]), jnp.array([[4.0, 0.0]])
    params = {"kernel": jnp.array([[2.0], [-1.0]]), "bias": jnp.array([0.25])}
    np.testing.assert_allclose(WeightedL1().apply({"params": params}, a, b), [2 * 3 - 1 * 2 + 0.25])


def test_images_that_are_too_small():
    with pytest.raises(UserError, match="koch takes 105x105 images, or at least 65x65, got 64x105"):
        jax.eval_shape(Koch().init, jax.random.key(0), jnp.zeros((1, 64, 105, 1)))
    with pytest.raises(UserError, match="small_tower with blocks=4 takes images of at least 16x16, got 8x8"):
        jax.eval_shape(SmallTower().init, jax.random.key(0), jnp.zeros((1, 8, 8, 1)))
