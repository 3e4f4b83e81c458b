"""Continuing a text, with a model that only counts."""

import jax
import jax.numpy as jnp
import numpy as np

from dl.evaluation.sampling import continue_text

KEYS = jax.random.split(jax.random.key(0), 2)


def counting(params, tokens, state):
    """The next symbol is how many were read, modulo 7."""
    places = state[:, None] + jnp.arange(1, tokens.shape[1] + 1)
    return 100.0 * jax.nn.one_hot(places % 7, 7), places[:, -1]


def uniform(params, tokens, state):
    return jnp.zeros((*tokens.shape, 4)), state


def test_the_state_goes_on_from_the_prompt_and_from_symbol_to_symbol():
    made = continue_text(counting, {}, jnp.zeros(2, int), jnp.zeros((2, 3), int), KEYS, 9, jnp.float32(0), 0)
    np.testing.assert_array_equal(made, [[3, 4, 5, 6, 0, 1, 2, 3, 4]] * 2)


def test_every_symbol_is_drawn_anew():
    made = continue_text(uniform, {}, jnp.zeros(2, int), jnp.zeros((2, 3), int), KEYS, 400, jnp.float32(1), 0)
    for text in np.asarray(made):
        assert (np.bincount(text, minlength=4) > 60).all()  # 100 expected
        assert 0.15 < (text[1:] == text[:-1]).mean() < 0.35  # 1/4 expected
    assert 0.15 < (made[0] == made[1]).mean() < 0.35
