"""Regression: losses and metrics by hand, ridge as scikit-learn has it, units, baselines, and data that do not fit."""

import dataclasses
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from dl.config import base
from dl.data.load import load
from dl.dataset import Arrays, Dataset, Feature, Info, Kind, Resources, column_of
from dl.errors import UserError
from dl.evaluation import regressors
from dl.inspection.visual_backprop import convolutions, visual_backprop
from dl.layers.convolution import Conv
from dl.task import Evaluation, divided
from dl.tasks import logistic_regression, regression
from dl.tasks.logistic_regression import area_under_curve, cross_entropy, margin
from dl.tasks.regression import Settings, huber, mae, mse

LINEAR = {"name": "mlp", "hidden": (), "kernel_init": "zeros"}


def configured(**model):
    config = base()
    config.model = ConfigDict({**LINEAR, **model})
    config.optimizer = ConfigDict({"name": "sgd", "learning_rate": 0.1, "l2": 0.3})
    return config


def diabetes():
    splits = {"train": "train", "test": "test"}
    return load(ConfigDict({"name": "diabetes", "splits": splits}))


def resources_of(dataset):
    return Resources(dataset.info, column=partial(column_of, dataset.splits["train"]))


def learner(dataset, config=None, **settings):
    return regression.learner(config or configured(), resources_of(dataset), Settings(**settings))


def batch_of(dataset, split):
    source = dataset.splits[split]
    batch = {name: jnp.asarray(values) for name, values in source.gather(np.arange(len(source))).items()}
    return {**batch, "mask": jnp.ones(len(source), bool)}


def trained(objective, params, variables, batch, steps):
    """The parameters after so many steps on one batch."""
    slope = jax.grad(lambda p: objective.value(p, variables, batch, jax.random.key(0))[0])

    def step(_, carry):
        params, state = carry
        updates, state = objective.optimizer.update(slope(params), state, params)
        return optax.apply_updates(params, updates), state

    return jax.jit(lambda p: jax.lax.fori_loop(0, steps, step, (p, objective.optimizer.init(p))))(params)[0]


def test_losses_by_hand():
    predicted, y = jnp.array([1.0, 0.5, 4.0]), jnp.array([0.0, 0.75, 1.0])
    np.testing.assert_allclose(mse(predicted, y), [1, 0.0625, 9])
    np.testing.assert_allclose(mae(predicted, y), [1, 0.25, 3])
    np.testing.assert_allclose(huber(predicted, y), [0.5, 0.03125, 2.5])
    np.testing.assert_allclose(huber(predicted, y, 2.0), [0.5, 0.03125, 2 * (3 - 1)])
    assert jax.grad(lambda p: huber(p, y, 2.0).sum())(predicted).tolist() == [1, -0.25, 2]


def test_metrics_by_hand():
    found = regressors.measures(np.array([1.0, 2, 3, 6]), np.array([1.0, 2, 5, 6]))
    assert found == pytest.approx({"rmse": 1.0, "mae": 0.5, "r2": 1 - 4 / 14})
    assert set(regressors.measures(np.ones(3), np.arange(3.0))) == {"rmse", "mae"}


def test_a_linear_model_with_a_penalty_is_ridge_regression():
    """mean (y - f)^2 + l2 / 2 |w|^2, N times: scikit-learn's with alpha = N l2 / 2, the intercept free of it."""
    from sklearn.linear_model import Ridge

    dataset, config = diabetes(), configured()
    task = regression.build(config, resources_of(dataset), 1)
    batch = batch_of(dataset, "train")
    params, variables = jax.jit(task.init)(jax.random.key(0))
    params = trained(task.objectives["regress"], params, variables, batch, 1000)
    inputs, target = (np.asarray(batch[name], np.float64) for name in ("inputs", "target"))
    sums, out = jax.jit(task.evaluators["regress"].step)(params, variables, batch_of(dataset, "test"), jax.random.key(0))
    exact = Ridge(alpha=len(target) * 0.3 / 2).fit(inputs, (target - target.mean()) / target.std())
    np.testing.assert_allclose(params["model"]["dense1"]["kernel"][:, 0], exact.coef_, atol=1e-5)
    test = batch_of(dataset, "test")
    np.testing.assert_allclose(
        out["prediction"], target.mean() + target.std() * exact.predict(np.asarray(test["inputs"])), rtol=1e-4
    )
    found = task.evaluators["regress"].finish(jax.device_get(sums), {})
    assert {n: found[n] for n in ("rmse", "mae", "r2")} == pytest.approx(
        regressors.measures(np.asarray(test["target"]), np.asarray(out["prediction"])), rel=1e-4
    )


def test_rows_that_pad_do_not_count():
    dataset = diabetes()
    one = learner(dataset, configured(kernel_init="normal"), loss="huber", delta=0.5)
    params, variables = jax.jit(one.init)(jax.random.key(0))
    batch, key = batch_of(dataset, "test"), jax.random.key(1)
    first = {name: values[:20] for name, values in batch.items()}
    broken = batch["target"].at[20:].set(jnp.nan)
    masked = {**batch, "target": broken, "mask": jnp.arange(len(broken)) < 20}
    evaluate = jax.jit(one.evaluate)
    ours, theirs = (one.finish(jax.device_get(evaluate(params, variables, b, key)[0]), {}) for b in (masked, first))
    assert ours == pytest.approx(theirs, rel=1e-5) and set(ours) == {"loss", "rmse", "mae", "r2"}
    value, (_, metrics) = jax.jit(one.regress)(params, variables, masked, key)
    assert metrics["mae"][1] == 20 and float(divided(value)) == pytest.approx(theirs["loss"], rel=1e-5)


@pytest.mark.parametrize("scale", ["deviation", "range"])
def test_errors_are_in_the_unit_of_the_target(scale):
    """In dollars and in cents: a hundred times the error, the same loss and r2; the range of the training targets is -1..1."""
    found = {}
    for cents in (1, 100):
        info, splits = diabetes()
        sources = {n: Arrays({**s.features, "target": s.features["target"] * cents}) for n, s in splits.items()}
        dataset = Dataset(info, sources)
        one = learner(dataset, configured(hidden=(4,), kernel_init="glorot"), scale=scale)
        params, variables = jax.jit(one.init)(jax.random.key(0))
        sums, _ = jax.jit(one.evaluate)(params, variables, batch_of(dataset, "test"), jax.random.key(0))
        found[cents] = one.finish(jax.device_get(sums), {})
        y = one.scaled(batch_of(dataset, "train"))
        expected = (float(y.min()), float(y.max())) if scale == "range" else (float(y.mean()), float(y.std()))
        assert expected == pytest.approx((-1, 1) if scale == "range" else (0, 1), abs=1e-5)
    assert found[100]["rmse"] == pytest.approx(100 * found[1]["rmse"], rel=1e-4)
    assert found[100]["mae"] == pytest.approx(100 * found[1]["mae"], rel=1e-4)
    assert [found[100][n] for n in ("loss", "r2")] == pytest.approx([found[1][n] for n in ("loss", "r2")], rel=1e-4)


def test_baselines_are_trained_on_the_training_rows_and_shown(monkeypatch):
    monkeypatch.setattr(regressors, "GRIDS", {"ridge": {"alpha": [1e-6]}, "boosting": {"n_estimators": [30], "max_depth": [2]}})
    dataset = diabetes()
    one = learner(dataset, baselines=("ridge", "boosting"))
    test, train = batch_of(dataset, "test"), batch_of(dataset, "train")
    _, outputs = one.beside({}, {}, test, jax.random.key(0))
    found = one.finish_beside({}, jax.device_get(outputs))
    design = np.concatenate([train["inputs"], np.ones((266, 1))], 1)
    weights = np.linalg.lstsq(design, np.asarray(train["target"]), rcond=None)[0]  # without a penalty: least squares
    residual = np.asarray(test["target"]) - np.concatenate([test["inputs"], np.ones((88, 1))], 1) @ weights
    assert found["ridge_rmse"] == pytest.approx(np.sqrt(np.mean(residual**2)), rel=1e-4)
    assert 0.3 < found["boosting_r2"] < 0.6 and set(found) <= set(one.task(optax.sgd(0.1), 1).evaluators["baselines"].metrics)
    params, variables = jax.jit(one.init)(jax.random.key(0))
    _, mine = one.evaluate(params, variables, test, jax.random.key(0))
    evaluation = Evaluation(jax.device_get({**mine, **outputs}), lambda rows: {})
    shown = one.render(params, variables, evaluation, jax.random.key(0))
    rows = {row[0]: row[1:] for row in shown["errors"].rows}
    assert rows["ridge"][0] == pytest.approx(found["ridge_rmse"], abs=1e-3)
    assert rows["network"] == rows["mean of the training targets"]  # of weights 0
    points = shown["predicted against actual"]
    np.testing.assert_allclose(points.points[:88, 0], test["target"])
    assert (points.labels == 0).sum() == 88 and shown["residuals"].lines["examples"][1].sum() == 88


class Small(nn.Module):
    """One convolution and the mean of its maps."""

    @nn.compact
    def __call__(self, x, train=False):
        return nn.relu(Conv(2, (3, 3), name="conv1")(x)).mean((1, 2, 3))[:, None]


def test_visual_backprop_multiplies_what_layers_respond_to():
    first = jnp.zeros((1, 4, 4, 2)).at[0, 0, 0].set(2.0).at[0, 3, 3].set(4.0).at[0, 1, 1, 0].set(-9.0)
    second = jnp.zeros((1, 2, 2, 1)).at[0, 1, 1, 0].set(1.0)
    mask = visual_backprop([first, second], (4, 4))
    assert float(mask[0, 3, 3]) == 1 and float(mask[0, 0, 0]) == 0 and float(mask[0, 1, 1]) == 0
    images = jax.random.normal(jax.random.key(1), (1, 6, 6, 1))
    variables = jax.jit(Small().init)(jax.random.key(0), images)
    (found,) = convolutions(Small(), variables, images)
    inner = Conv(2, (3, 3)).apply({"params": variables["params"]["conv1"]}, images)
    np.testing.assert_allclose(found, inner, rtol=1e-5, atol=1e-6)


def test_images_show_where_the_network_looks():
    rng = np.random.default_rng(0)
    splits = {"train": Arrays({"image": rng.random((6, 9, 8, 3), np.float32), "target": np.arange(6, dtype=np.float32)})}
    info = Info("a", {"image": Feature(Kind.IMAGE, (9, 8, 3)), "target": Feature(Kind.NUMBER, ())})
    one = learner(Dataset(info, splits))
    one = dataclasses.replace(one, model=Small())
    params, variables = jax.jit(one.init)(jax.random.key(0))
    out = {"target": np.arange(6.0), "prediction": np.array([0.0, 0, 2, 9, 4, 5])}
    evaluation = Evaluation(out, lambda rows: splits["train"].gather(rows))
    shown = one.looked_at(params, variables, evaluation, np.array([3, 1]))
    assert shown["largest errors"].captions == ["3 as 9", "1 as 0"]
    assert shown["what was looked at (VisualBackProp)"].pixels.shape == (2, 9, 8, 3)


def constant():
    info, splits = diabetes()
    return Dataset(info, {n: Arrays({**s.features, "target": 0 * s.features["target"] + 3}) for n, s in splits.items()})


WRONG = {
    "constant": (constant, {}, r"the target 'target' is 3 in all 266 training examples: there is nothing to learn"),
    "target": (diabetes, {"target": "price"}, r"needs a number for each example in 'price'; .* has inputs, target"),
    "vector": (diabetes, {"target": "inputs"}, "needs a number for each example in 'inputs'"),
    "inputs": (diabetes, {"inputs": "image"}, "reads 'image', which the dataset diabetes lacks"),
    "loss": (diabetes, {"loss": "mean"}, r"unknown loss 'mean'.*mse"),
    "delta": (diabetes, {"loss": "huber", "delta": 0.0}, r"task.delta=0"),
    "scale": (diabetes, {"scale": "rank"}, r"unknown task.scale 'rank'"),
    "baseline": (diabetes, {"baselines": ("lasso",)}, r"unknown baseline of a regression 'lasso'"),
}


@pytest.mark.parametrize(("data", "settings", "said"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_one_line(data, settings, said):
    with pytest.raises(UserError, match=said):
        learner(data(), **settings)


# --- two classes ---


def test_the_two_forms_of_the_logistic_loss_are_one():
    scores, labels = 30 * jax.random.normal(jax.random.key(0), (50,)), jnp.arange(50) % 2
    np.testing.assert_allclose(margin(scores, labels), cross_entropy(scores, labels), rtol=1e-5, atol=1e-7)
    p = 1 / (1 + np.exp(-0.7))
    np.testing.assert_allclose(margin(jnp.array([0.7, 0.7]), jnp.array([1, 0])), [-np.log(p), -np.log(1 - p)], rtol=1e-6)
    np.testing.assert_allclose(margin(jnp.array([-1e4, 1e4]), jnp.array([1, 1])), [1e4, 0])  # neither overflows
    slope = jax.grad(lambda s: margin(s, jnp.array([1, 0])).sum())(jnp.array([0.7, 0.7]))
    np.testing.assert_allclose(slope, [p - 1, p], rtol=1e-5)


def test_area_under_the_curve_by_hand():
    """Of the six pairs of a one and a zero, four are in order and one is a tie."""
    scores, labels = np.array([3.0, 1.0, 0.5, 2.0, 1.0]), np.array([1, 1, 0, 0, 0])
    assert area_under_curve(scores, labels) == pytest.approx((3 + 1 + 0.5) / 6)
    assert area_under_curve(-scores, labels) == pytest.approx(1 - 4.5 / 6)


@pytest.mark.parametrize("loss", ["margin", "cross_entropy"])
def test_logistic_regression_is_that_of_scikit_learn(loss):
    """mean loss + l2 / 2 |w|^2: C = 1 / (N l2)."""
    from sklearn.linear_model import LogisticRegression

    dataset = load(ConfigDict({"name": "breast_cancer", "splits": {"train": "train", "test": "test"}}))
    config = configured()
    config.model = ConfigDict({"name": "logistic_regression"})
    config.task = ConfigDict({"name": "logistic_regression", "loss": loss})
    task = logistic_regression.build(config, Resources(dataset.info), 1)
    batch, test = batch_of(dataset, "train"), batch_of(dataset, "test")
    params, variables = jax.jit(task.init)(jax.random.key(0))
    params = trained(task.objectives["classify"], params, variables, batch, 1000)
    exact = LogisticRegression(C=1 / (365 * 0.3), tol=1e-8, max_iter=1000).fit(batch["inputs"], batch["label"])
    np.testing.assert_allclose(params["model"]["dense1"]["kernel"][:, 0], exact.coef_[0], atol=1e-4)
    sums, out = task.evaluators["classify"].step(params, variables, test, jax.random.key(0))
    found = task.evaluators["classify"].finish(jax.device_get(sums), jax.device_get(out))
    assert found["error"] == pytest.approx(1 - exact.score(test["inputs"], test["label"]), abs=1e-6) and found["error"] < 0.08
    assert found["auc"] > 0.98
    shown = task.render(params, variables, Evaluation(jax.device_get(out), lambda rows: {}), jax.random.key(0))
    assert shown["confusion matrix"].values.sum() == 113 and shown["ROC"].lines[""][1][-1] == 1


def test_more_classes_are_not_told_apart():
    with pytest.raises(UserError, match=r"tells two classes apart, and the dataset digits has 10"):
        logistic_regression.build(configured(), Resources(load(base().dataset).info), 1)
