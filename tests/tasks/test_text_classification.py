"""Classifiers of texts: what is minimised and measured by hand, learning, what is shown, and data that are no texts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from dl.config import base
from dl.data.sources.opinions import load_opinions
from dl.dataset import Resources
from dl.errors import UserError
from dl.evaluation import sentences
from dl.task import Evaluation, divided
from dl.tasks import text_classification
from dl.tasks.text_classification import Settings, cross_entropy
from dl.vocabulary import Vocabulary

CONFIG = base()
CONFIG.dataset.update(name="opinions")
CONFIG.task = ConfigDict({"name": "text_classification", "sentiment": True})
CONFIG.model = ConfigDict({"name": "deep_averaging", "embedding": 8, "hidden": (8,), "word_dropout": 0.0})
CONFIG.optimizer = ConfigDict({"name": "adam", "learning_rate": 0.01})


def opinions(**settings):
    return load_opinions(ConfigDict({"name": "opinions", "splits": {}, "form": "sentences", **settings}))


def batch_of(dataset, split, rows):
    found = {name: jnp.asarray(values) for name, values in dataset.splits[split].gather(np.asarray(rows)).items()}
    return {**found, "mask": jnp.ones(len(rows), bool)}


def test_cross_entropy_by_hand():
    scores = jnp.log(jnp.array([[0.5, 0.25, 0.25]]))
    np.testing.assert_allclose(cross_entropy(scores, jnp.array([1])), [np.log(4)], rtol=1e-6)
    expected = -(0.9 * np.log(0.25) + 0.1 * np.mean(np.log([0.5, 0.25, 0.25])))
    np.testing.assert_allclose(cross_entropy(scores, jnp.array([1]), 0.1), [expected], rtol=1e-6)


def test_rows_that_pad_a_batch_do_not_count():
    dataset = opinions()
    learner = text_classification.learner(CONFIG, dataset.info, Settings())
    params, variables = jax.jit(learner.init)(jax.random.key(0))
    batch, key = batch_of(dataset, "train", range(6)), jax.random.key(1)
    few = {**batch, "mask": jnp.arange(6) < 2}
    value, (_, metrics) = jax.jit(learner.loss)(params, variables, few, key)
    sums, out = jax.jit(learner.evaluate)(params, variables, few, key)
    np.testing.assert_allclose(divided(value), out["loss"][:2].mean(), rtol=1e-6)
    assert metrics["error"][1] == sums["error"][1] == 2
    assert sums["error"][0] == (out["prediction"] != batch["label"])[:2].sum()
    alone = {name: values for name, values in batch.items() if name != "mask"}  # as examples come in plain batches
    np.testing.assert_allclose(divided(jax.jit(learner.loss)(params, variables, alone, key)[0]), out["loss"].mean(), rtol=1e-6)


@pytest.mark.parametrize(
    "model",
    [
        {"name": "text_lstm", "embedding": 16, "hidden": 16, "dropout": 0.0},
        {"name": "text_cnn", "embedding": 16, "maps": 16, "dropout": 0.1},
    ],
    ids=lambda model: model["name"],
)
def test_it_learns_phrases(model):
    config, dataset = CONFIG.copy_and_resolve_references(), opinions(form="phrases", labels="binary")
    config.model = ConfigDict(model)
    task = text_classification.build(config, Resources(dataset.info), 500)
    objective, train = task.objectives["classify"], dataset.splits["train"]
    params, variables = jax.jit(task.init)(jax.random.key(0))

    @jax.jit
    def step(params, state, batch, key):
        gradient = jax.grad(lambda p: objective.value(p, variables, batch, key)[0])(params)
        updates, state = objective.optimizer.update(gradient, state, params)
        return jax.tree.map(jnp.add, params, updates), state

    state, rng = objective.optimizer.init(params), np.random.default_rng(0)
    for number in range(500):
        batch = batch_of(dataset, "train", rng.integers(0, len(train), 32))
        params, state = step(params, state, batch, jax.random.key(number))
    test = batch_of(dataset, "test", range(len(dataset.splits["test"])))
    sums, _ = jax.jit(task.evaluators["classify"].step)(params, {}, test, jax.random.key(0))
    assert divided(sums["error"]) < 0.2  # the likeliest class alone errs on about a half


def test_every_phrase_of_a_sentence_is_judged():
    dataset = opinions(labels="binary")
    learner = text_classification.learner(CONFIG, dataset.info, Settings(sentiment=True))
    params, variables = jax.jit(learner.init)(jax.random.key(0))
    tree = sentences.examples()[2][0]  # The movie was not good .
    (said,) = learner.judge(params, [tree])
    assert said.shape == (12, 2)
    vocabulary = learner.vocabulary
    symbols = np.array([vocabulary.numbers.get(w, vocabulary.numbers["<unk>"]) for w in ("not", "good")])
    np.testing.assert_allclose(said[6 + 4], learner.probabilities(params, [symbols])[0], atol=1e-6)
    source = dataset.splits["test"]
    batch = batch_of(dataset, "test", range(len(source)))
    outputs = {
        name: np.asarray(values) for name, values in jax.jit(learner.evaluate)(params, {}, batch, jax.random.key(0))[1].items()
    }
    shown = learner.render(params, variables, Evaluation(outputs, source.gather), jax.random.key(0))
    assert {"confusion matrix", "classes", "worst mistakes", "error by length", "negations", sentences.LECTURE} <= set(shown)
    assert shown["worst mistakes"].rows[0][0].split()[0] in ("the", "this", "her")


def test_phrases_are_given_as_the_texts_of_the_model_are_divided():
    treebank = Vocabulary(("<pad>", "<unk>", "did", "n't", "like"))
    reviews = Vocabulary(("<pad>", "<unk>", "didn't", "like"))
    words = ("Did", "n't", "like")
    assert sentences.numbers(words, treebank, {"lower": True}).tolist() == [2, 3, 4]
    assert sentences.numbers(words, reviews, {"lower": True}).tolist() == [2, 3]
    assert sentences.numbers(("unheard",), reviews, {}).tolist() == [1]


def test_the_examples_are_the_sentences_that_they_should_be():
    trees = sentences.examples()
    assert " ".join(trees[0][0].words) == sentences.LECTURE
    assert {expected for _, expected in trees} == {"positive", "negative"}
    for tree, _ in trees:
        assert sentences.spans(tree)[sentences.root(tree)] == tree.words
    np.testing.assert_allclose(sentences.value(np.array([[0.5, 0, 0, 0.25, 0.25], [0, 0, 1, 0, 0]])), [-0.125, 0], atol=1e-12)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"text": "review"}, "task.text='review' is no text of the dataset 'opinions': it has text"),
        ({"text": "label"}, "task.text='label' is no text"),
        ({"words": "text"}, "unknown setting of the task text_classification 'words'"),
    ],
)
def test_what_is_no_text_is_said(task, message):
    config = CONFIG.copy_and_resolve_references()
    config.task = ConfigDict({"name": "text_classification", **task})
    with pytest.raises(UserError, match=message):
        text_classification.build(config, Resources(opinions().info), 1)
