"""Binary logistic regression: one score for each example, of which of two classes it is.

Batches hold `label` [B], 0 or 1, and `inputs` [B, D] (or another feature, which `config.task.inputs` names). A model gives one
number s for each example, w.x + b if it is linear; the probability of class 1 is 1 / (1 + exp(-s)).

The loss is written in two ways, which are one: with y = -1 or 1 in place of t = 0 or 1,
log(1 + exp(-y s)) = -(t log p + (1 - t) log(1 - p)).
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int
from ml_collections import ConfigDict

from dl import registry
from dl.artifacts import Artifact, Curves, Matrix
from dl.dataset import Info, Resources
from dl.errors import UserError, unknown
from dl.evaluation.classification import class_report, confusion_matrix
from dl.metric import ERROR, HIGHER, LOWER
from dl.models import build as models
from dl.task import Batch, Evaluation, Evaluator, Measurement, Objective, Outcome, Phase, Task, Tree, mean
from dl.training import optimizers

Scores = Float[Array, " b"]
Labels = Int[Array, " b"]


class Settings(NamedTuple):
    """`config.task`.

    loss: "margin", of labels -1 and 1, or "cross_entropy", of 0 and 1: the same number.
    inputs: the feature that the model reads; "" is `inputs`, or `image` where there is none.
    """

    loss: str = "margin"
    inputs: str = ""


def margin(scores: Scores, labels: Labels) -> Scores:
    """log(1 + exp(-y s)), y = 2 t - 1: linear in the margin y s where it is far below 0, nothing where it is far above."""
    return jax.nn.softplus(-(2 * labels - 1) * scores)


def cross_entropy(scores: Scores, labels: Labels) -> Scores:
    """-(t log p + (1 - t) log(1 - p)), p = 1 / (1 + exp(-s)), the logarithms taken of s."""
    return -(labels * jax.nn.log_sigmoid(scores) + (1 - labels) * jax.nn.log_sigmoid(-scores))


LOSSES = {"margin": margin, "cross_entropy": cross_entropy}


def area_under_curve(scores: np.ndarray, labels: np.ndarray) -> float:
    """How likely an example of class 1 has a higher score than one of class 0, ties half (Hanley & McNeil 1982).

    Args:
        scores: [N].
        labels: [N], 0 or 1, both of them present.
    """
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    rank = np.cumsum(counts) - (counts - 1) / 2  # from 1, the mean of equal ones
    positive = labels == 1
    ones, zeros = int(positive.sum()), int((~positive).sum())
    return float((rank[place.ravel()][positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))


@dataclass(frozen=True)
class LogisticRegression:
    """A classifier of two classes, whose parameters are the group `model`; the model gives [B, 1]."""

    model: nn.Module
    info: Info
    settings: Settings

    def init(self, key: jax.Array) -> tuple[Tree, Tree]:
        """Parameters of the model, and its running statistics, where it has any."""
        variables = dict(self.model.init(key, jnp.zeros((1, *self.info.shapes[self.settings.inputs]))))
        return {"model": variables.pop("params")}, variables

    def classify(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Outcome:
        """The loss that training minimises, and the error."""
        inputs, known = batch[self.settings.inputs], {"params": params["model"], **variables}
        out, new = self.model.apply(known, inputs, train=True, rngs={"dropout": key}, mutable=list(variables))
        scores, label, mask = out[:, 0], batch["label"], batch.get("mask")
        value = mean(LOSSES[self.settings.loss](scores, label), mask)
        return value, ({**variables, **new}, {"loss": value, "error": mean((scores > 0) != (label == 1), mask)})

    def evaluate(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Measurement:
        """Loss and error, and the score of each example."""
        known = {"params": params["model"], **variables}
        out: Any = self.model.apply(known, batch[self.settings.inputs], train=False)
        scores, label, mask = out[:, 0], batch["label"], batch["mask"]
        sums = {
            "loss": mean(LOSSES[self.settings.loss](scores, label), mask),
            "error": mean((scores > 0) != (label == 1), mask),
        }
        return sums, {"label": label, "score": scores}

    def finish(self, sums: Any, outputs: Any) -> dict[str, float]:
        """Loss, error and the area under the ROC curve, which needs examples of both classes."""
        found = {name: float(total / count) for name, (total, count) in sums.items() if count}
        if len(np.unique(outputs["label"])) == 2:
            found["auc"] = area_under_curve(outputs["score"], outputs["label"])
        return found

    def render(self, params: Tree, variables: Tree, evaluation: Evaluation, key: jax.Array) -> dict[str, Artifact]:
        """Confusion of the classes, a table of them, the ROC curve, and how scores are spread."""
        label, score = evaluation.outputs["label"], evaluation.outputs["score"]
        names = self.info.class_names or ("0", "1")
        counts = confusion_matrix(label, (score > 0).astype(np.int32), 2)
        order = np.argsort(-score, kind="stable")
        found = {c: np.concatenate([[0], np.cumsum(label[order] == c) / max((label == c).sum(), 1)]) for c in (0, 1)}
        edges = np.histogram_bin_edges(score, bins=30)
        middle = (edges[1:] + edges[:-1]) / 2
        spread = {name: (middle, np.histogram(score[label == c], edges)[0]) for c, name in enumerate(names)}
        return {
            "confusion matrix": Matrix(counts, names, names, "actual", "predicted"),
            "classes": class_report(counts, names),
            "ROC": Curves({"": (found[0], found[1])}, f"{names[0]} taken for {names[1]}", f"{names[1]} found"),
            "scores": Curves(spread, "score", "examples"),
        }

    def task(self, optimizer: optax.GradientTransformation, steps: int) -> Task:
        """The task: so many `steps` of the `optimizer`."""
        objectives = {"classify": Objective(self.classify, ("model",), optimizer)}
        metrics = {"loss": LOWER, "error": ERROR, "auc": HIGHER}
        evaluators = {"classify": Evaluator(self.evaluate, metrics, self.finish)}
        return Task(self.init, objectives, (Phase(steps, ("classify",)),), evaluators, self.render)


def build(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """The task of a configuration; `config.task` holds what `Settings` lists.

    Raises:
        UserError: an unknown model, loss or setting, or data of more or fewer than two classes.
    """
    settings, info = registry.read(Settings, "the task logistic_regression", config.task), resources.info
    inputs = settings.inputs or ("inputs" if "inputs" in info.features else "image")
    if inputs not in info.features:
        raise UserError(f"logistic_regression reads {inputs!r}, which {info.name} lacks: name a feature by task.inputs.")
    if info.num_classes != 2:
        raise UserError(
            f"logistic_regression tells two classes apart, and the dataset {info.name} has {info.num_classes}: take "
            "task.name='classification' for more, or 'regression' for a number."
        )
    if settings.loss not in LOSSES:
        raise unknown("loss", settings.loss, LOSSES)
    learner = LogisticRegression(models.build(config, num_classes=1), info, settings._replace(inputs=inputs))
    return learner.task(optimizers.build(config.optimizer, steps), steps)


PUBLIC = {"logistic_regression": build}
SETTINGS = {"logistic_regression": Settings()._asdict()}
