"""Models that caption, find and answer: parameters as their tables say, one step by hand, and steps that make a sequence."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.models.module_network import ModuleNetwork
from dl.models.question_networks import LSTMAndCNN, RelationNetwork
from dl.models.show_and_tell import ShowAndTell
from dl.models.show_attend_tell import ShowAttendTell
from dl.models.visual_semantic import VisualSemantic

FEATURES, SYMBOLS = jnp.zeros((1, 7, 7, 512)), jnp.zeros((1, 2), jnp.int32)
ONE = jnp.ones(1, jnp.int32)
IMAGE, QUESTION, LAYOUT = jnp.zeros((1, 30, 30, 3)), jnp.ones((1, 13), jnp.int32), jnp.zeros((1, 6, 2), jnp.int32)
COUNTS = {
    "soft attention": (ShowAttendTell(2540, attention_features=256), (FEATURES, SYMBOLS), 4_977_133),
    "show and tell": (ShowAndTell(2540), (FEATURES, SYMBOLS), 4_965_356),
    "retrieval": (VisualSemantic(2540), (FEATURES, SYMBOLS, ONE), 2_094_080),
    "modules": (ModuleNetwork(), (IMAGE, QUESTION, LAYOUT), 31_312),
    "lstm and cnn": (LSTMAndCNN(), (IMAGE, QUESTION, LAYOUT), 33_984 + 19_264 + 36_928 + 8_256 + 130),
    "relations": (RelationNetwork(), (IMAGE, QUESTION, LAYOUT), 33_984 + 19_264 + 2 * 4_288 + 5 * 4_160 + 130),
}


@pytest.mark.parametrize(("model", "given", "count"), COUNTS.values(), ids=COUNTS)
def test_parameters_are_as_many_as_the_table_says(model, given, count):
    shapes = jax.eval_shape(model.init, jax.random.key(0), *given)["params"]
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == count


@functools.partial(jax.jit, static_argnums=0)
def encoded(model, variables, features):
    return model.apply(variables, features, method="encode")


@functools.partial(jax.jit, static_argnums=(0, 5))
def decoded(model, variables, memory, state, words, train=False, noise=None, expected=None):
    return model.apply(variables, memory, state, words, train, *([] if noise is None else [noise, expected]), method="decode")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def by_hand(p, features, words, noise=None):
    """Equations 1 to 4, 7 and 13 of Xu et al. for one image, in float64: scores and weights of each word."""
    places = features.reshape(-1, features.shape[-1])
    h, c = (np.tanh(places.mean(0) @ p[n]["kernel"] + p[n]["bias"]) for n in ("initial_h", "initial_c"))
    a, d, scores, looks = p["alignment"], p["decoder"], [], []
    for n, word in enumerate(words):
        e = np.tanh(places @ a["memory_kernel"] + h @ a["query_kernel"]) @ a["v"]
        weights = np.exp(e) / np.exp(e).sum()
        looks.append(weights)
        seen = weights if noise is None else np.eye(len(weights))[(np.log(weights) + noise[n]).argmax()]
        z = sigmoid(h @ d["gate_kernel"] + d["gate_bias"]) * (seen @ places)
        y = p["word_embedding"]["embedding"][word]
        i, f, g, o = np.split(y @ d["kernel"] + h @ d["recurrent_kernel"] + z @ d["context_kernel"] + d["bias"], 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        deep = np.tanh(y + h @ p["from_h"]["kernel"] + p["from_h"]["bias"] + z @ p["from_z"]["kernel"])
        scores.append(deep @ p["output"]["kernel"] + p["output"]["bias"])
    return np.array(scores), np.array(looks)


@pytest.fixture(scope="module")
def shown():
    model = ShowAttendTell(9, embedding=5, hidden=6, attention_features=4)
    features = jax.random.normal(jax.random.key(1), (2, 2, 3, 7))
    words = jnp.array([[1, 4, 5, 2], [1, 7, 2, 0]])
    params = jax.jit(model.init)(jax.random.key(0), features, words)["params"]
    return (
        model,
        {"params": jax.tree.map(lambda x: x + 0.1 * jnp.cos(jnp.arange(x.size).reshape(x.shape)), params)},
        features,
        words,
    )


def test_a_caption_by_hand(shown):
    model, variables, features, words = shown
    memory, state = encoded(model, variables, features)
    scores, _, weights, seen = decoded(model, variables, memory, state, words)
    np.testing.assert_array_equal(weights, seen)
    params = jax.tree.map(lambda x: np.asarray(x, np.float64), variables["params"])
    for row in range(2):
        expected, looks = by_hand(params, np.asarray(features[row], np.float64), np.asarray(words[row]))
        np.testing.assert_allclose(scores[row], expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(weights[row], looks, rtol=1e-4, atol=1e-6)


def test_hard_attention_sees_the_place_drawn(shown):
    model, variables, features, words = shown
    memory, state = encoded(model, variables, features)
    noise = jax.random.gumbel(jax.random.key(2), (2, 4, 6))
    whole = jnp.array([0.0, 1.0])[:, None, None] * jnp.ones((2, 4, 1))
    scores, _, weights, seen = decoded(model, variables, memory, state, words, False, noise, whole)
    params = jax.tree.map(lambda x: np.asarray(x, np.float64), variables["params"])
    drawn = by_hand(params, np.asarray(features[0], np.float64), np.asarray(words[0]), np.asarray(noise[0]))
    soft = by_hand(params, np.asarray(features[1], np.float64), np.asarray(words[1]))
    for row, (expected, looks) in enumerate((drawn, soft)):
        np.testing.assert_allclose(scores[row], expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(weights[row], looks, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(np.sort(seen[0], axis=-1)[:, -2:], [[0, 1]] * 4)
    np.testing.assert_array_equal(seen[1], weights[1])


@pytest.mark.parametrize("model", [ShowAttendTell(9, 5, 6), ShowAndTell(9, 5, 6)], ids=["attention", "none"])
def test_word_by_word_is_the_caption_at_once(model):
    features, words = jax.random.normal(jax.random.key(1), (2, 2, 2, 4)), jnp.array([[1, 4, 5], [1, 7, 2]])
    variables = jax.jit(model.init)(jax.random.key(0), features, words)
    memory, state = encoded(model, variables, features)
    at_once = decoded(model, variables, memory, state, words)[0]
    for n in range(3):
        scores, state, *_ = decoded(model, variables, memory, state, words[:, n : n + 1])
        np.testing.assert_allclose(scores[:, 0], at_once[:, n], rtol=1e-5, atol=1e-6)
    other = decoded(model, variables, *encoded(model, variables, features + 1), words)[0]
    assert np.abs(np.asarray(other - at_once)).max() > 1e-3  # the image is seen


def test_modules_are_put_together_as_the_layout_says():
    """`and` of what two modules found, a transform of the second alone; steps that pad a layout do nothing."""
    model = ModuleNetwork(channels=8, hidden=8)
    image = jax.random.uniform(jax.random.key(1), (4, 30, 30, 3))
    question = jnp.ones((4, 13), jnp.int32)
    program = [[1, 3], [1, 5], [2, 7], [3, 0], [4, 0], [0, 0]]
    layouts = jnp.array([program, [[1, 3], *[[0, 0]] * 5], [[1, 5], [2, 7], *[[0, 0]] * 4], [[1, 5], *[[0, 0]] * 5]])
    same = jnp.broadcast_to(image[:1], image.shape)
    variables = jax.jit(model.init)(jax.random.key(0), same, question, layouts)
    apply = jax.jit(model.apply)
    _, maps = apply(variables, same, question, layouts)
    np.testing.assert_allclose(maps[0, 0], maps[1, 0], rtol=1e-5)
    np.testing.assert_allclose(maps[0, 1], maps[3, 0], rtol=1e-5)
    np.testing.assert_allclose(maps[0, 2], maps[2, 1], rtol=1e-5)
    np.testing.assert_allclose(maps[0, 3], maps[0, 0] * maps[0, 2], rtol=1e-4)
    assert np.abs(np.asarray(maps[0, 0] - maps[0, 1])).max() > 1e-3
    short = jnp.array(program[:5])[None].repeat(4, 0)
    one, two = (apply(variables, image, question, given)[0] for given in (short, layouts[:1].repeat(4, 0)))
    np.testing.assert_allclose(one, two, rtol=1e-5)


@pytest.mark.parametrize("kind", [LSTMAndCNN, RelationNetwork])
def test_padding_of_a_question_changes_nothing(kind):
    model = kind(channels=4, hidden=4)
    image = jax.random.uniform(jax.random.key(1), (1, 30, 30, 3))
    asked = jnp.array([[7, 1, 6, 12, 0, 0]])
    variables, apply = jax.jit(model.init)(jax.random.key(0), image, asked, LAYOUT), jax.jit(model.apply)
    one, two = (apply(variables, image, given, LAYOUT)[0] for given in (asked, asked[:, :4]))
    np.testing.assert_allclose(one, two, rtol=1e-5)
    assert np.abs(np.asarray(apply(variables, image, asked[:, ::-1], LAYOUT)[0] - one)).max() > 1e-5
