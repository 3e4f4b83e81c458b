"""Similarity: worked examples of the losses, one tower for both sides, one distance in training and evaluation, learning."""

import importlib.util
import pathlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict
from PIL import Image

from dl.data.identities import feature_of
from dl.dataset import Resources, labelled_images
from dl.errors import UserError
from dl.tasks import similarity
from dl.training.assembly import assemble
from dl.training.loop import train
from dl.training.progress import Progress
from dl.training.workdir import read_metrics
from tests.training.tasks import experiment, image_dataset, settings
from tests.training.tasks import run as run_task

ROOT = pathlib.Path(__file__).parents[2]
INFO = labelled_images("digits", (8, 8, 1), 10, tuple("0123456789"))


def config(name="digits_siamese", variant="smoke", **changes):
    spec = importlib.util.spec_from_file_location(name, ROOT / "configs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    chosen = module.get_config(variant)
    chosen.update(replicas=1, **changes)
    return chosen


def task(name="digits_siamese", **settings):
    chosen = config(name)
    chosen.task.update(settings)
    return similarity.build(chosen, Resources(INFO), chosen.steps)


def batch(rng, count=12):
    sides = {side: jnp.asarray(rng.random((count, 8, 8, 1)), jnp.float32) for side in ("left", "right")}
    return {**sides, "same": jnp.asarray(rng.random(count) < 0.5)}


def run(chosen, workdir, devices=1):
    chosen.mesh.data = devices
    workdir.mkdir(exist_ok=True)
    return train(assemble(chosen), workdir, Progress(chosen.steps, enabled=False))


def test_contrastive_is_equation_4():
    """Hadsell et al. 2006: (1 - Y) D^2 / 2 + Y max(0, m - D)^2 / 2, at m = 1.25."""
    distance = jnp.array([0.5, 2.0, 0.5, 1.25, 2.0])
    same = jnp.array([True, True, False, False, False])
    got = similarity.contrastive(distance, same, 1.25)
    np.testing.assert_allclose(got, [0.125, 2.0, 0.75**2 / 2, 0.0, 0.0])


def test_contrastive_gradient_where_both_sides_are_equal():
    """A pair of the same image twice: the distance 0 has no slope, and nothing is divided by it."""
    made = task(loss="contrastive")
    params, variables = jax.jit(made.init)(jax.random.key(0))
    images = jnp.ones((4, 8, 8, 1))
    equal = {"left": images, "right": images, "same": jnp.array([True, True, False, False])}
    gradient = jax.jit(jax.grad(lambda p: made.objectives["compare"].value(p, variables, equal, jax.random.key(1))[0]))(params)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradient))


def test_triplets_by_hand():
    """Points on a line, classes 0, 0, 1, 1 at 0, 1, 1.2 and 5; margin 1."""
    points = jnp.array([[0.0], [1.0], [1.2], [5.0]])
    losses, pairs = similarity.triplet_semi_hard(points, jnp.array([0, 0, 1, 1]), 1.0)
    np.testing.assert_array_equal(np.argwhere(np.asarray(pairs)), [[0, 1], [1, 0], [2, 3], [3, 2]])
    # (0, 1): D^2 = 1; the nearest negative farther away is at 1.44. (1, 0): the only one farther than 1 is at 16: no loss.
    # (2, 3): D^2 = 14.44 is farther than all negatives (1.44, 0.04): the farthest. (3, 2): of 25 and 16 the nearer, 16.
    expected = {(0, 1): 1 + 1 - 1.44, (1, 0): 0.0, (2, 3): 1 + 14.44 - 1.44, (3, 2): max(0, 1 + 14.44 - 16)}
    for (a, p), value in expected.items():
        assert float(losses[a, p]) == pytest.approx(value, abs=1e-5)
    assert float(losses.sum()) == pytest.approx(sum(expected.values()), abs=1e-4)


def test_triplets_equal_a_loop():
    rng = np.random.default_rng(3)
    points, labels = rng.normal(size=(14, 3)), np.arange(14) % 4
    losses, _ = similarity.triplet_semi_hard(jnp.asarray(points, jnp.float32), jnp.asarray(labels), 0.5)
    squared = ((points[:, None] - points[None]) ** 2).sum(-1)
    for a in range(14):
        negatives = squared[a][labels != labels[a]]
        for p in np.flatnonzero((labels == labels[a]) & (np.arange(14) != a)):
            farther = negatives[negatives > squared[a, p]]
            chosen = farther.min() if len(farther) else negatives.max()
            assert float(losses[a, p]) == pytest.approx(max(0.0, 0.5 + squared[a, p] - chosen), abs=1e-4)


def test_a_batch_of_one_class_has_no_triplets():
    losses, _ = similarity.triplet_semi_hard(jnp.ones((4, 2)), jnp.zeros(4, jnp.int32), 0.5)
    assert float(losses.sum()) == 0.0


def test_weighted_l1_loss_is_the_cross_entropy_of_the_formula():
    made = task("omniglot_siamese_mlp")
    params, variables = jax.jit(made.init)(jax.random.key(0))
    pairs = batch(np.random.default_rng(0))
    value, (_, metrics) = made.objectives["compare"].value(params, variables, pairs, jax.random.key(1))
    mask = jnp.ones(12, bool)

    def outputs_of(images):
        return jax.device_get(
            made.evaluators["embeddings"].step(params, variables, {"image": images, "mask": mask}, jax.random.key(2))[1]
        )

    outputs = {side: outputs_of(pairs[side]) for side in ("left", "right")}
    apart = similarity.distance("weighted_l1")(outputs["left"]["embedding"], outputs["right"]["embedding"])
    threshold = outputs["left"]["threshold"]
    probability = 1 / (1 + np.exp(apart - threshold))
    same = np.asarray(pairs["same"])
    np.testing.assert_allclose(value, -np.log(np.where(same, probability, 1 - probability)).mean(), rtol=1e-4)
    wrong = ((apart < threshold) != same).mean()
    assert float(metrics["pair_error"][0] / metrics["pair_error"][1]) == pytest.approx(wrong)


def test_the_sides_share_their_tower():
    """Exchanging left and right changes nothing, and there is one set of weights."""
    made = task("omniglot_siamese_mlp")
    params, variables = jax.jit(made.init)(jax.random.key(0))
    assert set(params) == {"tower", "head"}
    pairs = batch(np.random.default_rng(1))
    swapped = {**pairs, "left": pairs["right"], "right": pairs["left"]}
    values = [made.objectives["compare"].value(params, variables, b, jax.random.key(1))[0] for b in (pairs, swapped)]
    np.testing.assert_allclose(*values, rtol=1e-6)


class Points(nn.Module):
    """The embedding of an image is its pixels."""

    @nn.compact
    def __call__(self, x, train=False):
        return x.reshape(len(x), -1)


def points(**settings):
    """The task on images of one pixel, points on a line: the embedding is the number itself."""
    chosen = similarity.Settings(embedding=1, few_shot=(), **settings)
    made = similarity.Similarity(Points(), labelled_images("points", (1, 1, 1), 2), chosen).task(optax.sgd(0.1), 1)
    return lambda **batch: made.objectives["compare"].value({"tower": {}}, {}, batch, jax.random.key(0))


def pixels(values):
    return jnp.asarray(values, jnp.float32).reshape(-1, 1, 1, 1)


def test_what_is_minimised_of_pairs_and_their_error_by_hand():
    """Margin 1: pairs nearer than 1/2 are taken for the same. Distances 0.2, 0.8 (same) and 0.4, 1.2, 3 (different)."""
    same = jnp.array([True, True, False, False, False])
    apart = np.array([0.2, 0.8, 0.4, 1.2, 3.0])
    loss, (_, metrics) = points()(left=pixels(apart), right=pixels(np.zeros(5)), same=same)
    assert float(loss) == pytest.approx((0.2**2 + 0.8**2 + 0.6**2) / 2 / 5, rel=1e-5)
    assert [float(x) for x in metrics["pair_error"]] == [2, 5]  # 0.8 and 0.4
    assert [float(x) for x in metrics["distance/same"]] == pytest.approx([1.0, 2])
    assert [float(x) for x in metrics["distance/different"]] == pytest.approx([4.6, 3])


def test_what_is_minimised_of_triplets_is_the_mean_over_their_pairs():
    """The points of `test_triplets_by_hand`: four pairs of an anchor and a positive, of which one has no loss."""
    image, label = pixels([0.0, 1.0, 1.2, 5.0]), jnp.array([0, 0, 1, 1])
    loss, (_, metrics) = points(loss="triplet")(image=image, label=label)
    assert float(loss) == pytest.approx((0.56 + 0 + 14.0 + 0) / 4, rel=1e-4)
    assert [float(x) for x in metrics["active_triplets"]] == [2, 4]
    # Of length 1, the points are 0, 1, 1, 1: (0, 1) costs 1 + 1 - 1, (1, 0) and (2, 3), (3, 2) likewise by hand.
    unit, _ = points(loss="triplet", normalise=True)(image=pixels([2.0, -3.0, 5.0, 7.0]), label=label)
    # +1, -1, +1, +1: (0, 1) and (1, 0): D^2 = 4, no negative farther, the farthest is at 0 and at 4; (2, 3): the negative at 4.
    assert float(unit) == pytest.approx(((1 + 4 - 0) + (1 + 4 - 4) + 0 + 0) / 4, rel=1e-4)


def test_pairs_are_told_apart_at_half_the_margin():
    """Two classes 0.6 apart: nearer than 1/2 are the same ones; with a margin of 2, all are."""
    outputs = {"embedding": np.repeat([[0.0], [0.6]], 20, axis=0).astype(np.float32), "label": np.repeat([0, 1], 20)}
    for margin, error in ((1.0, 0.0), (2.0, 0.5)):
        chosen = similarity.Settings(embedding=1, margin=margin, few_shot=(), pairs=200)
        assert similarity.measure(outputs, chosen)["pair_error"] == pytest.approx(error)


class Dropped(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        return nn.Dense(3)(nn.Dropout(0.5, deterministic=not train)(x.reshape(len(x), -1)))


def test_a_run_embeds_each_image_once_and_drops_nothing(tmp_path):
    """The mean length of the embeddings is NumPy's; 50 test images end in a batch of 2, and 22 that pad."""
    data, chosen = image_dataset(), similarity.Settings(embedding=3, few_shot=(), pairs=50)
    task = similarity.Similarity(Dropped(), data.info, chosen).task(optax.sgd(0.1), 1)
    whole = settings(steps=1, dataset={"mean": (0.5,), "batches": "pairs"})
    trained = run_task(experiment(task, whole, dataset=data), tmp_path / "run")
    bias, kernel = (np.asarray(x)[0] for x in jax.tree.leaves(trained.state.params["tower"]))
    embedded = (data.splits["test"].features["image"].reshape(50, -1) / 255 - 0.5) @ kernel + bias
    expected = np.linalg.norm(embedded, axis=-1).mean()
    assert trained.evaluated["test"].metrics["embedding_norm"][0] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["digits_siamese", "omniglot_triplet", "omniglot_siamese_mlp"])
def test_learns_digits_in_seconds(name, tmp_path):
    """5-way one-shot error (chance: 80 %) and equal error (chance: 50 %) of digits of unseen images."""
    chosen = config(name, steps=150, batch_size=40, log_every=75, eval_every=0, checkpoint_every=0)
    chosen.augmentation = {}
    chosen.optimizer.update(learning_rate=5e-3)
    chosen.eval_batch_size = 100  # the last batch is not full: rows that pad count nowhere
    done = run(chosen, tmp_path / "run").evaluated["test"]
    measured = done.metrics
    if chosen.task.loss != "weighted_l1":  # whose outputs are weighted
        norms = np.linalg.norm(done.outputs[0]["embedding"], axis=-1)
        np.testing.assert_allclose(measured["embedding_norm"][0], norms.mean(), rtol=1e-5)
    assert measured["error"][0] < 0.45 and measured["equal_error"][0] < 0.3 and measured["auc"][0] > 0.8


@pytest.mark.parametrize("names", ["s{}", "{}", "person{:02d}"])
def test_the_recipe_for_people_of_ones_own_has_enough_of_them_in_every_split(names, tmp_path):
    """`configs/digits_siamese.py:folder`, as docs/siamese.md has it, on 40 people of a few images of 11 x 9 pixels."""
    rng = np.random.default_rng(0)
    for number in range(1, 41):
        person = tmp_path / "people" / names.format(number)
        person.mkdir(parents=True)
        face = rng.integers(0, 200, (11, 9), np.uint8)
        for i in range(2 + number % 2):
            Image.fromarray(face + rng.integers(0, 50, (11, 9), np.uint8)).save(person / f"{i}.pgm")
    chosen = config(variant="folder")
    chosen.dataset.path = str(tmp_path / "people")
    splits = assemble(chosen).dataset.splits  # which refuses a split with too few
    assert [len(np.unique(feature_of(splits[name], "label"))) for name in ("train", "test")] == [24, 8]
    if names != "s{}":  # to train one is enough
        return
    chosen.update(steps=2, batch_size=8, eval_batch_size=8, log_every=1, eval_every=0, checkpoint_every=0)
    chosen.model.update(features=4, blocks=2)
    trained = run(chosen, tmp_path / "run")
    assert set(trained.evaluated["test"].metrics) >= {"error", "error/5-way 1-shot", "equal_error", "auc"}


@pytest.mark.parametrize("name", ["digits_siamese", "omniglot_triplet"])
def test_the_loss_curve_is_that_of_one_device(name, tmp_path):
    curves = []
    for devices in (1, 8):
        chosen = config(name, steps=10, batch_size=32, steps_per_dispatch=5, log_every=1, eval_every=0, checkpoint_every=0)
        if name == "omniglot_triplet":
            chosen.dataset.per_class = 4
        chosen.optimizer.name = "sgd"
        run(chosen, tmp_path / str(devices), devices)
        lines = read_metrics(tmp_path / str(devices))
        curves.append([line["loss"]["mean"] for line in lines if line["split"] == "train"])
    np.testing.assert_allclose(curves[1], curves[0], rtol=2e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "contrast"}, "unknown loss 'contrast'. Did you mean 'contrastive'"),
        ({"loss": "triplet"}, "learns from dataset.batches='classes', not 'pairs'"),
        ({"margin": 0.0}, "task.margin must be above 0"),
        ({"embedding": -1}, "task.embedding must be above 0"),
        ({"few_shot": ((20, 1),)}, "20-way trials need 20 classes, and the dataset digits has 10"),
        ({"few_shot": ((1, 1),)}, "N >= 2 classes"),
        ({"margins": 1.0}, "unknown setting of the task similarity 'margins'. Did you mean 'margin'"),
    ],
)
def test_bad_settings(changes, message):
    with pytest.raises(UserError, match=message):
        task(**changes)


def test_a_split_of_too_few_classes_is_refused_before_training():
    chosen = config()
    chosen.dataset.splits = ConfigDict({"train": "train", "test": "test[:16]"})
    with pytest.raises(UserError, match="split 'test': 10-way 1-shot trials need 10 classes .*, and the split has 6 "):
        assemble(chosen)
    chosen.task.few_shot = ()
    chosen.dataset.splits.test = "test[:2]"
    with pytest.raises(UserError, match="split 'test': verification needs at least two classes of two examples"):
        assemble(chosen)
