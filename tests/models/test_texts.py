"""Models of texts and trees: published numbers of parameters, and padding that is never counted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl import registry
from dl.errors import UserError
from dl.models.text_cnn import limited

VOCABULARY = 50
COUNTS = {
    "deep_averaging": {"embedding": 300 * VOCABULARY, "hidden1": 90_300, "hidden2": 90_300, "hidden3": 90_300, "output": 1_505},
    "text_cnn": {
        "embedding": 300 * VOCABULARY,
        **{"width3": 90_100, "width4": 120_100, "width5": 150_100},
        **{"output_kernel": 1_500, "output_bias": 5},
    },
    "text_lstm": {"embedding": 300 * VOCABULARY, "recurrent": 630_336, "output": 1_685},
}


def build(name, **settings):
    return registry.find("dl.models", "model", name)(num_classes=5, symbols=VOCABULARY, **settings)


def counts(model, *inputs):
    shapes = jax.eval_shape(model.init, jax.random.key(0), *inputs)["params"]
    return {layer: sum(leaf.size for leaf in jax.tree.leaves(tree)) for layer, tree in shapes.items()}


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_of_models_of_texts(name):
    assert counts(build(name), jnp.zeros((2, 6), jnp.int32), jnp.full(2, 6)) == COUNTS[name]


def test_parameters_of_recursive_nets():
    inputs = jnp.zeros((2, 3), jnp.int32), jnp.zeros((2, 3, 2), jnp.int32), jnp.full((2, 3), -1)
    words = 25 * VOCABULARY
    plain = counts(build("recursive_net", cell="plain"), *inputs)
    assert plain == {"embedding": words, "compose": 2 * 25 * 25 + 25, "output": 130}
    assert counts(build("recursive_net"), *inputs) == {**plain, "compose": 1_275 + 4 * 25**3}
    lstm = counts(build("recursive_net", cell="lstm", embedding=300, hidden=150), *inputs)
    assert lstm == {"embedding": 300 * VOCABULARY, "leaf": 90_300, "compose": 225_750, "output": 755}
    # Tai et al. 2015, table 1: 316,800, where each of five gates has a second bias.
    assert lstm["leaf"] + lstm["compose"] == 316_800 - 5 * 150


SMALL = {
    "deep_averaging": {"embedding": 4, "hidden": (3,)},
    "text_cnn": {"embedding": 4, "maps": 3},
    "text_lstm": {"embedding": 4, "hidden": 3},
    "mean": {"embedding": 4, "hidden": 3, "pooling": "mean", "layers": 2},
    "max": {"embedding": 4, "hidden": 3, "pooling": "max", "bidirectional": False},
}


@pytest.mark.parametrize("name", SMALL)
def test_padding_is_never_counted(name):
    model = build("text_lstm" if name in ("mean", "max") else name, **SMALL[name])
    text, length = jnp.array([[3, 1, 4, 1, 5, 9], [2, 6, 5, 3, 5, 8]]), jnp.array([2, 6])
    params, apply = jax.jit(model.init)(jax.random.key(0), text, length), jax.jit(model.apply)
    scores = apply(params, text, length)
    np.testing.assert_allclose(scores[:1], apply(params, text[:1, :2], length[:1]), atol=1e-6)
    np.testing.assert_allclose(scores, apply(params, text.at[0, 2:].set(7), length), atol=1e-6)
    assert np.abs(scores - apply(params, text.at[0, 1].set(7), length))[0].max() > 1e-4


def test_deep_averaging_by_hand():
    model = build("deep_averaging", embedding=2, hidden=(2,), word_dropout=0.5)
    params = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 3), jnp.int32), jnp.full(1, 3))["params"]
    words = np.asarray(params["embedding"]["embedding"])
    average = (words[1] + words[2] + words[2]) / 3
    hidden = np.tanh(average @ params["hidden1"]["kernel"] + params["hidden1"]["bias"])
    expected = hidden @ params["output"]["kernel"] + params["output"]["bias"]
    text, length = jnp.array([[1, 2, 2, 4]]), jnp.array([3])
    np.testing.assert_allclose(model.apply({"params": params}, text, length)[0], expected, atol=1e-6)

    @jax.jit
    def dropped(key):
        return model.apply({"params": params}, text, length, True, rngs={"dropout": key})[0]

    seen = {tuple(np.round(np.asarray(dropped(jax.random.key(key))), 5)) for key in range(40)}
    assert 4 <= len(seen) <= 6  # whole words are left out: of one 1 and two 2, none to all


def test_convolution_over_words_by_hand():
    """The largest over windows that may hang over both ends, as a loop has it."""
    model = build("text_cnn", embedding=3, widths=(2,), maps=4, max_norm=0.0)
    text, length = jnp.array([[5, 6, 7]]), jnp.array([3])
    params = jax.jit(model.init)(jax.random.key(1), text, length)["params"]
    words = np.asarray(params["embedding"]["embedding"])[[5, 6, 7]]
    x = np.concatenate([np.zeros((1, 3)), words, np.zeros((1, 3))])
    dense = params["width2"]["dense"]
    maps = [np.concatenate([x[i], x[i + 1]]) @ dense["kernel"] + dense["bias"] for i in range(4)]
    pooled = np.maximum(np.stack(maps), 0).max(0)
    expected = pooled @ params["output_kernel"] + params["output_bias"]
    np.testing.assert_allclose(model.apply({"params": params}, text, length)[0], expected, atol=1e-5)


def test_long_columns_are_scaled_down():
    kernel = jnp.array([[3.0, 0.3], [4.0, 0.4]])
    np.testing.assert_allclose(limited(kernel, 3.0), [[1.8, 0.3], [2.4, 0.4]], rtol=1e-6)
    np.testing.assert_array_equal(limited(kernel, 0.0), kernel)
    assert np.isfinite(jax.grad(lambda k: limited(k, 3.0).sum())(jnp.zeros((2, 2)))).all()


def test_what_a_model_does_not_know_is_said():
    inputs = jnp.zeros((1, 3), jnp.int32), jnp.zeros((1, 3, 2), jnp.int32), jnp.full((1, 3), -1)
    with pytest.raises(UserError, match="unknown cell of a tree 'gru'"):
        counts(build("recursive_net", cell="gru"), *inputs)
    with pytest.raises(UserError, match=r"model.embedding=300 must be model.hidden=25, or 0"):
        counts(build("recursive_net", embedding=300), *inputs)
    with pytest.raises(UserError, match="unknown pooling 'sum'"):
        counts(build("text_lstm", pooling="sum"), inputs[0], jnp.full(1, 3))
