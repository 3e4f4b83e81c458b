"""Reading words: what counts in the loss, both streams together, what is learned, and what is shown."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from configs.iiit5k_crnn import get_config
from dl.data.rendering.sources import features
from dl.dataset import Arrays, Info, Resources, labelled_images
from dl.errors import UserError
from dl.evaluation.words_read import mistakes_first, shown_words, word_accuracy, written_below
from dl.generation.reading import check_size, cut_out, fitted
from dl.tasks import reading, reading_by_attention
from dl.tasks.reading import Reader, Settings, phases, together
from dl.vocabulary import Vocabulary

KEY = jax.random.key(0)


class Linear(nn.Module):
    """Eight columns of normalised pixels, each times a matrix: a network that is quickly compiled."""

    @nn.compact
    def __call__(self, x, train=False):
        x = x.reshape(len(x), 32, 8, 4).swapaxes(1, 2).reshape(len(x), 8, 128)
        return nn.Dense(3)(nn.BatchNorm(use_running_average=not train, momentum=0.9)(x))


def reader(**settings):
    return Reader(Linear(), Vocabulary("ab", words=False), (32, 32, 1), Settings(**settings))


def batch(texts, seed=0):
    images = jax.random.normal(jax.random.key(seed), (len(texts), 32, 32, 1))
    rows = np.zeros((len(texts), 8), np.int32)
    for row, text in zip(rows, texts, strict=True):
        row[: len(text)] = text
    return {"image": images, "text": jnp.asarray(rows), "text_length": jnp.array([len(text) for text in texts])}


def test_only_words_that_can_be_aligned_count_and_both_streams_do():
    task = reader(rendered="drawn")
    params, variables = jax.jit(task.init)(KEY)
    assert task.columns() == 8
    some, long = batch([(0, 1), (1,)]), batch([(0, 0, 0, 0, 0)] * 2, 1)  # five equal symbols need nine columns
    beside = {**some, **{f"drawn/{name}": values for name, values in long.items()}}
    joined = together(beside, "drawn")
    assert joined["image"].shape == (4, 32, 32, 1) and joined["text_length"].tolist() == [2, 1, 5, 5]
    assert together(some, "drawn") is some
    step = jax.jit(task.loss)
    (total, count), (new, _) = step(params, variables, beside, KEY)
    assert count == 2 and not jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), variables, new))
    (both, all_), _ = step(params, variables, {**beside, "drawn/text_length": jnp.array([1, 1])}, KEY)
    assert all_ == 4 and both > total > 0


def test_rendered_words_come_first_and_then_beside():
    assert [tuple(phase) for phase in phases(Settings(), 10)] == [(10, ("read",), "train", ())]
    first, second = phases(Settings(rendered="drawn", before=0.7), 10)
    assert (first.steps, first.stream, first.beside) == (7, "drawn", ())
    assert (second.steps, second.stream, second.beside) == (3, "train", ("drawn",))
    assert len(phases(Settings(rendered="drawn", before=1.0), 10)) == 1


def test_four_words_are_learned():
    task = reader()
    params, variables = jax.jit(task.init)(KEY)
    words = batch([(0,), (1, 0), (0, 1, 1), (1, 1)])
    optimizer = optax.adam(3e-2)
    state = optimizer.init(params)

    @jax.jit
    def step(params, variables, state, key):
        def value(params):
            (total, count), rest = task.loss(params, variables, words, key)
            return total / count, rest

        (loss, (variables, _)), gradient = jax.value_and_grad(value, has_aux=True)(params)
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), variables, state, loss

    losses = []
    for i in range(100):
        params, variables, state, loss = step(params, variables, state, jax.random.key(i))
        losses.append(float(loss))
    assert losses[0] > 2 and losses[-1] < 0.3


def test_accuracy_counts_whole_words():
    assert word_accuracy(["abc", "de", "f"], ["abc", "dE", "f"]) == pytest.approx(2 / 3)
    order = mistakes_first(["a", "b", "c", "d"], ["a", "x", "y", "d"], np.array([9.0, 1.0, 2.0, 0.0]), 3)
    assert order.tolist()[:2] == [2, 1] and order[2] in (0, 3)
    shown = shown_words(np.zeros((2, 32, 48, 1), np.float32), ["one", "two"], ["one", "tvo"])
    assert shown.pixels.shape == (2, 48, 48, 3) and shown.captions == ["one", "two / read: tvo"]
    right, wrong = (written_below(np.zeros((32, 48, 1), np.float32), "tvo", good) for good in (True, False))
    assert (right[..., 0] == right[..., 2]).all() and (wrong[32:, :, 0].astype(int) - wrong[32:, :, 2]).max() > 50


def test_one_line_where_data_and_task_do_not_go_together():
    config = get_config("smoke")
    with pytest.raises(UserError, match="reading needs images of words"):
        reading.build(config, Resources(labelled_images("digits", (8, 8, 1), 10)), 1)
    words = Resources(Info("words", features(48)))
    config.task.before = 1.5
    with pytest.raises(UserError, match=r"task.before=1.5 lie in 0..1"):
        reading.build(config, words, 1)
    config.task.before = 0.5
    with pytest.raises(UserError, match="'crnn' does not spell: take 'crnn_attention'"):
        reading_by_attention.build(ConfigDict({**config.to_dict(), "task": {"name": "reading_by_attention"}}), words, 1)


def test_words_longer_than_the_columns_of_the_images():
    length = np.array([9, 9, 9, 2], np.int32)
    with pytest.raises(UserError, match="3 of 4 words are longer than the 8 columns that 32 pixels give: set a larger"):
        reader().check("test", Arrays({"text_length": length}))
    reader().check("test", Arrays({"text_length": length[2:]}))


def test_images_that_hold_no_word():
    with pytest.raises(UserError, match="a.png is 3x20 pixels; a word needs 4x8 at least"):
        check_size(np.random.default_rng(0).random((20, 3)), "a.png")
    with pytest.raises(UserError, match=r"a.png is empty"):
        check_size(np.ones((20, 30)), "a.png")


def test_what_is_cut_out_of_a_scene_is_upright():
    scene = np.zeros((40, 60))
    scene[10:20, 15:45] = np.linspace(0.2, 1, 30)
    cut = cut_out(scene, np.array([15, 30, 10, 30, 0.0]), margin=0.0)
    np.testing.assert_allclose(cut, scene[10:20, 15:45], atol=1e-5)
    turned = cut_out(np.rot90(scene), np.array([30, 15, 10, 30, np.pi / 2]), margin=0.0)  # to the left, as angles count
    np.testing.assert_allclose(turned, scene[10:20, 15:45], atol=0.05)
    canvas, times = fitted(np.ones((40, 2048)))
    assert canvas.shape == (32, 1024) and times == 0.5
