"""Matching of texts: both losses by hand, what belongs together twice, padding, ranks, and learning to read through errors."""

import runpy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.data.batches.mistyped import typed_once
from dl.data.load import load
from dl.dataset import Feature, Info, Kind, Resources, labelled_images
from dl.errors import UserError
from dl.evaluation import retrieval
from dl.models.text_tower import TextTower
from dl.task import Evaluation
from dl.tasks import matching
from dl.training.assembly import assemble
from dl.training.loop import train
from dl.training.progress import Progress
from dl.vocabulary import Vocabulary
from tests.conftest import REPOSITORY

ALL, KEY = jnp.ones(3, bool), jax.random.key(0)
LIKENESS = jnp.array([[0.6, 0.7, 0.2], [0.1, 1.0, -0.8], [0.55, 0.3, -0.2]])


def config(variant="smoke", **changes):
    chosen = runpy.run_path(str(REPOSITORY / "configs" / "ptb_typos.py"))["get_config"](variant)
    chosen.update(changes)
    return chosen


def built(**settings):
    chosen = config()
    chosen.task.update(settings)
    dataset = load(chosen.dataset)
    return dataset, matching.build(chosen, Resources(dataset.info), 40)


def test_the_contrastive_loss():
    """(1 - E)^2 / 4 and E^2 above the margin 0.5, by hand: row 1 0.04 + 0.49, row 2 nothing, row 3 0.36 + 0.3025."""
    got = matching.contrastive(LIKENESS, jnp.eye(3, dtype=bool), ALL, 0.5)
    np.testing.assert_allclose(got, [0.04 + 0.49, 0.0, 0.36 + 0.3025], rtol=1e-5)


def test_the_softmax_loss():
    got = matching.n_pairs(LIKENESS, jnp.eye(3, dtype=bool), ALL, 0.1)
    rows = np.exp(np.array(LIKENESS) / 0.1)
    np.testing.assert_allclose(got, -np.log(np.diagonal(rows) / rows.sum(1)), rtol=1e-4, atol=1e-6)


def test_a_text_that_is_there_twice_is_not_pushed_away_and_padding_not_at_all():
    same = jnp.eye(3, dtype=bool).at[0, 1].set(True).at[1, 0].set(True)
    without = matching.contrastive(LIKENESS, same, ALL, 0.5)
    assert float(without[0]) == pytest.approx(0.04)
    soft = matching.n_pairs(LIKENESS, same, ALL, 0.1)
    assert float(soft[0]) == pytest.approx(np.log1p(np.exp((0.2 - 0.6) / 0.1)), rel=1e-4)
    counted = ALL.at[0].set(False)
    padded = matching.n_pairs(LIKENESS, jnp.eye(3, dtype=bool), counted, 0.1)
    assert float(padded[2]) == pytest.approx(np.log1p(np.exp((0.3 + 0.2) / 0.1)), rel=1e-4)
    assert float(matching.contrastive(LIKENESS, jnp.eye(3, dtype=bool), counted, 0.5)[2]) == pytest.approx(0.36)


def test_the_tower_does_not_see_padding_and_its_parameters_are_counted():
    tower = TextTower(num_classes=128, symbols=27)
    text, length = jnp.array([[3, 1, 20, 0, 0], [4, 15, 7, 5, 0]]), jnp.array([3, 4])
    variables = jax.jit(tower.init)(jax.random.key(0), text, length)
    embed = jax.jit(tower.apply)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == 27 * 32 + 2 * 4 * 64 * (32 + 64 + 1) + 128 * 128 + 128
    whole = embed(variables, text, length)
    np.testing.assert_allclose(whole, embed(variables, text.at[:, 4].set(9), length), rtol=1e-6)
    np.testing.assert_allclose(whole[:1], embed(variables, text[:1, :3], length[:1]), rtol=1e-5, atol=1e-6)
    turned = embed(variables, text[:, ::-1], jnp.array([5, 5]))
    assert np.abs(whole - turned).max() > 1e-3


def test_ranks_by_hand():
    query = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    target = np.array([[0.0, 1.0], [0.0, 5.0], [1.0, 1.0]])
    found = retrieval.by_angle(query, target)
    np.testing.assert_array_equal(found.nearest, [2, 0, 2])
    np.testing.assert_array_equal(found.before, [2, 1, 0])  # what is as near counts as nearer
    assert retrieval.accuracy(found) == pytest.approx(1 / 3) and retrieval.accuracy(found, 2) == pytest.approx(2 / 3)
    assert retrieval.mean_reciprocal_rank(found) == pytest.approx((1 / 3 + 1 / 2 + 1) / 3)


def test_edit_distance_takes_the_first_of_the_nearest():
    found = retrieval.by_edit_distance(["cta", "bog", "dot"], ["cat", "dog", "dot"])
    np.testing.assert_array_equal(found.nearest, [0, 1, 2])
    np.testing.assert_array_equal(found.before, [0, 0, 0])
    found = retrieval.by_edit_distance(["dog", "dop"], ["dot", "dog"])
    np.testing.assert_array_equal(found.nearest, [1, 0])
    np.testing.assert_array_equal(found.before, [1, 1])


def test_two_vocabularies_are_read_as_one():
    """The same letters on both sides have the same vector, whatever their numbers."""
    query, target = Vocabulary(("<pad>", "<unk>", "b", "a"), words=False), Vocabulary(("<pad>", "<unk>", "a", "c"), words=False)
    found = matching.reader(query, target)
    assert found.symbols.names == ("<pad>", "<unk>", "b", "a", "c")
    np.testing.assert_array_equal(found.numbers["target"], [0, 1, 3, 4])
    info = Info("own", {"article": Feature(Kind.TOKENS, (None,), query), "title": Feature(Kind.TOKENS, (None,), target)})
    chosen = config()
    chosen.dataset.batches = "examples"
    chosen.task.update(query="article", target="title")
    task = matching.build(chosen, Resources(info), 4)
    params, _ = jax.jit(task.init)(jax.random.key(0))
    batch = {
        "article": jnp.array([[3, 2]]),
        "title": jnp.array([[2, 0]]),
        "article_length": jnp.array([1]),
        "title_length": jnp.array([1]),
    }
    _, both = jax.jit(task.evaluators["nearest"].step)(params, {}, batch, KEY)
    np.testing.assert_allclose(both["query_embedding"], both["target_embedding"], rtol=1e-5)
    _, texts = task.evaluators["edit distance"].step(params, {}, batch, KEY)
    assert task.evaluators["edit distance"].finish({}, {k: np.asarray(v) for k, v in texts.items()}) == {
        "accuracy/edit_distance": 1.0
    }


def test_equal_texts():
    text = jnp.array([[1, 2, 0], [1, 2, 9], [1, 2, 9], [1, 3, 0]])
    got = matching.equal(text, jnp.array([2, 2, 3, 2]))
    np.testing.assert_array_equal(got, [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


def test_the_evaluators_and_the_report():
    dataset, task = built()
    assert task.objectives["match"].whole_batch and task.evaluators["edit distance"].every == 0
    source = typed_once(dataset.splits["train"], {})
    everything = source.gather(np.arange(len(source)))
    _, texts = task.evaluators["edit distance"].step({}, {}, {k: jnp.asarray(v) for k, v in everything.items()}, KEY)
    numbers = task.evaluators["edit distance"].finish({}, {k: np.asarray(v) for k, v in texts.items()})
    assert 0.6 < numbers["accuracy/edit_distance"] < 1
    target = np.eye(len(source), dtype=np.float32)
    query = target.copy()
    query[5, 6] = 2.0
    outputs = {"query_embedding": query / np.linalg.norm(query, axis=1, keepdims=True), "target_embedding": target}
    assert task.evaluators["nearest"].finish({}, outputs)["accuracy"] == pytest.approx(1 - 1 / len(source))
    shown = task.render({}, {}, Evaluation(outputs, source.gather), jax.random.key(0))
    (row,) = shown["mistakes"].rows
    words = ["".join(chr(96 + c) for c in w if c) for w in everything["target"]]
    assert row[1:3] == (words[5], words[6]) and row[5] == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"loss": "triplet"}, "unknown loss 'triplet'"), ({"temperature": 0.0}, "must be above 0"), ({"margin": 2.0}, "a cosine")],
)
def test_settings_out_of_range(changes, said):
    with pytest.raises(UserError, match=said):
        built(**changes)
    with pytest.raises(UserError, match="needs two texts, .* and the dataset digits has image, label"):
        matching.build(config(), Resources(labelled_images("digits", (8, 8, 1), 10)), 4)


@pytest.mark.parametrize("variant", ["smoke", pytest.param("contrastive_smoke", marks=pytest.mark.slow)])
def test_errors_are_seen_through_after_a_while(variant, tmp_path):
    """The right one among 148 words: by chance less than 1 in 100, and at first not much more."""
    chosen = config(variant, steps=400, eval_every=0, log_every=100, checkpoint_every=0)
    chosen.model.update(hidden=24, embedding=16)
    chosen.optimizer.learning_rate = 0.01
    chosen.mesh.data = 1
    workdir = tmp_path / "run"
    workdir.mkdir()
    found = train(assemble(chosen), workdir, Progress(chosen.steps, enabled=False)).evaluated["test"]
    assert found.metrics["accuracy"][0] > 0.7 and found.metrics["accuracy/5"][0] > 0.85
