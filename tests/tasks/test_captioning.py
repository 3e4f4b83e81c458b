"""Captioning and retrieval: the losses by hand, captions of one image together, phases, and learning."""

import runpy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.data.load import load
from dl.dataset import Resources
from dl.errors import UserError
from dl.evaluation.decoding import Beam
from dl.tasks import captioning, image_text_retrieval
from dl.training.assembly import assemble
from dl.training.loop import train
from dl.training.progress import Progress
from dl.training.workdir import read_metrics
from tests.conftest import REPOSITORY

KEY = jax.random.key(0)


def config(name="flickr8k_captions", variant="smoke", **task):
    chosen = runpy.run_path(str(REPOSITORY / "configs" / f"{name}.py"))["get_config"](variant)
    chosen.task.update(task)
    return chosen


def learner(variant="smoke", **task):
    chosen = config(variant=variant, **task)
    dataset = load(chosen.dataset)
    return dataset, captioning.learner_of(chosen, Resources(dataset.info))


def batch_of(dataset, count=4):
    read = dataset.splits["train"].gather(np.arange(count))
    return {**{name: jnp.asarray(values) for name, values in read.items()}, "mask": jnp.ones(count, bool)}


def test_the_doubly_stochastic_term_by_hand():
    """Two words that count and one that does not: (1 - 1.2)^2 + (1 - 0.8)^2; a caption without words costs nothing."""
    weights = jnp.array([[[0.7, 0.3], [0.5, 0.5], [1.0, 0.0]], [[0.5, 0.5]] * 3])
    counted = jnp.array([[True, True, False], [False] * 3])
    np.testing.assert_allclose(captioning.doubly_stochastic(weights, counted), [0.08, 0], atol=1e-6)


def test_reinforce_by_hand():
    """-(reward) log a of the places drawn; its gradient goes to the weights alone."""
    weights, seen = jnp.array([[[0.25, 0.75], [0.5, 0.5]]]), jnp.array([[[0.0, 1.0], [1.0, 0.0]]])
    counted = jnp.array([[True, False]])

    def value(weights, reward):
        return captioning.reinforced(weights, seen, reward, counted)[0]

    assert value(weights, jnp.array([2.0])) == pytest.approx(-2 * np.log(0.75))
    by_weights, by_reward = jax.grad(value, (0, 1))(weights, jnp.array([2.0]))
    np.testing.assert_allclose(by_weights, [[[0, -2 / 0.75], [0, 0]]], rtol=1e-6)
    assert by_reward[0] == 0
    assert captioning.entropy(weights, counted)[0] == pytest.approx(-0.25 * np.log(0.25) - 0.75 * np.log(0.75))


def test_reinforce_is_the_gradient_of_the_expectation():
    """For two places with rewards 1 and 3 the mean of the estimates is d(a_1 + 3 a_2) / d logits, here 2 a_1 a_2 (-1, 1)."""
    logits, rewards = jnp.array([0.3, -0.4]), jnp.array([1.0, 3.0])

    def estimate(logits, place):
        weights = jax.nn.softmax(logits)[None, None]
        seen = jax.nn.one_hot(place, 2)[None, None]
        return captioning.reinforced(weights, seen, rewards[place][None], jnp.ones((1, 1), bool))[0]

    a = jax.nn.softmax(logits)
    mean = sum(a[place] * jax.grad(estimate)(logits, jnp.int32(place)) for place in range(2))
    np.testing.assert_allclose(-mean, 2 * a[0] * a[1] * np.array([-1, 1]), rtol=1e-5)


@pytest.mark.parametrize("variant", ["smoke", "no_attention_smoke"])
def test_captions_and_rows_that_pad_change_nothing(variant):
    dataset, found = learner(variant)
    params, variables = found.init(jax.random.key(0))
    batch = batch_of(dataset)
    evaluate = jax.jit(found.evaluate)
    (total, count), each = (lambda sums, out: (sums["loss"], out["caption_loss"]))(*evaluate(params, variables, batch, KEY))
    longer = jnp.pad(batch["captions"], ((0, 0), (0, 3), (0, 2)))
    other = {**batch, "captions": longer, "mask": jnp.array([True, True, True, False])}
    sums, outputs = evaluate(params, variables, other, KEY)
    np.testing.assert_allclose(outputs["caption_loss"][:3], each[:3], rtol=1e-5)
    np.testing.assert_allclose(sums["loss"][0], each[:3].sum(), rtol=1e-5)
    assert count == (batch["captions"][:, 1:] > 0).sum() and sums["loss"][1] == (batch["captions"][:3, 1:] > 0).sum()
    np.testing.assert_allclose(total, each.sum(), rtol=1e-5)


def test_the_loss_adds_what_the_settings_say():
    """Without dropout: the words' losses alone, and with the weight 2 the sum of the terms of eq. 14 twice beside them."""
    dataset, found = learner(doubly=2.0)
    found = captioning.Captioning(found.model.clone(dropout=0.0), found.words, found.settings, found.shape)
    params, variables = found.init(jax.random.key(0))
    batch = batch_of(dataset)
    memory, state, symbols, counted = found.given(params, batch)
    _, _, weights, _ = found.model.apply({"params": params["model"]}, memory, state, symbols[:, :-1], method="decode")
    (total, count), (_, metrics) = found.loss(params, variables, batch, jax.random.key(1))
    added = captioning.doubly_stochastic(weights, counted).sum()
    np.testing.assert_allclose(total, metrics["loss"][0] + 2 * added, rtol=1e-5)
    assert count == metrics["loss"][1] == counted.sum() and added > 0.1


def test_hard_attention_keeps_the_mean_reward():
    dataset, found = learner("hard_smoke", smoothing=0.75)
    params, variables = found.init(jax.random.key(0))
    batch = batch_of(dataset)
    _, (after, metrics) = jax.jit(found.loss)(params, variables, batch, jax.random.key(1))
    of_caption = -metrics["loss"][0] / (batch["captions"].any(1)).sum()
    np.testing.assert_allclose(after["baseline"], 0.25 * of_caption, rtol=1e-5)


def test_a_trained_captioner_says_what_is_there(tmp_path):
    """After some steps on a few images the loss has fallen, and what is said of them has words of theirs."""
    chosen = config(variant="smoke", doubly=0.1)
    chosen.update(steps=60, eval_every=0, checkpoint_every=0, steps_per_dispatch=20, log_every=20)
    chosen.dataset.splits = {"train": "train[:8]", "validation": "train[:8]", "test": "train[:8]"}
    chosen.model.update(dropout=0.0, hidden=32, embedding=32)
    chosen.optimizer.learning_rate = 2e-2
    workdir = tmp_path / "run"
    workdir.mkdir()
    train(assemble(chosen), workdir, Progress(60, enabled=False))
    lines = read_metrics(workdir)
    losses = [line["loss"]["mean"] for line in lines if line["split"] == "train"]
    reached = next(line for line in lines if line["split"] == "test")
    assert losses[-1] < 0.7 * losses[0]
    assert reached["bleu1"]["mean"] > 50 and reached["bleu1"]["mean"] >= reached["bleu4"]["mean"]
    assert {"bleu2", "bleu3", "cider", "perplexity"} <= reached.keys()


def test_the_network_learns_in_the_last_phase():
    chosen = config(variant="finetuned_smoke")
    chosen.dataset.update(network_grid=2)
    dataset = load(chosen.dataset)
    task = captioning.build(chosen, Resources(dataset.info), 40)
    assert [(phase.steps, phase.objectives) for phase in task.phases] == [(30, ("caption",)), (10, ("finetune",))]
    assert task.objectives["caption"].groups == ("model",) and task.objectives["finetune"].groups == ("model", "cnn")
    params, variables = task.init(jax.random.key(0))
    batch = batch_of(dataset, 2)
    batch["image"] = batch["image"].astype(jnp.float32) / 255
    gradient = jax.jit(jax.grad(lambda p: task.objectives["finetune"].value(p, variables, batch, jax.random.key(0))[0]))(params)
    assert np.abs(np.asarray(gradient["cnn"]["conv1"]["kernel"])).max() > 0


def test_what_makes_no_sense_is_one_line():
    with pytest.raises(UserError, match="task.finetune needs the images themselves"):
        learner(finetune=0.5)
    with pytest.raises(UserError, match="has no attention that could be hard"):
        learner("no_attention_smoke", hard=True)
    with pytest.raises(UserError, match="captioning needs images with captions"):
        chosen = config()
        chosen.dataset.update(name="digits", network="")
        chosen.dataset.splits = {"train": "train"}
        captioning.learner_of(chosen, Resources(load(chosen.dataset).info))
    with pytest.raises(UserError, match="a beam keeps at least 1"):
        learner(beam=0)


def test_a_caption_does_not_depend_on_the_others():
    dataset, found = learner()
    params, _ = found.init(jax.random.key(3))
    features = found.features(params, batch_of(dataset, 3))
    search = jax.jit(lambda features: found.caption(params, features, Beam(3, 0.7, 0.0, 2)))
    np.testing.assert_array_equal(search(features).symbols[1], search(features[jnp.array([1, 1, 1])]).symbols[0])


def test_the_ranking_loss_by_hand():
    """Pair 0: caption 1 is too near by 0.1 (0.2 + 0.4 - 0.5), image 1 is not; pair 1: image 0, 0.2 + 0.4 - 0.3 = 0.3."""
    likeness = jnp.array([[0.5, 0.4, 0.9], [0.0, 0.3, 0.9], [0.9, 0.9, 0.9]])
    there = jnp.array([True, True, False])
    np.testing.assert_allclose(image_text_retrieval.ranking(likeness, 0.2, there), [0.1, 0.3, 0], atol=1e-6)
    whole = jnp.ones(3, bool)
    every = image_text_retrieval.ranking(likeness, 0.2, whole)
    np.testing.assert_allclose(every, [0.1 + 0.6 + 0.6, 0.8 + 0.3 + 0.8, 4 * 0.2], atol=1e-6)
    np.testing.assert_allclose(
        image_text_retrieval.ranking(likeness, 0.2, whole, hardest=True), [0.6 + 0.6, 0.8 + 0.8, 0.4], atol=1e-6
    )


def test_only_captions_that_there_are_get_drawn():
    """With a padded second caption the loss is that of the first alone."""
    chosen = config("flickr8k_retrieval")
    chosen.model.dropout = 0.0
    dataset = load(chosen.dataset)
    task = image_text_retrieval.build(chosen, Resources(dataset.info), 10)
    params, variables = task.init(jax.random.key(0))
    batch = batch_of(dataset)
    one = {**batch, "captions": batch["captions"][:, :, :1]}
    padded = {**batch, "captions": jnp.pad(one["captions"], ((0, 0), (0, 2), (0, 4)))}
    value = jax.jit(lambda batch, key: task.objectives["rank"].value(params, variables, batch, key)[0])
    found = [float(value(padded, jax.random.key(n))) for n in range(4)]
    np.testing.assert_allclose(found, float(value(one, jax.random.key(9))), rtol=1e-5)
    assert task.objectives["rank"].whole_batch
