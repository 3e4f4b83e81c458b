"""R-CNN: what is warped, what regions are to machines, their loss as scikit-learn has it, moved boxes, and learning."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from dl.config import base
from dl.data import pipeline
from dl.data.load import load
from dl.dataset import Resources
from dl.errors import UserError
from dl.models.rcnn import RCNN
from dl.task import divided
from dl.tasks import rcnn
from dl.tasks.rcnn import Drawn, Learner, Settings, Truth
from dl.tasks.rcnn_losses import hinge, signs, warped


def test_a_region_is_warped_with_what_is_around_it():
    """The box itself fills the middle, 1 - 2 * context of the square, and beyond the image is 0."""
    image = jnp.zeros((1, 40, 40, 1)).at[0, 10:30, 20:30].set(1.0)
    tight = warped(image, jnp.array([[[10.0, 20, 30, 30]]]), 20, 0.0)[0, 0, :, :, 0]
    np.testing.assert_allclose(tight[1:-1, 1:-1], 1, atol=1e-5)
    wide = warped(image, jnp.array([[[10.0, 20, 30, 30]]]), 20, 0.25)[0, 0, :, :, 0]
    np.testing.assert_allclose(wide[6:14, 6:14], 1, atol=1e-5)
    np.testing.assert_allclose(wide[:4], 0, atol=1e-5)
    corner = warped(jnp.ones((1, 40, 40, 1)), jnp.array([[[0.0, 0, 20, 20]]]), 20, 0.25)[0, 0, :, :, 0]
    assert float(corner[:3].max()) == 0 and float(corner[10:, 10:].min()) == pytest.approx(1)


def test_signs_by_hand():
    objects = jnp.array([[0.0, 0, 10, 10], [20, 20, 30, 30], [0, 0, 0, 0]])
    of = jnp.array([[True, False], [False, True], [False, False]])
    # The true boxes; IoU 0.5 with the first; IoU 0.2 with the first; elsewhere.
    boxes = jnp.array([[0.0, 0, 10, 10], [20, 20, 30, 30], [0, 0, 10, 5], [0, 0, 10, 2], [40, 40, 50, 50]])
    true = jnp.array([True, True, False, False, False])
    expected = [[1, -1], [-1, 1], [0, -1], [-1, -1], [-1, -1]]
    assert signs(boxes, true, objects, of, 0.3).tolist() == expected


def test_the_hinge_by_hand():
    found = hinge(jnp.array([0.5, 2.0, 0.5, -3.0, 9.0]), jnp.array([1.0, 1, -1, -1, 0]))
    np.testing.assert_allclose(found, [0.25, 0, 2.25, 0, 0])


def learner(**settings):
    model = RCNN(num_classes=2, features="hog", side=16)
    dataset = load(ConfigDict({"name": "random_shapes", "splits": {"train": "train"}, "examples": 1}))
    return Learner(model, dataset.info, Settings(**settings), lambda images: images)


def test_machines_are_those_of_scikit_learn():
    """One image whose 60 regions are each other's truth or not: the loss has the minimum of LinearSVC with C = 1 / (l2 N)."""
    from sklearn.svm import LinearSVC

    rng = np.random.default_rng(0)
    one, count = learner(machine_l2=0.05), 60
    labels = np.arange(count) % 2
    described = jnp.asarray(rng.normal(size=(1, count, 5)) + labels[:, None] * [1.0, 0.5, 0, 0, 0], jnp.float32)
    apart = jnp.arange(count, dtype=jnp.float32)[:, None] * 20 + jnp.array([0.0, 0, 10, 10])
    there = jnp.ones((1, count), bool)
    truth = Truth(apart[None], jnp.asarray(labels)[None], there, ~there)
    drawn = Drawn(apart[None], there, there, there)
    params = {"machines": {"kernel": jnp.zeros((5, 2)), "bias": jnp.zeros(2)}}

    def loss(params):
        return divided(one.machine_loss(params, described, drawn, truth))

    optimizer = optax.adam(0.02)

    def step(_, carry):
        params, state = carry
        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, updates), state

    found = jax.jit(lambda p: jax.lax.fori_loop(0, 1500, step, (p, optimizer.init(p))))(params)[0]["machines"]
    for k in range(2):
        given = {"C": 1 / (0.05 * count), "intercept_scaling": 1e3, "tol": 1e-8, "max_iter": 200_000, "random_state": 0}
        machine = LinearSVC(**given).fit(np.asarray(described[0]), labels == k)
        np.testing.assert_allclose(found["kernel"][:, k], machine.coef_[0], atol=5e-3)
        np.testing.assert_allclose(found["bias"][k], machine.intercept_[0], atol=5e-3)


def test_boxes_are_moved_as_the_regression_says():
    """A region half as wide as its object, which the regression says: the find is the object, without it the region."""
    found = {}
    for regress in (True, False):
        one = learner(regress=regress, context=0.0)
        params, _ = jax.jit(one.init)(jax.random.key(0))
        params["machines"]["bias"] = jnp.array([-1.0, 1.0])
        # Class 1: the centre moves right by half of the region's width, and the box becomes twice as wide.
        params["boxes"]["bias"] = jnp.array([0, 0, 0, 0, 0, 0.5, 0, np.log(2)], jnp.float32)
        boxes, there = jnp.array([[8.0, 8, 24, 16], [0, 0, 0, 0]]), jnp.array([True, False])
        image = jax.random.normal(jax.random.key(1), (64, 64, 3))
        out = jax.jit(one.find)(params, image, boxes, there)
        assert int(out["mask"].sum()) == 2 and int(out["labels"][0]) == 1  # a class each of the one region
        assert float(out["scores"][0]) == pytest.approx(1 / (1 + np.exp(-2)), rel=1e-5)
        found[regress] = (64 * out["boxes"][0]).tolist()
    assert found[True] == pytest.approx([8, 8, 24, 24], abs=1e-3) and found[False] == pytest.approx([8, 8, 24, 16], abs=1e-3)


def configured(**task):
    config = base()
    config.dataset.update(name="region_proposals", splits={"train": "train", "test": "test"}, size=(48, 48))
    config.dataset.update(of={"name": "random_shapes", "examples": 24}, mean=(0.5,), std=(0.25,))
    config.dataset.proposals = {"scales": (100.0,), "spaces": ("rgb",), "most": 20}
    config.model = ConfigDict({"name": "rcnn", "features": "hog", "side": 24})
    config.task = ConfigDict({"name": "rcnn", "regions": 12, **task})
    return config


def test_machines_on_histograms_find_discs_and_squares():
    config = configured(rate=0.02)
    info, splits = load(config.dataset)
    task = rcnn.build(config, Resources(info), 100)
    assert [phase.objectives for phase in task.phases] == [("machines",)]  # there is no network to be fine-tuned
    read = {s: {n: jnp.asarray(v) for n, v in source.gather(np.arange(24)).items()} for s, source in splits.items()}
    batches = {s: pipeline.prepare_evaluation(config.dataset.to_dict(), info.features, batch) for s, batch in read.items()}
    params, variables = jax.jit(task.init)(jax.random.key(0))
    objective = task.objectives["machines"]

    def step(i, carry):
        params, state = carry
        moved = {name: params[name] for name in objective.groups}
        value = partial(objective.value, variables=variables, batch=batches["train"], key=jax.random.key(i))
        slope = jax.grad(lambda some: value({**params, **some})[0])(moved)
        updates, state = objective.optimizer.update(slope, state, moved)
        return {**params, **optax.apply_updates(moved, updates)}, state

    start = objective.optimizer.init({name: params[name] for name in objective.groups})
    trained = jax.jit(lambda p: jax.lax.fori_loop(0, 100, step, (p, start)))(params)[0]
    test = {**batches["test"], "mask": jnp.ones(24, bool)}
    detect = jax.jit(task.evaluators["detect"].step)
    numbers = {}
    for name, given in (("untrained", params), ("trained", trained)):
        sums, outputs = jax.device_get(detect(given, variables, test, jax.random.key(0)))
        numbers[name] = task.evaluators["detect"].finish(sums, outputs)
    assert numbers["trained"]["map50"] > 0.5 > 0.25 > numbers["untrained"]["map50"]
    assert numbers["trained"]["proposal_recall"] > 0.8
    masked = {**test, "mask": jnp.arange(24) < 5}
    total, count = detect(trained, variables, masked, jax.random.key(0))[0]["proposal_recall"]
    assert count == (test["boxes_mask"][:5]).sum() and total <= count


def test_what_does_not_fit_is_one_line():
    plain = load(ConfigDict({"name": "random_shapes", "splits": {"train": "train"}, "examples": 1})).info
    with pytest.raises(UserError, match=r"needs images with boxes and proposals, and the dataset random_shapes has"):
        rcnn.build(configured(), Resources(plain), 1)
    with pytest.raises(UserError, match=r"task.positive=2 must be between 0 and 1"):
        rcnn.build(configured(positive=2.0), Resources(plain), 1)
    for settings, said in (
        ({"features": "sift"}, "unknown features of rcnn"),
        ({"features": "hog", "side": 20}, "model.side=20"),
    ):
        with pytest.raises(UserError, match=said):
            jax.eval_shape(RCNN(num_classes=2, **settings).init, jax.random.key(0), jnp.zeros((1, 20, 20, 3)))
