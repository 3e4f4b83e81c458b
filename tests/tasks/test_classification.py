"""Classification: the losses by hand, what is minimised, what a run measures, and averages over copies at test time."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl.config import base
from dl.data.augmentation.test_time import test_time_augmentation
from dl.dataset import Feature, Kind, Resources, labelled_images
from dl.errors import UserError
from dl.tasks import class_weights
from dl.tasks.classification import (
    LOSSES,
    Classification,
    cross_entropy,
    log_mean_probability,
    maximum_a_posteriori,
    outside_top,
    squared_error,
)
from dl.training.assembly import assemble
from tests.training.tasks import experiment, image_dataset, run, settings

test_time_augmentation.__test__ = False  # type: ignore[attr-defined]  # pytest would take it for a test
INFO = labelled_images("images", (2, 2, 1), 3)


class Net(nn.Module):
    """Two auxiliary classifiers on the way to the scores."""

    sows: bool = True

    @nn.compact
    def __call__(self, x, train=False):
        x = x.reshape(len(x), -1)
        for name in ("first", "second"):
            scores = nn.Dense(3, name=name)(x)
            if train and self.sows:
                self.sow("auxiliary", f"{name}_scores", scores)
        return nn.Dense(3, name="last")(x)


@pytest.fixture
def batch():
    image = jax.random.normal(jax.random.key(1), (4, 2, 2, 1))
    return {"image": image, "label": jnp.array([0, 1, 2, 0]), "label_mix": jnp.array([1, 1, 0, 2]), "mix": jnp.full(4, 0.7)}


@pytest.mark.parametrize("mixed", [False, True])
def test_the_losses_of_auxiliary_scores_are_added_by_their_weight(batch, mixed):
    task = Classification(Net(), INFO, auxiliary=0.3).task(optax.sgd(0.1), 1)
    params, variables = task.init(jax.random.key(0))
    assert variables == {} and set(params["model"]) == {"first", "second", "last"}
    batch = batch if mixed else {key: batch[key] for key in ("image", "label")}

    def one(name):  # by hand: dense, softmax, cross-entropy, mixed
        layer = params["model"][name]
        scores = batch["image"].reshape(4, -1) @ layer["kernel"] + layer["bias"]
        losses = cross_entropy(scores, batch["label"])
        return (0.7 * losses + 0.3 * cross_entropy(scores, batch["label_mix"]) if mixed else losses).mean()

    value, (new, metrics) = task.objectives["classify"].value(params, variables, batch, jax.random.key(2))
    np.testing.assert_allclose(value, one("last") + 0.3 * (one("first") + one("second")), rtol=1e-6)
    np.testing.assert_allclose(metrics["loss"][0] / 4, one("last"), rtol=1e-6)
    np.testing.assert_allclose(metrics["auxiliary"][0] / 4, one("first") + one("second"), rtol=1e-6)
    assert new == {}


def test_without_a_weight_they_are_not_asked_for(batch):
    tasks = [Classification(Net(sows), INFO).task(optax.sgd(0.1), 1) for sows in (True, False)]
    params, _ = tasks[0].init(jax.random.key(0))
    values = [task.objectives["classify"].value(params, {}, batch, jax.random.key(2)) for task in tasks]
    assert values[0][0] == values[1][0] and values[0][1][0] == {} and "auxiliary" not in values[0][1][1]


def test_a_model_that_has_none_is_a_clear_error(batch):
    task = Classification(Net(False), INFO, auxiliary=0.3).task(optax.sgd(0.1), 1)
    params, _ = task.init(jax.random.key(0))
    with pytest.raises(UserError, match="task.auxiliary=0.3, but Net gives no auxiliary scores: set it to 0"):
        task.objectives["classify"].value(params, {}, batch, jax.random.key(2))


def test_a_negative_weight_is_refused():
    settings = base()
    settings.update(steps=1, batch_size=8, task={"name": "classification", "auxiliary": -1.0})
    with pytest.raises(UserError, match="task.auxiliary must not be negative, got -1"):
        assemble(settings)


def test_cross_entropy_by_hand():
    """Scores log 1, log 2, log 5 are the probabilities 1/8, 2/8, 5/8; smoothed by 0.3, a tenth of each class's is asked for."""
    scores, labels = jnp.log(jnp.array([[1.0, 2.0, 5.0]] * 2)), jnp.array([2, 0])
    np.testing.assert_allclose(cross_entropy(scores, labels), -np.log([5 / 8, 1 / 8]), rtol=1e-6)
    logs = np.log([1 / 8, 2 / 8, 5 / 8])
    expected = [-(0.8 * logs[2] + 0.1 * logs[0] + 0.1 * logs[1]), -(0.8 * logs[0] + 0.1 * logs[1] + 0.1 * logs[2])]
    np.testing.assert_allclose(cross_entropy(scores, labels, smoothing=0.3), expected, rtol=1e-6)


def test_maximum_a_posteriori_is_equation_9():
    """Penalties y = 1, 2 and j = 0.5: E = y_label + log(exp(-0.5) + exp(-1) + exp(-2))."""
    scores = jnp.array([[-1.0, -2.0]] * 2)
    log = np.log(np.exp(-0.5) + np.exp(-1) + np.exp(-2))
    np.testing.assert_allclose(maximum_a_posteriori(scores, jnp.array([0, 1]), rubbish=0.5), [1 + log, 2 + log], rtol=1e-6)
    default = np.log(np.exp(-0.1) + np.exp(-1) + np.exp(-2))
    np.testing.assert_allclose(maximum_a_posteriori(scores, jnp.array([0, 1])), [1 + default, 2 + default], rtol=1e-6)


def test_squared_error_by_hand():
    scores = jnp.array([[0.5, 0.0, -1.0], [3.0, 1.0, 0.0]])
    np.testing.assert_allclose(squared_error(scores, jnp.array([0, 1])), [(0.25 + 0 + 1) / 2, 9 / 2])


class Normalised(nn.Module):
    """Batch normalisation and dropout: another net in training than in evaluation."""

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.BatchNorm(use_running_average=not train, momentum=0.5)(x.reshape(len(x), -1))
        return nn.Dense(4)(nn.Dropout(0.5, deterministic=not train)(x))


def scores_by_hand(state, images):
    """Scores [N, 4] of `Normalised`'s first replica with its running statistics, in NumPy."""
    params, variables = jax.tree.map(lambda x: np.asarray(x)[0], (state.params["model"], state.variables))
    norm, dense, seen = params["BatchNorm_0"], params["Dense_0"], variables["batch_stats"]["BatchNorm_0"]
    x = (images.reshape(len(images), -1) - seen["mean"]) / np.sqrt(seen["var"] + 1e-5) * norm["scale"] + norm["bias"]
    return x @ dense["kernel"] + dense["bias"]


def log_softmax(scores):
    return scores - np.log(np.exp(scores).sum(-1, keepdims=True))


def test_a_run_measures_each_test_image_once_and_not_in_training_mode(tmp_path):
    """50 images in batches of 24: the last has 2, and 22 that pad. The numbers are NumPy's."""
    data = image_dataset()
    task = Classification(Normalised(), data.info, partial(cross_entropy, smoothing=0.2)).task(optax.sgd(0.3), 12)
    trained = run(experiment(task, dataset=data), tmp_path / "run")
    split = data.splits["test"].features
    logs = log_softmax(scores_by_hand(trained.state, split["image"] / 255 - 0.5))
    losses = -0.8 * logs[np.arange(50), split["label"]] - 0.2 * logs.mean(-1)
    measured = trained.evaluated["test"]
    assert 0 < (logs.argmax(-1) != split["label"]).mean() < 1
    assert measured.metrics["error"][0] == pytest.approx((logs.argmax(-1) != split["label"]).mean())
    assert measured.metrics["loss"][0] == pytest.approx(losses.mean(), rel=1e-4)
    np.testing.assert_allclose(measured.outputs[0]["probability"], np.exp(logs).max(-1), rtol=1e-3)
    np.testing.assert_allclose(measured.outputs[0]["loss"], losses, rtol=1e-3, atol=1e-5)


def test_what_is_minimised_is_the_mean_and_the_error_that_of_the_batch(batch):
    """Four images, the scores by hand; all labels but one are the likeliest class's."""
    task = Classification(Net(), INFO).task(optax.sgd(0.1), 1)
    params, _ = task.init(jax.random.key(0))
    scores = np.asarray(batch["image"].reshape(4, -1) @ params["model"]["last"]["kernel"])
    likeliest = scores.argmax(-1)
    labels = np.where(np.arange(4) != 1, likeliest, (likeliest + 1) % 3)
    value, (_, metrics) = task.objectives["classify"].value(
        params, {}, {"image": batch["image"], "label": jnp.asarray(labels)}, jax.random.key(2)
    )
    expected = -log_softmax(scores)[np.arange(4), labels]
    assert float(value) == pytest.approx(expected.mean(), rel=1e-5)
    assert [float(x) for x in metrics["error"]] == [1, 4] and float(metrics["loss"][1]) == 4


def test_the_average_of_probabilities_by_hand():
    """1/4, 3/4 and 3/4, 1/4 are 1/2, 1/2; a probability too small for float32 still has a logarithm."""
    copies = jnp.log(jnp.array([[[1.0, 3.0]], [[9.0, 3.0]]]))
    np.testing.assert_allclose(log_mean_probability(copies), np.log([[0.5, 0.5]]), rtol=1e-6)
    np.testing.assert_allclose(log_mean_probability(jnp.array([[[0.0, 200.0]]] * 2)), [[-200.0, 0.0]], rtol=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_copies_that_are_all_the_image_change_no_loss(loss, tmp_path):
    """Whatever the loss takes for scores: logarithms of probabilities are none for `map` and `squared_error`."""
    chosen = base()
    chosen.update(steps=1, batch_size=8, eval_batch_size=200, task={"name": "classification", "loss": loss})
    chosen.model = {"name": "logistic_regression"}
    chosen.optimizer.learning_rate = 1.0  # so that not all classes are equally likely
    chosen.test_time.update(samples=2, augmentation={"brightness": {"delta": 0.0}})
    chosen.mesh.update(replica=1, data=1)
    made = assemble(chosen)
    trained = run(made, tmp_path / "run")
    bias, kernel = (np.asarray(x)[0] for x in jax.tree.leaves(trained.state.params))
    split = made.dataset.splits["test"].features
    scores = (split["image"].reshape(len(split["label"]), -1) / 255).astype(np.float32) @ kernel + bias
    expected = LOSSES[loss](jnp.asarray(scores), jnp.asarray(split["label"], jnp.int32))
    assert trained.evaluated["test"].metrics["loss"][0] == pytest.approx(float(expected.mean()), rel=1e-4)


def test_every_copy_has_draws_of_its_own(tmp_path):
    """The copies are the image or, by a coin, nothing: with a linear net the average lies between the two."""
    data = image_dataset()

    def views(key, batch):
        return {**batch, "image": batch["image"] * jax.random.bernoulli(key)}

    task = Classification(Normalised(), data.info, squared_error, lambda scores: scores.mean(0), views, 12).task(
        optax.sgd(0.3), 1
    )
    trained = run(experiment(task, settings(steps=1), dataset=data), tmp_path / "run")
    split = data.splits["test"].features
    image, nothing = (scores_by_hand(trained.state, (split["image"] / 255 - 0.5) * share) for share in (1, 0))

    def loss(share):
        return 0.5 * np.square(share * image + (1 - share) * nothing - np.eye(4)[split["label"]]).sum(-1).mean()

    measured = trained.evaluated["test"].metrics["loss"][0]
    shares = np.linspace(0, 1, 13)
    nearest = shares[np.argmin([abs(loss(share) - measured) for share in shares])]
    assert 0 < nearest < 1


def test_copies_are_made_of_pixels_and_standardised_again():
    """Twice the brightness is twice the pixels, of images that were standardised; mixup is left out."""
    chosen = base()
    chosen.update(test_time={"samples": 2, "augmentation": {}}, augmentation={"flip": {}, "mixup": {}})
    chosen.dataset.update(mean=(0.25,), std=(0.5,))
    pixels = jax.random.uniform(jax.random.key(0), (64, 2, 2, 1))
    batch = {"image": (pixels - 0.25) / 0.5, "label": jnp.arange(64)}
    made = test_time_augmentation(chosen)(jax.random.key(1), batch)
    assert set(made) == {"image", "label"}
    flipped = np.isclose(made["image"], batch["image"][:, :, ::-1], atol=1e-5).all((1, 2, 3))
    kept = np.isclose(made["image"], batch["image"], atol=1e-5).all((1, 2, 3))
    assert (flipped | kept).all() and flipped.any() and kept.any()


def test_what_lies_on_an_image_moves_with_each_copy():
    """A box around the bright left half is around the right one where the copy is flipped; so with other images."""
    chosen = base()
    chosen.update(test_time={"samples": 2, "augmentation": {"flip": {}}})
    chosen.dataset.update(mean=(0.25,), std=(0.5,))
    image = Feature(Kind.IMAGE, (2, 4, 1))
    features = {"image": image, "depth": image._replace(image="image"), "boxes": Feature(Kind.BOXES, (1, 4))}
    pixels = np.zeros((32, 2, 4, 1), np.float32)
    pixels[:, :, :2] = 1.0
    boxes = np.tile(np.float32([0, 0, 1, 0.5]), (32, 1, 1))
    batch = {"image": (pixels - 0.25) / 0.5, "depth": (pixels - 0.25) / 0.5, "boxes": boxes, "boxes_mask": boxes[..., 0] == 0}
    made = test_time_augmentation(chosen, features)(
        jax.random.key(1), {name: jnp.asarray(values) for name, values in batch.items()}
    )
    turned = np.asarray(made["image"][:, 0, 0, 0] < 0)
    assert turned.any() and not turned.all()
    np.testing.assert_allclose(made["depth"], made["image"])
    np.testing.assert_allclose(made["boxes"][:, 0, 1], np.where(turned, 0.5, 0.0), atol=1e-6)
    assert made["boxes_mask"].all()


def test_rare_classes_weigh_as_much_as_frequent_ones(batch):
    """Twice class 0, six times class 1: weights 8 / (2 * 2) and 8 / (2 * 6); a third class never occurs."""
    assert class_weights.balanced(np.array([0, 0, 1, 1, 1, 1, 1, 1]), 3).tolist() == pytest.approx([2.0, 2 / 3, 0.0])
    label = jnp.array([0, 1, 1, 0])
    plain, weighed = (Classification(Net(), INFO, class_weights=weights) for weights in ((), (2.0, 0.5, 1.0)))
    losses = jnp.array([1.0, 2.0, 4.0, 8.0])
    assert [float(x) for x in plain.weighted(losses, {"label": label})] == [15.0, 4.0]
    assert [float(x) for x in weighed.weighted(losses, {"label": label})] == [2 + 1 + 2 + 16, 5.0]
    mixed = {"label": label, "label_mix": 1 - label, "mix": jnp.full(4, 0.5)}
    assert [float(x) for x in weighed.weighted(losses, mixed)] == [15 * 1.25, 5.0]


def test_weights_are_those_of_the_training_labels():
    found = Resources(labelled_images("x", (4, 4, 1), 2), column=lambda name: np.array([0, 1, 1, 1]))
    assert class_weights.of("balanced", found) == pytest.approx((2.0, 2 / 3))
    for name, resources in (("inverse", found), ("balanced", found._replace(column=None))):
        with pytest.raises(UserError, match="class_weights"):
            class_weights.of(name, resources)


def test_the_share_outside_the_top_k():
    scores = jnp.array([[0.1, 0.9, 0.5], [0.3, 0.2, 0.1], [0.0, 1.0, 2.0]])
    labels = jnp.array([2, 2, 0])
    assert outside_top(scores, labels, 1).tolist() == [True, True, True]
    assert outside_top(scores, labels, 2).tolist() == [False, True, True]
    assert outside_top(scores, labels, 3).tolist() == [False, False, False]


def test_top_k_is_measured_and_checked():
    config = base()
    config.update(steps=1, batch_size=32)
    config.task.update(top_k=3)
    config.mesh.update(replica=1, data=1)
    assert set(assemble(config).task.metrics("test")) == {"loss", "error", "top_3_error"}
    config.task.update(top_k=11)
    with pytest.raises(UserError, match="task.top_k=11: give at most the 10 classes"):
        assemble(config)
