"""Segmentation: the loss beside PyTorch's, class weights, learning, weights to start from, and one's own images."""

import re
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict
from PIL import Image

from configs import camvid_unet
from dl.config import base
from dl.data import pipeline
from dl.data.load import load
from dl.dataset import Resources, column_of
from dl.errors import UserError
from dl.evaluation import dense_crf
from dl.generation import segmentation as generation
from dl.interop import classifier, published
from dl.layers.backend import stock_operations
from dl.models.unet import UNet
from dl.tasks import segmentation
from dl.tasks.segmentation import Segmentation
from dl.tasks.segmentation_losses import logarithmic, median_frequency, weighted_cross_entropy
from dl.training.assembly import assemble
from dl.transfer import initial_weights
from dl.transfer.initial_weights import Weights
from tests.interop.random_variables import random_variables
from tests.pytorch import recorded
from tests.pytorch.draw import uniform

VOID, CLASSES = 9, 4


def config(**changes):
    made = base()
    made.update(steps=2, batch_size=4, eval_batch_size=4)
    made.mesh.data = 1
    made.dataset.update(name="drawn_shapes", shape=(24, 32), examples=16)
    made.model = ConfigDict({"name": "unet", "widths": (4, 8)})
    made.task = ConfigDict({"name": "segmentation", "balance": "none", "weights": ""})
    made.optimizer.update(name="adam", learning_rate=1e-2)
    for key, value in changes.items():
        made.update_from_flattened_dict({key.replace("__", "."): value})
    return made


def labels():
    """As in tests/pytorch/segmentation.py, which can't be imported without PyTorch."""
    found = ((uniform("labels", (2, 5, 6)) + 1) / 2 * (CLASSES + 1)).astype("int64")
    return np.where(found >= CLASSES, VOID, found)


def test_the_loss_is_pytorchs():
    weights = jnp.asarray(1.5 + uniform("weights of classes", (CLASSES,)))

    @jax.value_and_grad
    def loss(scores):
        totals, counts = weighted_cross_entropy(scores, jnp.asarray(labels()), weights, VOID)
        return totals.sum() / counts.sum()

    value, gradient = loss(jnp.asarray(3 * uniform("scores", (2, 5, 6, CLASSES))))
    wanted = recorded.arrays("segmentation", "weighted cross-entropy")
    np.testing.assert_allclose(value, wanted["loss"][0], rtol=1e-5)
    np.testing.assert_allclose(gradient, wanted["gradient"], atol=1e-6)


def test_rows_that_pad_a_batch_do_not_count():
    scores, maps, weights = jnp.asarray(uniform("scores", (2, 5, 6, CLASSES))), jnp.asarray(labels()), jnp.ones(CLASSES)
    totals, counts = weighted_cross_entropy(scores, maps, weights, VOID, jnp.array([True, False]))
    alone = weighted_cross_entropy(scores[:1], maps[:1], weights, VOID)
    assert totals[1] == counts[1] == 0 and counts[0] == (maps[0] != VOID).sum()
    np.testing.assert_allclose(totals[0], alone[0][0])


def test_class_weights_of_a_worked_example():
    pixels = np.array([[8, 2, 0, 0], [4, 0, 6, 0]])  # of two images of 10 pixels: class 3 never occurs
    # f = 12 / 20, 2 / 10, 6 / 10, so that the median is 0.6
    np.testing.assert_allclose(median_frequency(pixels), [1, 3, 1, 1])
    np.testing.assert_allclose(logarithmic(pixels), 1 / np.log(1.02 + np.array([0.6, 0.1, 0.3, 0.0])), rtol=1e-6)


def test_class_weights_are_of_the_training_split():
    made = config(task__balance="median_frequency")
    maps = load(made.dataset).splits["train"].gather(np.arange(16))["label_map"]
    pixels = np.stack([[(one == c).sum() for c in range(4)] for one in maps])
    weights = segmentation.class_weights("median_frequency", load(made.dataset).info, resources=_resources(made))
    np.testing.assert_allclose(weights, median_frequency(pixels), rtol=1e-6)
    assert weights[0] < 0.5 < max(weights)  # most of the pixels are background
    streamed = _resources(made)._replace(column=lambda name: None)  # of a set that does not lie in memory
    assert segmentation.class_weights("median_frequency", streamed.info, streamed) == weights


def _resources(made):
    data = load(made.dataset)
    source = data.splits["train"]
    first = partial(pipeline.first_examples, made.dataset.to_dict(), data.info.features, source)
    return Resources(data.info, first, None, partial(column_of, source))


def test_a_small_u_net_learns_drawn_shapes():
    made = config(model__widths=(4, 8), model__dropout=0.0, task__balance="logarithmic", dataset__examples=32)
    experiment = assemble(made)
    task, (_, objective) = experiment.task, next(iter(experiment.task.objectives.items()))
    splits = {name: source.gather(np.arange(32)) for name, source in experiment.dataset.splits.items()}

    @jax.jit
    def step(params, variables, opt_state, start):
        rows = (start + jnp.arange(8)) % 32
        batch = experiment.prepare({name: jnp.asarray(values)[rows] for name, values in splits["train"].items()})
        grad = jax.grad(lambda p: objective.value(p, variables, batch, jax.random.key(0)), has_aux=True)
        gradient, (variables, _) = grad(params)
        updates, opt_state = objective.optimizer.update(gradient, opt_state, params)
        return optax.apply_updates(params, updates), variables, opt_state

    params, variables = jax.jit(task.init)(jax.random.key(0))
    opt_state = objective.optimizer.init(params)
    with stock_operations():  # which compile in less time
        for i in range(60):
            params, variables, opt_state = step(params, variables, opt_state, 8 * i)
    evaluator = task.evaluators["segment"]
    batch = experiment.prepare({**jax.tree.map(jnp.asarray, splits["test"]), "mask": jnp.ones(32, bool)})
    with stock_operations():
        sums, outputs = jax.device_get(jax.jit(evaluator.step)(params, variables, batch, jax.random.key(0)))
    found = evaluator.finish(sums, outputs)
    assert found["mean_iou"] > 0.5
    assert outputs["right"].mean() == pytest.approx(found["accuracy"], abs=0.02)


def test_the_mirror_image_is_looked_at_too():
    """Of a network that sees the left half alone, the mean sees both."""

    class Left(nn.Module):
        def __call__(self, images, train):
            return jnp.where(jnp.arange(images.shape[2]) < 2, images[..., 0], 0.0)[..., None] * jnp.array([1.0, 0.0])

    info = load(config().dataset).info
    learner = Segmentation(Left(), info, (1.0,) * 2, mirrored=True)
    images = jnp.broadcast_to(jnp.array([4.0, 0.0, 0.0, 4.0])[None, None, :, None], (1, 1, 4, 1))
    scores = np.asarray(learner.predict({"model": {}}, {}, images))
    np.testing.assert_allclose(scores[0, 0, 0], scores[0, 0, 3], atol=1e-6)
    p = 1 / (1 + np.exp(-4.0))
    mean = np.exp(scores[0, 0, 0]) / np.exp(scores[0, 0, 0]).sum()
    np.testing.assert_allclose(mean, [(p + 0.5) / 2, (1 - p + 0.5) / 2], atol=1e-6)


@pytest.fixture(scope="module")
def squeezenet(tmp_path_factory):
    """A file of a classifier's weights, drawn."""
    model = published.build("squeezenet", {"version": "1.0"}, 1000, "float32")
    variables = random_variables(model, 64)
    usual = published.published("squeezenet", {})
    found = classifier.Classifier(
        "squeezenet", {"version": "1.0"}, model, variables, *np.float32([usual.mean, usual.std]), (224, 224, 3), 256, ()
    )
    return classifier.save(found, tmp_path_factory.mktemp("weights") / "squeezenet.npz"), variables


@pytest.mark.slow
def test_the_encoder_starts_from_a_classifiers_weights(squeezenet):
    file, variables = squeezenet
    mean, std = (tuple(map(float, classifier.load(file)._asdict()[key])) for key in ("mean", "std"))
    made = config(task__weights=str(file), dataset__mean=mean, dataset__std=std)
    made.model = ConfigDict({"name": "unet", "backbone": "squeezenet", "widths": (4, 4, 4, 4)})
    init = jax.jit(assemble(made).task.init)
    one, two = (flatten_dict(jax.device_get(init(jax.random.key(seed))[0]), sep="/") for seed in (0, 1))
    theirs = flatten_dict(variables["params"], sep="/")
    for path, array in one.items():
        inside = path.removeprefix("model/encoder/")
        if inside != path:
            np.testing.assert_array_equal(array, theirs[inside])
            np.testing.assert_array_equal(array, two[path])
    assert sum(path.startswith("model/encoder/") for path in one) == 2 + 8 * 6
    assert not np.array_equal(one["model/scores/kernel"], two["model/scores/kernel"])
    with pytest.raises(UserError, match="take images with dataset.mean"):
        made.dataset.mean = (0.0,)
        assemble(made)


def test_a_classifiers_weights_fill_the_encoder_and_nothing_else(monkeypatch):
    def read(config, name, manual_dir, group):
        assert (config.model.name, name, group) == ("vgg16_bn", "vgg.pth", "model/encoder")
        return Weights({f"{group}/conv1_1/kernel": np.ones(1)}, {"batch_stats/norm1_1/mean": np.ones(1)}, name)

    monkeypatch.setattr(initial_weights, "read", read)
    made = config(task__weights="vgg.pth")
    made.model = ConfigDict({"name": "segnet", "backbone": "vgg16_bn"})
    given, new = segmentation._given(made, segmentation.Settings(weights="vgg.pth"), None)
    assert list(given.params) == ["model/encoder/conv1_1/kernel"]
    assert list(given.variables) == ["batch_stats/encoder/norm1_1/mean"]
    assert re.fullmatch(new, "model/up5_1/kernel") and not re.fullmatch(new, "model/encoder/conv1_1/kernel")


MISTAKES = (
    (
        {"dataset__name": "digits"},
        "segmentation needs images with label maps, and the dataset digits has none: try folder_masks",
    ),
    ({"task__balance": "median"}, "unknown task.balance 'median'. Choices: logarithmic, median_frequency, none"),
    ({"test_time__samples": 2}, "task.mirrored averages over an image and its mirror image"),
    ({"task__crf": {"iterations": 1, "windw": 3}}, "unknown setting of task.crf 'windw'. Did you mean 'window'"),
    ({"task__crf": {"iterations": 1, "window": 4}}, "window=4 must be odd, 3 or more"),
)


@pytest.mark.parametrize(("changes", "message"), MISTAKES)
def test_mistakes_are_one_line(changes, message):
    made = config()
    for key, value in changes.items():
        with made.unlocked():
            section, _, name = key.partition("__")
            made[section][name] = value
    with pytest.raises(UserError, match=message):
        assemble(made)


def test_ones_own_images_of_any_size(tmp_path):
    experiment = assemble(config(model__widths=(4,), dataset__mean=(0.5,), dataset__std=(0.25,)))
    params, variables = jax.jit(experiment.task.init)(jax.random.key(0))
    images = [np.random.default_rng(0).uniform(0, 1, shape).astype(np.float32) for shape in ((24, 32, 3), (50, 31, 3))]
    for image, shown in zip(images, generation.pictures(experiment, params, variables, images), strict=True):
        assert shown.picture.shape == image.shape and shown.labels.shape == image.shape[:2]
        share = [float(line.split("%")[0]) / 100 for line in shown.lines]
        assert share == sorted(share, reverse=True) and sum(share) == pytest.approx(1, abs=0.02)
    # An image of the run's size is seen as the evaluation sees it.
    batch = experiment.prepare({"image": jnp.asarray(np.round(255 * images[0][None]).astype(np.uint8))})
    learner = Segmentation(*(getattr(_learner(experiment), name) for name in ("model", "info", "class_weights")))
    wanted = np.asarray(learner.predict(params, variables, batch["image"]).argmax(-1)[0])
    first = generation.pictures(experiment, params, variables, images[:1])[0].labels
    assert (first == wanted).mean() > 0.98  # up to the rounding of the pixels
    reopened = np.asarray(Image.open(generation.save(tmp_path / "seen" / "map.png", first)))
    np.testing.assert_array_equal(reopened, first)


def _learner(experiment):
    settings = segmentation.Settings()
    return segmentation.learner(experiment.config, experiment.dataset.info, settings, (1.0,) * 4)


def test_the_crf_is_measured_at_the_end():
    made = config()
    with made.unlocked():
        made.task.crf = {"iterations": 2, "window": 3}
    task = assemble(made).task
    assert task.evaluators["crf"].every == 0 and "crf_mean_iou" in task.evaluators["crf"].metrics
    learner = Segmentation(UNet(4, (4, 8)), load(made.dataset).info, (1.0,) * 4, (0.5,), (0.25,), dense_crf.Settings(2, 3))
    images = jnp.asarray(uniform("images", (2, 5, 6, 3)))
    scores = jnp.asarray(uniform("scores", (2, 5, 6, 4)))
    wanted = dense_crf.refined(scores[1], 255 * (0.25 * images[1] + 0.5), dense_crf.Settings(2, 3))
    np.testing.assert_allclose(learner.refine(scores, images)[1], wanted, atol=1e-4)


def test_the_smoke_variants_need_no_files():
    for name in camvid_unet.VARIANTS:
        made = camvid_unet.get_config(name if name == "smoke" else f"{name}_smoke")
        assert made.dataset.name == "drawn_shapes" and made.task.weights == ""
