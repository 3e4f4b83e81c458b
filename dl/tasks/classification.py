"""Classification: one label for each example.

Batches hold `image` [B, H, W, C] float32 and `label` [B] int32; after mixup also `label_mix` [B] and `mix` [B], and the loss is
mix * loss(label) + (1 - mix) * loss(label_mix) (Zhang et al. 2018).

A model may sow scores of auxiliary classifiers into the collection "auxiliary" in training (GoogLeNet: Szegedy et al. 2015,
section 5). With `config.task.auxiliary` = w, 0.3 there, what is minimised is loss + w * the sum of theirs.

At test time predictions may be averaged over augmented copies of an image (`config.test_time`). What is averaged is what the
loss takes for the prediction (`AVERAGES`): softmax probabilities for the cross-entropy; for `map`, where scores are negative
penalties, and `squared_error`, which compares them with the one-hot target, the scores themselves. The class, its loss and its
probability (the softmax of the scores, whatever the loss) are those of the average.

Transfer: `config.task.weights` starts the model from a run or from published weights (`dl.transfer.initial_weights`). Its head
is reinitialised where the classes differ, and so is what `config.task.reinitialise` matches. Layers that the optimizer's rules
freeze cost no gradient; their batch normalisation is frozen too, unless `config.task.frozen_statistics` is False.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int
from ml_collections import ConfigDict

from dl import registry
from dl.artifacts import Artifact
from dl.data.augmentation.test_time import test_time_augmentation
from dl.dataset import Info, Resources
from dl.errors import UserError, unknown
from dl.evaluation import image_mistakes
from dl.metric import ERROR, LOWER
from dl.models import build as models
from dl.task import Batch, Evaluation, Evaluator, Measurement, Objective, Outcome, Pair, Phase, Task, Tree, mean
from dl.tasks import class_weights
from dl.training import optimizers
from dl.transfer import initial_weights, whitening
from dl.transfer.frozen import Frozen, constant, frozen, frozen_statistics, nothing

Scores = Float[Array, "batch classes"]
Labels = Int[Array, " batch"]
Losses = Float[Array, " batch"]


class Settings(NamedTuple):
    """`config.task`.

    loss: name of the loss (`LOSSES`).
    smoothing: label smoothing, of the cross-entropy.
    rubbish: score of the rubbish class, of `map`.
    auxiliary: weight of the losses of auxiliary scores.
    weights: workdir of a run or file of published weights to start from.
    reinitialise: regular expression of the parameters that do not start from `weights`.
    frozen_statistics: whether batch normalisation with frozen parameters keeps its statistics.
    whitened: convolution that starts as a whitening of the data's patches (`dl.transfer.whitening`).
    class_weights: "balanced" weighs training examples as if all classes were equally frequent (`dl.tasks.class_weights`).
    top_k: besides the error, the share of examples whose class is not among the k likeliest; 0 leaves it out.
    """

    loss: str = "cross_entropy"
    smoothing: float = 0.0
    rubbish: float = 0.1
    auxiliary: float = 0.0
    weights: str = ""
    reinitialise: str = ""
    frozen_statistics: bool = True
    whitened: str = ""
    class_weights: str = ""
    top_k: int = 0


def cross_entropy(scores: Scores, labels: Labels, smoothing: float = 0.0) -> Losses:
    """-log softmax(scores)[label]; with label smoothing (Szegedy et al. 2016, section 7) towards the uniform distribution."""
    if not smoothing:
        return optax.softmax_cross_entropy_with_integer_labels(scores, labels)
    return optax.softmax_cross_entropy(scores, optax.smooth_labels(jax.nn.one_hot(labels, scores.shape[-1]), smoothing))


def maximum_a_posteriori(scores: Scores, labels: Labels, rubbish: float = 0.1) -> Losses:
    """LeCun et al. 1998, eq. 9: y_label + log(exp(-j) + sum_i exp(-y_i)), with penalties y = -scores and a rubbish class j."""
    own = jnp.take_along_axis(scores, labels[:, None], axis=1)[:, 0]
    floor = jnp.full((len(scores), 1), -rubbish, scores.dtype)
    return jax.nn.logsumexp(jnp.concatenate([scores, floor], axis=1), axis=1) - own


def squared_error(scores: Scores, labels: Labels) -> Losses:
    """Half the squared distance of the scores to the one-hot target."""
    return 0.5 * jnp.square(scores - jax.nn.one_hot(labels, scores.shape[-1])).sum(-1)


LOSSES: dict[str, Callable[..., Losses]] = {
    "cross_entropy": cross_entropy,
    "map": maximum_a_posteriori,
    "squared_error": squared_error,
}


def log_mean_probability(scores: Float[Array, "samples batch classes"]) -> Scores:
    """Log of the mean of softmax(scores) over the samples: scores whose softmax is the average prediction."""
    return jax.nn.logsumexp(jax.nn.log_softmax(scores), axis=0) - jnp.log(len(scores))


def mean_score(scores: Float[Array, "samples batch classes"]) -> Scores:
    """The mean of the scores over the samples."""
    return scores.mean(0)


def outside_top(scores: Scores, labels: Labels, k: int) -> Bool[Array, " batch"]:
    """Whether the class of each example is not among its k highest scores."""
    return (jax.lax.top_k(scores, k)[1] != labels[:, None]).all(-1)


AVERAGES: dict[str, Callable[..., Scores]] = {
    "cross_entropy": log_mean_probability,
    "map": mean_score,
    "squared_error": mean_score,
}


@dataclass(frozen=True)
class Classification:
    """A classifier, whose parameters are the group `model`.

    model: called with images [B, H, W, C] and `train`; gives scores [B, num_classes].
    info: description of the data.
    loss: scores, labels -> loss of each example.
    average: scores of augmented copies [samples, B, num_classes] -> scores that `loss` takes; see `AVERAGES`.
    augment: augmentation at test time; None for none.
    samples: number of augmented copies whose predictions are averaged.
    is_frozen: path of a parameter -> whether the optimizer leaves it as it is.
    freeze_statistics: whether batch normalisation with such parameters keeps its statistics too.
    auxiliary: weight of the losses of auxiliary scores.
    class_weights: of an example of each class in training; () for 1.
    top_k: see `Settings`.
    """

    model: nn.Module
    info: Info
    loss: Callable[[Scores, Labels], Losses] = cross_entropy
    average: Callable[..., Scores] = log_mean_probability
    augment: Callable[[jax.Array, Batch], Batch] | None = None
    samples: int = 1
    is_frozen: Frozen = nothing
    freeze_statistics: bool = True
    auxiliary: float = 0.0
    class_weights: tuple[float, ...] = ()
    top_k: int = 0

    def init(self, key: jax.Array) -> tuple[Tree, Tree]:
        """Parameters of the model, and its running statistics, where it has any."""
        variables = dict(self.model.init(key, jnp.zeros((1, *self.info.shapes["image"]))))
        return {"model": variables.pop("params")}, variables

    def scores(self, params: Tree, variables: Tree, images: jax.Array) -> Scores:
        """The scores after training."""
        scores: Any = self.model.apply({"params": params["model"], **variables}, images, train=False)
        return scores

    def training_scores(self, params: Tree, variables: Tree, images: jax.Array, key: jax.Array) -> tuple[Scores, Tree]:
        """The scores in training, and the variables afterwards; auxiliary scores are the variable `auxiliary`."""
        inputs = {"params": constant(params, self.is_frozen)["model"], **variables}
        with frozen_statistics("model", self.is_frozen if self.freeze_statistics else nothing):
            mutable = [*variables, "auxiliary"] if self.auxiliary else list(variables)
            scores, new = self.model.apply(inputs, images, train=True, rngs={"dropout": key}, mutable=mutable)
        return scores, {**variables, **new}

    def losses(self, scores: Scores, batch: Batch) -> Losses:
        """The loss of each example, a mean of two after mixup."""
        losses = self.loss(scores, batch["label"])
        if "mix" not in batch:
            return losses
        return batch["mix"] * losses + (1 - batch["mix"]) * self.loss(scores, batch["label_mix"])

    def weighted(self, losses: Losses, batch: Batch) -> Pair:
        """The mean loss, each example weighed by its class (after mixup, by the classes of both)."""
        if not self.class_weights:
            return mean(losses)
        of_class = jnp.asarray(self.class_weights)
        weight = of_class[batch["label"]]
        if "mix" in batch:
            weight = batch["mix"] * weight + (1 - batch["mix"]) * of_class[batch["label_mix"]]
        return (weight * losses).sum(), weight.sum()

    def classify(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Outcome:
        """The loss that training minimises."""
        scores, variables = self.training_scores(params, variables, batch["image"], key)
        losses = self.losses(scores, batch)
        incorrect = scores.argmax(-1) != batch["label"]
        metrics = {"loss": mean(losses), "error": mean(incorrect)}
        if not self.auxiliary:
            return self.weighted(losses, batch), (variables, metrics)
        sown = jax.tree.leaves(variables.pop("auxiliary", {}))
        if not sown:
            name = type(self.model).__name__
            raise UserError(f"task.auxiliary={self.auxiliary:g}, but {name} gives no auxiliary scores: set it to 0.")
        more = jnp.stack([self.losses(each, batch) for each in sown]).sum(0)
        return self.weighted(losses + self.auxiliary * more, batch), (variables, metrics | {"auxiliary": mean(more)})

    def predict(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Scores:
        """The scores of the images, or the average of those of augmented copies."""
        if self.samples == 1 or self.augment is None:
            return self.scores(params, variables, batch["image"])
        copies = (self.augment(k, batch)["image"] for k in jax.random.split(key, self.samples))
        return self.average(jnp.stack([self.scores(params, variables, images) for images in copies]))

    def evaluate(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Measurement:
        """Loss and error, and the prediction for each example with its probability."""
        scores = self.predict(params, variables, batch, key)
        label, mask = batch["label"], batch["mask"]
        prediction, probability = scores.argmax(-1).astype(jnp.int32), jax.nn.softmax(scores)
        losses = self.loss(scores, label)
        metrics = {"loss": mean(losses, mask), "error": mean(prediction != label, mask)}
        if self.top_k:
            metrics[f"top_{self.top_k}_error"] = mean(outside_top(scores, label, self.top_k), mask)
        return metrics, {"label": label, "prediction": prediction, "probability": probability.max(-1), "loss": losses}

    def render(self, params: Tree, variables: Tree, evaluation: Evaluation, key: jax.Array) -> dict[str, Artifact]:
        """See `image_mistakes.artifacts`."""
        return image_mistakes.artifacts(self.info, params["model"], evaluation)

    def task(self, optimizer: optax.GradientTransformation, steps: int) -> Task:
        """The task: so many `steps` of the `optimizer`."""
        objectives = {"classify": Objective(self.classify, ("model",), optimizer)}
        top = {f"top_{self.top_k}_error": ERROR} if self.top_k else {}
        evaluators = {"classify": Evaluator(self.evaluate, {"loss": LOWER, "error": ERROR, **top})}
        return Task(self.init, objectives, (Phase(steps, ("classify",)),), evaluators, self.render)


def build(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """The task of a configuration; `config.task` holds what `Settings` lists.

    Raises:
        UserError: an unknown model, loss or setting, data without labels or images, or weights that do not fit.
    """
    info = resources.info
    if "image" not in info.shapes or not info.num_classes:
        raise UserError(f"classification needs labelled images, and the dataset {info.name} has none.")
    settings = registry.read(Settings, "the task classification", config.task)
    if settings.auxiliary < 0:
        raise UserError(f"task.auxiliary must not be negative, got {settings.auxiliary:g}.")
    if not 0 <= settings.top_k <= info.num_classes:
        raise UserError(f"task.top_k={settings.top_k}: give at most the {info.num_classes} classes, or 0 for none.")
    optimizer, weights = optimizers.build(config.optimizer, steps), class_weights.of(settings.class_weights, resources)

    def of(info: Info) -> Task:
        return replace(_classification(config, info, settings), class_weights=weights).task(optimizer, steps)

    task = of(info)
    if settings.whitened:
        task = whitening.started(task, resources.first, settings.whitened)
    if not settings.weights:
        return task
    given = initial_weights.read(config, settings.weights, resources.manual_dir)
    more_classes = info.changed("label", num_classes=info.num_classes + 1)
    head = partial(initial_weights.head, task, lambda: of(more_classes))
    return initial_weights.started(task, given, settings.reinitialise, head)


def _classification(config: ConfigDict, info: Info, settings: Settings) -> Classification:
    if settings.loss not in LOSSES:
        raise unknown("loss", settings.loss, LOSSES)
    given = {name: config.task[name] for name in ("smoothing", "rubbish") if name in config.task}
    registry.check(LOSSES[settings.loss], f"the loss {settings.loss}", given, ("scores", "labels"))
    return Classification(
        models.build(config, num_classes=info.num_classes),
        info,
        partial(LOSSES[settings.loss], **given),
        AVERAGES[settings.loss],
        test_time_augmentation(config, info.features),
        config.test_time.samples,
        frozen(config.optimizer.get("rules", ())),
        settings.frozen_statistics,
        settings.auxiliary,
        top_k=settings.top_k,
    )


PUBLIC = {"classification": build}
SETTINGS = {"classification": Settings()._asdict()}
WITHOUT_FILES = {"classification": lambda: {"weights": "", "reinitialise": ""}}
