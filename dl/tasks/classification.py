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
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int
from ml_collections import ConfigDict

from dl import registry
from dl.artifacts import Artifact, Images, Matrix
from dl.data import augmentation
from dl.data.augmentation.geometry import with_masks
from dl.dataset import ONE_IMAGE, Features, Info, Kind, Resources
from dl.errors import UserError, unknown
from dl.evaluation.classification import class_report, confusion_matrix, worst_mistakes
from dl.evaluation.filters import first_layer_filters
from dl.metric import ERROR, LOWER
from dl.models import build as models
from dl.task import Batch, Evaluation, Evaluator, Metrics, Objective, Phase, Task, Tree, mean
from dl.training import optimizers
from dl.transfer import initial_weights, whitening
from dl.transfer.frozen import Frozen, constant, frozen, frozen_statistics, nothing

Scores = Float[Array, "batch classes"]
Labels = Int[Array, " batch"]
Losses = Float[Array, " batch"]

WORST = 32  # mistakes shown in the report


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


AVERAGES: dict[str, Callable[..., Scores]] = {
    "cross_entropy": log_mean_probability,
    "map": mean_score,
    "squared_error": mean_score,
}


def classification(
    model: nn.Module,
    info: Info,
    optimizer: optax.GradientTransformation,
    steps: int,
    loss: Callable[[Scores, Labels], Losses] = cross_entropy,
    views: Callable[[jax.Array, Batch], Batch] | None = None,
    samples: int = 1,
    is_frozen: Frozen = nothing,
    freeze_statistics: bool = True,
    auxiliary: float = 0.0,
    average: Callable[..., Scores] = log_mean_probability,
) -> Task:
    """A classifier.

    Args:
        model: called with images [B, H, W, C] and `train`; gives scores [B, num_classes].
        info: of the data.
        optimizer: of its parameters, the group `model`.
        steps: of training.
        loss: scores, labels -> loss of each example.
        views: augmentation at test time; predictions are averaged over `samples` of its copies.
        samples: see `views`.
        is_frozen: the parameters that the optimizer leaves as they are.
        freeze_statistics: batch normalisation with such parameters keeps its statistics too.
        auxiliary: the weight of the losses of auxiliary scores.
        average: scores of the copies [samples, B, num_classes] -> scores that `loss` takes; see `AVERAGES`.
    """

    def forward(params: Tree, variables: Tree, images: jax.Array, key: jax.Array | None) -> tuple[Scores, Tree]:
        inputs = {"params": params["model"], **variables}
        if key is None:
            scores: Any = model.apply(inputs, images, train=False)
            return scores, variables
        inputs["params"] = constant(params, is_frozen)["model"]
        with frozen_statistics("model", is_frozen if freeze_statistics else nothing):
            mutable = [*variables, "auxiliary"] if auxiliary else list(variables)
            scores, new = model.apply(inputs, images, train=True, rngs={"dropout": key}, mutable=mutable)
        return scores, {**variables, **new}

    def init(key: jax.Array) -> tuple[Tree, Tree]:
        variables = dict(model.init(key, jnp.zeros((1, *info.shapes["image"]))))
        return {"model": variables.pop("params")}, variables

    def losses_of(scores: Scores, batch: Batch) -> Losses:
        losses = loss(scores, batch["label"])
        return batch["mix"] * losses + (1 - batch["mix"]) * loss(scores, batch["label_mix"]) if "mix" in batch else losses

    def objective(params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Any:
        scores, variables = forward(params, variables, batch["image"], key)
        losses = losses_of(scores, batch)
        wrong = scores.argmax(-1) != batch["label"]
        metrics = {"loss": mean(losses), "error": mean(wrong)}
        if not auxiliary:
            return mean(losses), (variables, metrics)
        sown = jax.tree.leaves(variables.pop("auxiliary", {}))
        if not sown:
            raise UserError(f"task.auxiliary={auxiliary:g}, but {type(model).__name__} gives no auxiliary scores: set it to 0.")
        more = jnp.stack([losses_of(each, batch) for each in sown]).sum(0)
        return mean(losses + auxiliary * more), (variables, metrics | {"auxiliary": mean(more)})

    def predict(params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Scores:
        if samples == 1 or views is None:
            return forward(params, variables, batch["image"], None)[0]
        copies = (views(k, batch)["image"] for k in jax.random.split(key, samples))
        return average(jnp.stack([forward(params, variables, images, None)[0] for images in copies]))

    def evaluate(params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> tuple[Metrics, dict[str, jax.Array]]:
        scores = predict(params, variables, batch, key)
        label, mask = batch["label"], batch["mask"]
        prediction, probability = scores.argmax(-1).astype(jnp.int32), jax.nn.softmax(scores)
        losses = loss(scores, label)
        metrics = {"loss": mean(losses, mask), "error": mean(prediction != label, mask)}
        return metrics, {"label": label, "prediction": prediction, "probability": probability.max(-1), "loss": losses}

    def render(params: Tree, variables: Tree, evaluation: Evaluation, key: jax.Array) -> dict[str, Artifact]:
        return artifacts(info, params["model"], evaluation)

    objectives = {"classify": Objective(objective, ("model",), optimizer)}
    evaluators = {"classify": Evaluator(evaluate, {"loss": LOWER, "error": ERROR})}
    return Task(init, objectives, (Phase(steps, ("classify",)),), evaluators, render)


def artifacts(info: Info, params: Tree, evaluation: Evaluation) -> dict[str, Artifact]:
    """Confusion matrix, a table of the classes, the worst mistakes with their pictures, and the first layer's filters."""
    out = evaluation.outputs
    names = info.class_names or tuple(str(c) for c in range(info.num_classes))
    label, prediction, probability = out["label"], out["prediction"], out["probability"]
    counts = confusion_matrix(label, prediction, len(names))
    shown: dict[str, Artifact] = {"confusion matrix": Matrix(counts, names, names, "actual", "predicted")}
    shown["classes"] = class_report(counts, names)
    worst = worst_mistakes(label, prediction, out["loss"], WORST)
    if len(worst):
        pixels = evaluation.examples(worst)["image"]
        pixels = (pixels - pixels.min()) / max(np.ptp(pixels), 1e-6)  # they were standardised
        captions = [f"{names[label[i]]} as {names[prediction[i]]} ({probability[i]:.0%})" for i in worst]
        shown["worst mistakes"] = Images(pixels, captions)
    filters = first_layer_filters(params, info.shapes["image"])
    if filters is not None:
        shown["first-layer filters"] = filters
    return shown


def build(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """The task of a configuration. `config.task`: `loss` (cross_entropy, map, squared_error), `smoothing` or `rubbish` with it;
    `auxiliary`; `weights`, `reinitialise` and `frozen_statistics` for transfer; `whitened`, a
    convolution that starts from the data.

    Raises:
        UserError: an unknown model, loss or setting, data without labels or images, or weights that do not fit.
    """
    info = resources.info
    if "image" not in info.shapes or not info.num_classes:
        raise UserError(f"classification needs labelled images, and the dataset {info.name} has none.")
    settings: dict[str, Any] = config.task.to_dict()
    settings.pop("name")
    weights, reinitialise = settings.pop("weights", ""), settings.pop("reinitialise", "")
    statistics, auxiliary = settings.pop("frozen_statistics", True), settings.pop("auxiliary", 0.0)
    if auxiliary < 0:
        raise UserError(f"task.auxiliary must not be negative, got {auxiliary:g}.")
    whitened = settings.pop("whitened", "")
    name = settings.pop("loss", "cross_entropy")
    if name not in LOSSES:
        raise unknown("loss", name, LOSSES)
    registry.check(LOSSES[name], f"the loss {name}", settings, ("scores", "labels"))
    optimizer = optimizers.build(config.optimizer, steps)

    def of(info: Info) -> Task:
        return classification(
            models.build(config, num_classes=info.num_classes),
            info,
            optimizer,
            steps,
            lambda scores, labels: LOSSES[name](scores, labels, **settings),
            test_time_views(config, info.features),
            config.test_time.samples,
            frozen(config.optimizer.get("rules", ())),
            statistics,
            auxiliary,
            AVERAGES[name],
        )

    task = whitening.started(of(info), resources.first, whitened) if whitened else of(info)
    if not weights:
        return task
    given = initial_weights.read(config, weights, resources.manual_dir)
    more_classes = info.changed("label", num_classes=info.num_classes + 1)
    return initial_weights.started(task, given, reinitialise, lambda: initial_weights.head(task, lambda: of(more_classes)))


def test_time_views(config: ConfigDict, features: Features = ONE_IMAGE) -> Callable[[jax.Array, Batch], Batch] | None:
    """The augmentation of `config.test_time`, by default that of the training, on standardised images; None for one sample.

    Augmentations work on pixels in 0..1, so the images are taken back there and standardised again. What lies on an image moves
    with it, as `features` say.
    """
    if config.test_time.samples == 1:
        return None
    settings = (config.test_time.augmentation or config.augmentation).to_dict()
    settings.pop("mixup", None)  # it would mix examples of different labels
    augment = augmentation.build(settings, features)
    mean_, std = np.float32(config.dataset.mean), np.float32(config.dataset.std)
    names = [name for name, feature in features.items() if feature.kind is Kind.IMAGE]

    def views(key: jax.Array, batch: Batch) -> Batch:
        images = [name for name in names if name in batch]
        moved = augment(key, {**batch, **{name: batch[name] * std + mean_ for name in images}})
        return {**with_masks(moved, features), **{name: (moved[name] - mean_) / std for name in images}}

    return views


PUBLIC = {"classification": build}
SETTINGS = {
    "classification": {
        "loss": "cross_entropy",
        "smoothing": 0.0,
        "rubbish": 0.1,
        "auxiliary": 0.0,
        "weights": "",
        "reinitialise": "",
        "frozen_statistics": True,
        "whitened": "",
    }
}
WITHOUT_FILES = {"classification": lambda: {"weights": "", "reinitialise": ""}}
