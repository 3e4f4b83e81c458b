"""CRNN: the published number of parameters, its columns, and a speller that says step by step what it says at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.errors import UserError
from dl.models.crnn import CRNN, CRNNAttention

KEY = jax.random.key(0)


def test_as_many_parameters_as_published():
    """8.3 million (Shi, Bai & Yao 2015, section 3.4)."""
    images = jnp.zeros((1, 32, 100, 1))
    variables = jax.eval_shape(CRNN(37).init, KEY, images)
    count = sum(x.size for x in jax.tree.leaves(variables["params"]))
    assert count == 8_325_669 and round(count / 1e6, 1) == 8.3
    for width, columns in ((100, 24), (64, 15), (200, 49)):
        shape = jax.eval_shape(CRNN(37).apply, variables, jnp.zeros((2, 32, width, 1))).shape
        assert shape == (2, columns, 37)


def test_an_image_of_another_height_is_refused():
    with pytest.raises(UserError, match="images 32 pixels high and 8 or more wide, not 16x100"):
        jax.eval_shape(CRNN(37).init, KEY, jnp.zeros((1, 16, 100, 1)))


def test_the_speller_says_step_by_step_what_it_says_at_once():
    model = CRNNAttention(5, (2, 2, 2, 2, 2, 2, 2), normalised=(), hidden=2, speller=6)
    images = jax.random.normal(KEY, (2, 32, 16, 1))
    symbols = jnp.array([[4, 1, 0], [4, 2, 2]])

    @jax.jit
    def both(images):
        variables = model.init(KEY, images, symbols)
        memory, state = model.apply(variables, images, method="encode")
        at_once, _, weights = model.apply(variables, memory, state, symbols, method="decode")
        steps = []
        for place in range(3):
            one, state, _ = model.apply(variables, memory, state, symbols[:, place : place + 1], method="decode")
            steps.append(one[:, 0])
        return at_once, jnp.stack(steps, axis=1), weights

    at_once, step_by_step, weights = both(images)
    assert at_once.shape == (2, 3, 5) and weights.shape == (2, 3, 3)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(step_by_step, at_once, rtol=1e-4, atol=1e-5)
    assert np.ptp(at_once, axis=1).min() > 1e-4  # what was said before matters
