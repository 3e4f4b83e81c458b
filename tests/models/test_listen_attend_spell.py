"""Listen, Attend and Spell: parameters by hand, lengths, and that padding is neither read nor attended to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.errors import UserError
from dl.layers.listening import ConvolutionalListener, Pyramid
from dl.models.listen_attend_spell import ListenAttendSpell

KEY = jax.random.key(0)


def small(**settings):
    given = {"hidden": 3, "halvings": 2, "speller": 4, "speller_layers": 1, "layers": 1, "channels": (2, 3)}
    return ListenAttendSpell(5, **{**given, **settings})


def count(tree):
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(tree))


def test_parameters_are_those_of_the_published_sizes():
    model = ListenAttendSpell(31)
    made = jax.eval_shape(model.init, KEY, jnp.zeros((1, 16, 40)), jnp.array([16]), jnp.zeros((1, 2), jnp.int32))["params"]
    lstm = lambda d, h: 4 * h * (d + h + 1)  # noqa: E731
    assert count(made["listener"]) == 2 * lstm(40, 256) + 3 * 2 * lstm(1024, 256) == 8_478_720
    assert count(made["embedding"]) == 31 * 512 == 15_872
    assert count(made["alignment"]) == 2 * 512 * 512 + 512 == 524_800
    assert count(made["decoder"]) == lstm(2 * 512, 512) + lstm(512, 512) == 5_246_976
    assert count(made["output"]) == 1025 * 31 == 31_775


@pytest.mark.parametrize("settings", [{}, {"encoder": "convolutional"}, {"attention": "location", "filter_width": 3}])
def test_padding_changes_nothing(settings):
    model = small(**settings)
    x, length = jax.random.normal(KEY, (2, 16, 6)), jnp.array([16, 9])
    symbols = jnp.array([[4, 0, 1], [4, 2, 3]])
    params = model.init(KEY, x, length, symbols)
    scores, weights, frames, places = model.apply(params, x, length, symbols)
    assert scores.shape == (2, 3, 5) and weights.shape == (2, 3, 4) and frames.shape == (2, 4, 5)
    assert places.tolist() == [4, 3] == [model.output_length(16), model.output_length(9)]
    assert not weights[1, :, 3].any()
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
    for other in (x.at[1, 9:].set(50.0), jnp.pad(x, ((0, 0), (0, 8), (0, 0)), constant_values=7.0)):
        again = model.apply(params, other, length, symbols)
        np.testing.assert_allclose(again[0], scores, atol=1e-5)
        np.testing.assert_allclose(again[2][1, :3], frames[1, :3], atol=1e-5)


def test_symbol_by_symbol_is_all_at_once():
    model = small(attention="location", filter_width=3)
    x, length, symbols = jax.random.normal(KEY, (2, 12, 6)), jnp.array([12, 8]), jnp.array([[4, 0, 1], [4, 2, 3]])
    params = model.init(KEY, x, length, symbols)
    expected = model.apply(params, x, length, symbols)[0]
    memory, state, _, _ = model.apply(params, x, length, method="encode")
    for place in range(3):
        scores, state, _ = model.apply(params, memory, state, symbols[:, place : place + 1], method="decode")
        np.testing.assert_allclose(scores[:, 0], expected[:, place], atol=1e-5)


def test_listeners_shorten_time():
    x, length = jnp.ones((2, 13, 5)), jnp.array([13, 6])
    for listener, places in ((Pyramid(2, 3), [2, 1]), (ConvolutionalListener(2, 1, (2, 2)), [4, 2])):
        (values, found), _ = listener.init_with_output(KEY, x, length)
        assert found.tolist() == places and values.shape == (2, max(places), 4)
        assert not values[1, places[1] :].any()


def test_an_encoder_that_there_is_not():
    with pytest.raises(UserError, match="unknown encoder 'piramid'. Did you mean 'pyramid'"):
        small(encoder="piramid").init(KEY, jnp.ones((1, 8, 6)), jnp.array([8]), jnp.zeros((1, 1), jnp.int32))
