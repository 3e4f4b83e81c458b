"""Regression: a real number for each example.

Batches hold `target` [B] float32, in its own unit, and `inputs` [B, D] (or any other feature that `config.task.inputs` names,
such as `image` [B, H, W, C]). A model gives one number for each example, which is an affine map away from the target: what is
learned is y = (target - centre) / scale, both taken from the training split. Losses are in that scale, `rmse`, `mae` and `r2`
in the target's unit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from dl import registry
from dl.artifacts import Artifact, Images, Table
from dl.dataset import Info, Kind, Resources
from dl.errors import UserError, unknown
from dl.evaluation import regressors
from dl.inspection import display
from dl.inspection.visual_backprop import convolutions, visual_backprop
from dl.metric import HIGHER, LOWER
from dl.models import build as models
from dl.task import Batch, Evaluation, Evaluator, Measurement, Objective, Outcome, Phase, Task, Tree, mean
from dl.training import optimizers

Numbers = Float[Array, " b"]
WORST = 16  # examples shown


class Settings(NamedTuple):
    """`config.task`.

    loss: name of the loss: mse, mae or huber.
    delta: of Huber's loss, in deviations of the target: where it goes from quadratic to linear.
    inputs: the feature that the model reads; "" is `inputs`, or `image` where there is none.
    target: the feature that is predicted.
    scale: what stands for 1: the target's "deviation", 0 for its mean; or half its "range", so that it lies in -1..1.
    baselines: regressors of `dl.evaluation.regressors` that are trained beside the network at the end.
    """

    loss: str = "mse"
    delta: float = 1.0
    inputs: str = ""
    target: str = "target"
    scale: str = "deviation"
    baselines: tuple[str, ...] = ()


def mse(predicted: Numbers, y: Numbers) -> Numbers:
    """(y - f)^2: its minimum is the conditional mean."""
    return jnp.square(y - predicted)


def mae(predicted: Numbers, y: Numbers) -> Numbers:
    """|y - f|: its minimum is the conditional median."""
    return jnp.abs(y - predicted)


def huber(predicted: Numbers, y: Numbers, delta: float = 1.0) -> Numbers:
    """r^2 / 2 where |r| <= delta, else delta (|r| - delta / 2), of the residual r (Huber 1964, section 1)."""
    size = jnp.abs(y - predicted)
    return jnp.where(size <= delta, 0.5 * jnp.square(size), delta * (size - 0.5 * delta))


LOSSES = {"mse": mse, "mae": mae, "huber": huber}
METRICS = {"loss": LOWER, "rmse": LOWER, "mae": LOWER, "r2": HIGHER}


class Scale(NamedTuple):
    """Target = centre + size * y."""

    centre: float
    size: float


@dataclass(frozen=True)
class Regression:
    """A regression, whose parameters are the group `model`.

    model: called with inputs [B, ...] and `train`; gives [B, 1].
    training: inputs [N, D] and targets [N] that the baselines are trained on.
    """

    model: nn.Module
    info: Info
    settings: Settings
    scale: Scale
    seed: int
    training: tuple[np.ndarray, np.ndarray] | None = None

    def init(self, key: jax.Array) -> tuple[Tree, Tree]:
        """Parameters of the model, and its running statistics, where it has any."""
        variables = dict(self.model.init(key, jnp.zeros((1, *self.info.shapes[self.settings.inputs]))))
        return {"model": variables.pop("params")}, variables

    def losses(self, y: Numbers, predicted: Numbers) -> Numbers:
        """The loss of each example."""
        more = {"delta": self.settings.delta} if self.settings.loss == "huber" else {}
        return LOSSES[self.settings.loss](predicted, y, **more)

    def scaled(self, batch: Batch) -> Numbers:
        """What the model is to give."""
        return (batch[self.settings.target].astype(jnp.float32) - self.scale.centre) / self.scale.size

    def regress(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Outcome:
        """The loss that training minimises, and the mean absolute error in the target's unit."""
        inputs, known = batch[self.settings.inputs], {"params": params["model"], **variables}
        out, new = self.model.apply(known, inputs, train=True, rngs={"dropout": key}, mutable=list(variables))
        y, mask = self.scaled(batch), batch.get("mask")
        value = mean(self.losses(y, out[:, 0]), mask)
        errors = mean(self.scale.size * jnp.abs(y - out[:, 0]), mask)
        return value, ({**variables, **new}, {"loss": value, "mae": errors})

    def outputs(self, params: Tree, variables: Tree, inputs: Array) -> Numbers:
        """What the model gives after training."""
        out: Any = self.model.apply({"params": params["model"], **variables}, inputs, train=False)
        return out[:, 0]

    def evaluate(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Measurement:
        """Sums for the metrics, and the prediction for each example in the target's unit."""
        y, out, mask = self.scaled(batch), self.outputs(params, variables, batch[self.settings.inputs]), batch["mask"]
        sums = {
            "loss": mean(self.losses(y, out), mask),
            "square": mean(jnp.square(y - out), mask),
            "size": mean(jnp.abs(y - out), mask),
            "first": mean(y, mask),
            "second": mean(jnp.square(y), mask),
        }
        prediction = self.scale.centre + self.scale.size * out
        return sums, {"target": batch[self.settings.target], "prediction": prediction}

    def finish(self, sums: Mapping[str, Any], outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
        """The metrics; see `dl.evaluation.regressors.measures`."""
        of = {name: float(total / count) for name, (total, count) in sums.items() if count}
        if not of:
            return {}
        found = {"loss": of["loss"], "rmse": self.scale.size * of["square"] ** 0.5, "mae": self.scale.size * of["size"]}
        spread = of["second"] - of["first"] ** 2
        return found | ({"r2": 1 - of["square"] / spread} if spread > 1e-9 else {})

    def beside(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Measurement:
        """What the baselines are measured on."""
        return {}, {"baseline_inputs": batch[self.settings.inputs], "baseline_target": batch[self.settings.target]}

    @cached_property
    def baselines(self) -> dict[str, regressors.Regressor]:
        """Each trained once, for all splits and replicas."""
        assert self.training is not None
        inputs, target = (np.asarray(values, np.float64) for values in self.training)
        return {kind: regressors.fit(kind, inputs, target, self.seed) for kind in self.settings.baselines}

    def predictions(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Of each baseline, for inputs [N, D]."""
        return {kind: predict(np.asarray(inputs, np.float64)) for kind, predict in self.baselines.items()}

    def finish_beside(self, sums: Any, outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
        """`rmse`, `mae` and `r2` of each baseline, `ridge_rmse` and so on."""
        target = outputs["baseline_target"]
        found = {kind: regressors.measures(target, p) for kind, p in self.predictions(outputs["baseline_inputs"]).items()}
        return {f"{kind}_{name}": value for kind, of in found.items() for name, value in of.items()}

    def render(self, params: Tree, variables: Tree, evaluation: Evaluation, key: jax.Array) -> dict[str, Artifact]:
        """Predicted against actual, residuals, the baselines' errors, and of images the worst and what was looked at there."""
        out = evaluation.outputs
        target, prediction = out["target"], out["prediction"]
        rows = {"network": prediction, "mean of the training targets": np.full(len(target), self.centre())}
        if "baseline_inputs" in out:
            rows |= self.predictions(out["baseline_inputs"])
        measured = {name: regressors.measures(target, values) for name, values in rows.items()}
        table: list[list[str | int | float]] = [
            [name, *(round(of.get(metric, 0.0), 4) for metric in ("rmse", "mae", "r2"))] for name, of in measured.items()
        ]
        shown: dict[str, Artifact] = {"errors": Table(("", "rmse", "mae", "r2"), table), **regressors.shown(target, prediction)}
        if self.info.features[self.settings.inputs].kind is Kind.IMAGE:
            shown |= self.looked_at(params, variables, evaluation, np.abs(target - prediction).argsort()[::-1][:WORST])
        return shown

    def centre(self) -> float:
        """The mean of the training targets."""
        return float(np.mean(self.training[1])) if self.training else self.scale.centre

    def looked_at(self, params: Tree, variables: Tree, evaluation: Evaluation, rows: np.ndarray) -> dict[str, Artifact]:
        """Images of the largest errors, and over them the parts that the convolutions respond to."""
        out, images = evaluation.outputs, evaluation.examples(rows)[self.settings.inputs]
        captions = [f"{out['target'][i]:.4g} as {out['prediction'][i]:.4g}" for i in rows]
        pixels = (images - images.min()) / max(np.ptp(images), 1e-6)  # they were standardised
        shown: dict[str, Artifact] = {"largest errors": Images(pixels, captions, columns=4)}
        if pixels.shape[-1] not in (1, 3):
            return {}

        @jax.jit
        def masks(images: Array) -> Array:
            maps = convolutions(self.model, {"params": params["model"], **variables}, images)
            return visual_backprop(maps, (images.shape[1], images.shape[2])) if maps else jnp.zeros((len(images), 0, 0))

        found = np.asarray(masks(images))
        if found.size:
            heat = np.stack([display.overlaid(image, mask) for image, mask in zip(pixels, found, strict=True)])
            shown["what was looked at (VisualBackProp)"] = Images(heat, captions, columns=4)
        return shown

    def task(self, optimizer: optax.GradientTransformation, steps: int) -> Task:
        """The task: so many `steps` of the `optimizer`."""
        objectives = {"regress": Objective(self.regress, ("model",), optimizer)}
        evaluators = {"regress": Evaluator(self.evaluate, METRICS, self.finish)}
        if self.settings.baselines:
            better = {"rmse": LOWER, "mae": LOWER, "r2": HIGHER}
            metrics = {f"{kind}_{name}": metric for kind in self.settings.baselines for name, metric in better.items()}
            evaluators["baselines"] = Evaluator(self.beside, metrics, self.finish_beside, every=0)
        return Task(self.init, objectives, (Phase(steps, ("regress",)),), evaluators, self.render)


def build(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """The task of a configuration; `config.task` holds what `Settings` lists.

    Raises:
        UserError: an unknown model, loss or setting, data without such a target, or a target that does not change.
    """
    settings = registry.read(Settings, "the task regression", config.task)
    return learner(config, resources, settings).task(optimizers.build(config.optimizer, steps), steps)


def learner(config: ConfigDict, resources: Resources, settings: Settings) -> Regression:
    """The regression of a configuration.

    Raises:
        UserError: as `build`.
    """
    info, features = resources.info, resources.info.features
    inputs = settings.inputs or ("inputs" if "inputs" in features else "image")
    if inputs not in features:
        raise UserError(f"regression reads {inputs!r}, which the dataset {info.name} lacks: name a feature by task.inputs.")
    kind = features[settings.target][:2] if settings.target in features else None
    if kind != (Kind.NUMBER, ()):
        raise UserError(
            f"regression needs a number for each example in {settings.target!r}; the dataset {info.name} has "
            f"{', '.join(features)}: name one by task.target."
        )
    if settings.loss not in LOSSES:
        raise unknown("loss", settings.loss, LOSSES)
    if settings.delta <= 0:
        raise UserError(f"task.delta={settings.delta:g}: Huber's loss becomes linear above a residual of more than 0.")
    for name in settings.baselines:
        if name not in regressors.REGRESSORS:
            raise unknown("baseline of a regression", name, regressors.REGRESSORS)
    if settings.baselines and len(features[inputs].shape) != 1:
        raise UserError(f"task.baselines read columns of numbers, and {inputs!r} of {info.name} are none: leave them out.")
    column = resources.column or (lambda name: None)
    target = column(settings.target)
    if target is None:
        raise UserError("regression scales its target by the training split: name one in dataset.splits.train.")
    training = None
    if settings.baselines:
        training = np.asarray(column(inputs)), np.asarray(target)
    settings = settings._replace(inputs=inputs)
    scale = scale_of(np.asarray(target, np.float64), settings.scale, settings.target)
    return Regression(models.build(config, num_classes=1), info, settings, scale, config.seed, training)


def scale_of(target: Float[np.ndarray, " n"], by: str, name: str) -> Scale:
    """The scale of the training targets; see `Settings.scale`.

    Raises:
        UserError: an unknown way, or targets that are all the same or not finite.
    """
    ways = {
        "deviation": lambda: Scale(float(target.mean()), float(target.std())),
        "range": lambda: Scale(float(target.min() + target.max()) / 2, float(np.ptp(target)) / 2),
    }
    if by not in ways:
        raise unknown("task.scale", by, ways)
    if not np.isfinite(target).all():
        row = int(np.flatnonzero(~np.isfinite(target))[0])
        raise UserError(f"the target {name!r} of training example {row} is {target[row]}: correct or remove it.")
    if np.ptp(target) <= 1e-7 * np.abs(target).max(initial=0):
        raise UserError(
            f"the target {name!r} is {target[0]:g} in all {len(target)} training examples: there is nothing to learn. Name "
            "another column by dataset.target."
        )
    return ways[by]()


PUBLIC = {"regression": build}
SETTINGS = {"regression": Settings()._asdict()}
