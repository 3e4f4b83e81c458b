"""Memory networks: the equations of the paper by look-up, padding, and what the time changes; what the LSTM reads."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.errors import UserError
from dl.models.memory_network import MemoryNetwork, attend, position_encoding
from dl.models.story_lstm import StoryLSTM, packed

V, D, HOPS, PLACES = 9, 4, 2, 6
STORY = jnp.array([[[1, 2, 3], [4, 2, 0], [5, 0, 0]], [[6, 7, 8], [0, 0, 0], [0, 0, 0]]])
LENGTH, QUESTION = jnp.array([3, 1]), jnp.array([[1, 8], [7, 0]])
AGE = jnp.array([[2, 1, 0], [0, 0, 0]])


def made(**changes):
    model = MemoryNetwork(**{"num_classes": V, "width": D, "hops": HOPS, "memory": PLACES, "deviation": 0.7, **changes})
    return model, jax.jit(model.init)(jax.random.key(0), STORY, LENGTH, QUESTION, AGE)


@partial(jax.jit, static_argnums=(0, 6))
def answer(model, variables, story, length, question, age, linear=False):
    """Scores and attention; compiled, as operations one by one take longer."""
    return model.apply(variables, story, length, question, age, linear)


def by_the_paper(params, story, question, age, linear, temporal=True):
    """One question, by sums over words and sentences as in sections 2 and 4.1. `story` holds sentences of any length."""
    embedding = np.array(params["embedding"], np.float64)
    embedding[:, 0] = 0
    encoding = np.array(position_encoding(3 + temporal, D))
    u = sum(encoding[j] * embedding[0, word] for j, word in enumerate(question))
    for hop in range(HOPS):

        def encode(table, sentence, old, which):
            words = sum(encoding[j] * table[word] for j, word in enumerate(sentence))
            return words + (encoding[-1] * np.array(params["time"])[which, old] if temporal else 0)

        memory = [encode(embedding[hop], s, old, hop) for s, old in zip(story, age, strict=True)]
        scores = np.array([u @ m for m in memory])
        weights = scores if linear else np.exp(scores) / np.exp(scores).sum()
        output = [encode(embedding[hop + 1], s, old, hop + 1) for s, old in zip(story, age, strict=True)]
        u = u + sum(p * c for p, c in zip(weights, output, strict=True))
    return embedding[-1] @ u


def test_the_position_encoding_is_twice_the_papers():
    """l_kj = (1 - j/J) - (k/d)(1 - 2j/J), counted from 1/2."""
    words, width = 5, 8
    j, k = (np.arange(1, words + 1) - 0.5)[:, None] / words, (np.arange(1, width + 1) - 0.5) / width
    np.testing.assert_allclose(position_encoding(words, width), 2 * ((1 - j) - k * (1 - 2 * j)), rtol=1e-5)


def test_the_authors_table_of_positions():
    """1 + 4 (k - (d+1)/2)(j - (J+1)/2) / (d J) at d = 2, J = 2: 1 + (+-1/2)(+-1/2)."""
    np.testing.assert_allclose(position_encoding(2, 2), [[1.25, 0.75], [0.75, 1.25]])


@pytest.mark.parametrize("linear", [False, True])
def test_two_hops_are_the_equations_of_the_paper(linear):
    model, variables = made()
    scores, attention = answer(model, variables, STORY, LENGTH, QUESTION, AGE, linear)
    expected = [
        by_the_paper(variables["params"], [[1, 2, 3], [4, 2], [5]], [1, 8], [2, 1, 0], linear),
        by_the_paper(variables["params"], [[6, 7, 8]], [7], [0], linear),
    ]
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)
    assert attention.shape == (2, HOPS, 3)
    if not linear:
        np.testing.assert_allclose(attention.sum(-1), 1.0, rtol=1e-5)
        np.testing.assert_array_equal(attention[1], [[1, 0, 0]] * HOPS)


def test_without_times_and_positions_a_sentence_is_a_bag_in_a_bag():
    model, variables = made(temporal=False, encoding="bag")
    assert set(variables["params"]) == {"embedding"}
    turned = STORY[:, [2, 0, 1]][:, :, [1, 0, 2]]
    whole = LENGTH * 0 + 3
    np.testing.assert_allclose(
        answer(model, variables, STORY[:1], whole[:1], QUESTION[:1], AGE[:1])[0],
        answer(model, variables, turned[:1], whole[:1], QUESTION[:1, ::-1], AGE[:1])[0],
        rtol=1e-4,
    )
    with pytest.raises(UserError, match="unknown encoding"):
        made(encoding="words")


def test_padding_changes_nothing_and_has_no_gradient():
    model, variables = made()
    more = jnp.pad(STORY, ((0, 0), (0, 2), (0, 0))).at[0, 3:].set(8)  # beyond the story's length
    plain, padded = (
        answer(model, variables, story, LENGTH, QUESTION, jnp.zeros(story.shape[:2], int))[0] for story in (STORY, more)
    )
    np.testing.assert_allclose(plain, padded, rtol=1e-6)
    gradient = jax.grad(lambda v: answer(model, v, STORY, LENGTH, QUESTION, AGE)[0].sum())(variables)["params"]
    np.testing.assert_array_equal(gradient["embedding"][:, 0], 0)
    assert np.abs(gradient["embedding"][:, 1:]).sum() > 0


def test_old_sentences_share_the_last_time():
    model, variables = made()
    old, older, young = (answer(model, variables, STORY, LENGTH, QUESTION, AGE + more)[0] for more in (PLACES, 50, 1))
    np.testing.assert_array_equal(old, older)
    assert np.abs(old - young).max() > 1e-3


def test_attention_to_nothing_at_all():
    nothing = attend(jnp.array([[1.0, 2.0]]), jnp.zeros((1, 2), bool), False)
    np.testing.assert_array_equal(nothing, [[0.0, 0.0]])


def test_parameters():
    """4 V d of words and 4 x 50 d of times with three hops."""
    model = MemoryNetwork(num_classes=20)
    params = jax.eval_shape(model.init, jax.random.key(0), STORY, LENGTH, QUESTION, AGE)["params"]
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 4 * 20 * 20 + 4 * 50 * 20


def test_words_are_read_without_the_gaps_between_sentences():
    words, count = packed(jnp.array([[0, 3, 0, 1, 2, 0], [4, 0, 0, 0, 0, 0]]))
    np.testing.assert_array_equal(words, [[3, 1, 2, 0, 0, 0], [4, 0, 0, 0, 0, 0]])
    np.testing.assert_array_equal(count, [3, 1])


def test_the_lstm_reads_story_then_question():
    model = StoryLSTM(num_classes=V, embedding=4, hidden=5)
    variables = jax.jit(model.init)(jax.random.key(0), STORY, LENGTH, QUESTION, AGE)

    def scores(story, length, question):
        age = jnp.zeros((1, len(story[0])), int)
        return answer(model, variables, jnp.array(story), jnp.array(length), jnp.array(question), age)[0]

    whole = scores([[[1, 2, 3], [4, 2, 0]]], [2], [[1, 8]])
    np.testing.assert_allclose(whole, scores([[[1, 2], [3, 4], [2, 0], [6, 6]]], [3], [[1, 8]]), rtol=1e-5)
    np.testing.assert_allclose(whole, scores([[[1, 2, 3]]], [1], [[4, 2, 1, 8]]), rtol=1e-5)
    assert np.abs(whole - scores([[[4, 2, 0], [1, 2, 3]]], [2], [[1, 8]])).max() > 1e-3
