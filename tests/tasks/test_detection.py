"""Faster and Mask R-CNN: the losses by hand, what must not count, learning, and what is said of mistakes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from configs.bccd_faster_rcnn import WEIGHTS as PUBLISHED
from configs.penn_fudan_mask_rcnn import get_config
from dl.data.load import load
from dl.data.pipeline import first_examples
from dl.dataset import Feature, Info, Kind, Resources
from dl.errors import UserError
from dl.layers.boxes import encode
from dl.task import Evaluation, divided
from dl.tasks.detection import build
from dl.tasks.detection_losses import WEIGHTS, anchor_losses, box_losses, mask_loss, mask_targets, smooth_l1
from dl.training.assembly import assemble
from dl.training.settings import assign, prepare
from tests.data.test_own_boxes import coco, voc


def test_smooth_l1_of_a_worked_example():
    np.testing.assert_allclose(smooth_l1(jnp.array([0, 0.5, -0.5, 2, -3]), 1.0), [0, 0.125, 0.125, 1.5, 2.5])
    np.testing.assert_allclose(smooth_l1(jnp.array([0.1, 1]), 0.5), [0.01, 0.75], rtol=1e-6)


ROWS = jnp.array([[0, 0, 10, 10], [0, 0, 20, 20], [5, 5, 9, 9]], jnp.float32)
OBJECTS = jnp.array([[0, 1, 10, 11], [0, 0, 1, 1], [0, 0, 1, 1]], jnp.float32)
POSITIVE, COUNTED = jnp.array([True, False, False]), jnp.array([True, True, False])


def test_anchor_losses_by_hand():
    wrong, off = anchor_losses(jnp.array([2.0, 2.0, 9]), jnp.zeros((3, 4)), ROWS, OBJECTS, POSITIVE, COUNTED)
    np.testing.assert_allclose(wrong, (np.log1p(np.exp(-2)) + np.log1p(np.exp(2))) / 2, rtol=1e-6)
    np.testing.assert_allclose(off, (0.1**2 * 9 / 2) / 2, rtol=1e-5)  # t_x = 0.1 of one anchor, over the two that are sampled


def test_box_losses_by_hand():
    scores = jnp.log(jnp.array([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2], [0.1, 0.1, 0.8]]))
    deltas = jnp.stack([jnp.full((3, 4), 7.0), encode(OBJECTS, ROWS) * jnp.array(WEIGHTS) + jnp.array([0, 0, 0, 3.0])], 1)
    labels = jnp.array([1, 0, 0])  # of the second class, whose deltas are right but for 3 in the last
    wrong, off = box_losses(scores, deltas, ROWS, OBJECTS, labels, POSITIVE, COUNTED)
    np.testing.assert_allclose(wrong, -(np.log(0.3) + np.log(0.4)) / 2, rtol=1e-5)
    np.testing.assert_allclose(off, 2.5 / 2, rtol=1e-5)


def test_mask_loss_sees_the_own_class_of_positive_regions_alone():
    logits = jnp.zeros((2, 4, 4, 3)).at[..., 1].set(2.0).at[..., 2].set(-50.0)
    masks = jnp.zeros((2, 4, 4)).at[0, :2].set(1)
    loss = mask_loss(logits, masks, jnp.array([1, 2]), jnp.array([True, False]))
    np.testing.assert_allclose(loss, (np.log1p(np.exp(-2)) + np.log1p(np.exp(2))) / 2, rtol=1e-5)
    assert mask_loss(logits, masks, jnp.array([1, 2]), jnp.zeros(2, bool)) == 0


def test_mask_targets_are_the_instance_within_the_box():
    instances = jnp.zeros((16, 16), jnp.uint8).at[:8, :8].set(1).at[8:, 8:].set(2)
    boxes = jnp.array([[0, 0, 16, 16], [4, 4, 12, 12], [0, 0, 8, 8]], jnp.float32)
    found = mask_targets(instances, jnp.array([1, 2, 2]), boxes, 4)
    corner = np.zeros((4, 4))
    corner[:2, :2] = 1
    np.testing.assert_array_equal(found, [corner, corner[::-1, ::-1], np.zeros((4, 4))])


def smoke(**changes) -> ConfigDict:
    config = get_config("smoke")
    config.optimizer.schedule = {"name": "constant"}
    config.update_from_flattened_dict(changes)
    return config


def task_of(config):
    dataset = load(config.dataset)
    return build(config, Resources(dataset.info), 100), dataset


@pytest.fixture(scope="module")
def mask_rcnn():
    """The task on four images, its loss with metrics and gradient as one program, and the first parameters."""
    config = smoke(**{"model.depth": 16, "model.hidden": 32, "task.regions": 32, "dataset.examples": 6})
    task, dataset = task_of(config)
    batch = first_examples(config.dataset.to_dict(), dataset.info.features, dataset.splits["train"], 4)
    assert batch["boxes_mask"].sum(1).tolist() != [3] * 4  # there is padding

    @jax.jit
    def loss(params, batch, key):
        def value(params):
            pair, (_, metrics) = task.objectives["detect"].loss(params, {}, batch, key)
            return divided(pair), {name: divided(metric) for name, metric in metrics.items()}

        return jax.value_and_grad(value, has_aux=True)(params)

    return task, batch, loss, drawn(task)


def drawn(task):
    """First parameters like those of `task.init`, whose program takes longer to compile than all that is tested here."""
    random, heads = np.random.default_rng(0), {"objectness", "anchor_deltas", "scores", "box_deltas", "mask_logits"}

    def draw(path, leaf):
        names = [entry.key for entry in path]
        if names[-1] != "kernel":
            return np.full(leaf.shape, float(names[-1] == "scale"), np.float32)
        deviation = 0.01 if names[-2] in heads else (2 / np.prod(leaf.shape[:-1])) ** 0.5
        return random.normal(0, deviation, leaf.shape).astype(np.float32)

    return jax.tree.map_with_path(draw, jax.eval_shape(task.init, jax.random.key(0))[0])


def test_what_stands_in_padding_does_not_count(mask_rcnn):
    _, batch, loss, params = mask_rcnn
    padding = ~batch["boxes_mask"]
    other = {**batch, "boxes": np.where(padding[..., None], np.float32([0.1, 0.1, 0.9, 0.9]), batch["boxes"])}
    other |= {"boxes_label": np.where(padding, 1, batch["boxes_label"]), "boxes_ignored": padding.astype(np.int32)}
    (ours, _), grads = loss(params, batch, jax.random.key(1))
    (theirs, _), others = loss(params, other, jax.random.key(1))
    assert ours == theirs
    jax.tree.map(np.testing.assert_array_equal, grads, others)
    assert all(np.asarray(leaf).any() for leaf in jax.tree.leaves(grads["model"]["mask_logits"]))


def test_images_without_objects_teach_the_background_alone(mask_rcnn):
    _, batch, loss, params = mask_rcnn
    empty = {**batch, "boxes_mask": np.zeros_like(batch["boxes_mask"])}
    (value, metrics), grads = loss(params, empty, jax.random.key(1))
    assert np.isfinite(value) and metrics["anchor_boxes"] == metrics["boxes"] == metrics["masks"] == 0
    assert metrics["objectness"] > 0.1 and metrics["classes"] > 0.1
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))
    ignored = {**batch, "boxes_ignored": np.ones_like(batch["boxes_ignored"])}
    (value, metrics), _ = loss(params, ignored, jax.random.key(1))
    assert np.isfinite(value) and metrics["anchor_boxes"] == metrics["boxes"] == metrics["masks"] == 0


def test_it_learns_to_find_shapes_and_their_pixels(mask_rcnn):
    task, batch, loss, params = mask_rcnn
    optimizer = optax.adam(3e-3)
    state = optimizer.init(params)
    step = jax.jit(lambda grads, state, params: _updated(optimizer, grads, state, params))
    for i in range(100):
        (_, _metrics), grads = loss(params, batch, jax.random.key(i))
        params, state = step(grads, state, params)
    evaluator = task.evaluators["detect"]
    _, outputs = jax.jit(evaluator.step)(params, {}, {**batch, "mask": np.ones(4, bool)}, jax.random.key(0))
    found = evaluator.finish({}, jax.device_get(outputs))
    assert found["map50"] > 0.8 and found["mask_map50"] > 0.8, found


def _updated(optimizer, grads, state, params):
    updates, state = optimizer.update(grads, state, params)
    return optax.apply_updates(params, updates), state


def test_the_backbone_starts_from_published_weights(shared_data):
    config = smoke(**{"model.backbone": "squeezenet", "task.weights": PUBLISHED})
    dataset = load(config.dataset)
    task = build(config, Resources(dataset.info, manual_dir=str(shared_data)), 4)
    rows = task.render({}, {}, Evaluation({}, lambda i: {}), jax.random.key(0))["initial weights"].rows
    origin = {path: source for path, _, source in rows}
    assert origin["model/body/fire8/expand3/kernel"] == origin["model/body/conv1/bias"] == PUBLISHED
    assert {source for path, source in origin.items() if not path.startswith("model/body/")} == {"reinitialised"}


@pytest.mark.parametrize(("kind", "make"), [("coco", coco), ("voc", voc)])
def test_ones_own_boxes_by_flags(tmp_path, kind, make):
    make(tmp_path)
    flags = {"dataset.name": kind, "dataset.path": str(tmp_path / "all.json") if kind == "coco" else str(tmp_path)}
    flags |= {"dataset.images": str(tmp_path / "images")} if kind == "coco" else {}
    config = smoke(**{"model.masks": False})
    config.dataset.splits = {"train": "train", "test": "test"}
    prepare(config, flags)
    assign(config, flags, "--config")
    experiment = assemble(config)
    batch = experiment.dataset.splits["train"].gather(np.arange(2))
    assert batch["image"].shape == (2, 64, 64, 3) and batch["boxes"].shape[1:] == (3, 4)
    assert experiment.task.metrics("test").keys() >= {"map50", "map", "loss"}


WRONG = {
    "model.masks needs the pixels": {"model.masks": True},
    r"task.suppression=1.5 must be between 0 and 1": {"task.suppression": 1.5},
    r"task.regions=0 must be 1 at least": {"task.regions": 0},
    r"unknown backbone of faster_rcnn 'vgg'.* Choices: plain, squeezenet": {"model.backbone": "vgg"},
    r"model.strides=\(4, 16\) must be successive ones of": {"model.strides": (4, 16)},
    r"model.sizes=\(8.0,\) must be positive and as many": {"model.sizes": (8.0,)},
    "does not fit|do not fit|no such|missing": {"task.weights": "nowhere.npz"},
}


@pytest.mark.parametrize("said", WRONG)
def test_mistakes_are_one_line(said):
    config = smoke(**{"model.masks": False, **WRONG[said]})
    info = load(config.dataset).info
    info = info._replace(features={k: v for k, v in info.features.items() if k != "instances"})
    with pytest.raises(UserError, match=said) as raised:
        jax.eval_shape(partial(build(config, Resources(info), 4).init), jax.random.key(0))
    assert "\n" not in str(raised.value)


def test_data_without_boxes_and_other_models_are_refused():
    config = smoke(**{"model.masks": False})
    digits = Info("digits", {"image": Feature(Kind.IMAGE, (8, 8, 1))})
    with pytest.raises(UserError, match="detection needs images with boxes, and the dataset digits has image: take"):
        build(config, Resources(digits), 4)
    config.model = ConfigDict({"name": "mlp"})
    with pytest.raises(UserError, match="the model 'mlp' proposes no regions"):
        build(config, Resources(load(config.dataset).info), 4)
