"""Segmentation: the class of every pixel.

Batches hold `image` [B, H, W, C] float32 and `label_map` [B, H, W], whole numbers; pixels that are void count nowhere. With
weights w of the classes, what is minimised is, over the pixels i of the batch,

    sum_i -w(y_i) log softmax(s_i)[y_i] / sum_i w(y_i)

`balance` says what the weights are: "none", all 1; "median_frequency" (Eigen & Fergus 2015, section 6; SegNet), the median over
the classes of f over f(c), where f(c) is the number of pixels of class c over the number of all pixels of the images that it
occurs in; "logarithmic" (ENet: Paszke et al. 2016, section 5.2), 1 / ln(1.02 + p(c)), where p(c) is its part of all pixels.

Measured are `mean_iou`, `class_accuracy` and `accuracy` (dl/evaluation/label_maps.py) from one confusion matrix of the split;
with `crf.iterations`, at the end of the training the same after a dense CRF (dl/evaluation/dense_crf.py) as `crf_mean_iou` etc.
With `mirrored`, predictions are the mean probability of an image and its mirror image.

Transfer: `weights` is a run, or a file of the classifier that the model's backbone is of; then the rest starts at random. As in
classification, `reinitialise` and the optimizer's rules say what is new and what is frozen.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from dl import registry
from dl.artifacts import Artifact, Images
from dl.dataset import Info, Resources
from dl.errors import UserError, unknown
from dl.evaluation import dense_crf, label_maps
from dl.metric import LOWER
from dl.models import build as models
from dl.models.image_encoders import PUBLISHED
from dl.task import Batch, Evaluation, Evaluator, Measurement, Objective, Outcome, Pair, Phase, Task, Tree, mean, means
from dl.tasks.segmentation_losses import BALANCES, Labels, Scores, weighted_cross_entropy
from dl.training import optimizers
from dl.transfer import initial_weights
from dl.transfer.frozen import Frozen, constant, frozen, frozen_statistics, nothing

NO_CRF = dense_crf.Settings()
SHOWN = 4  # examples in the report, and as many of the worst
WIDEST = 240  # pixels of a picture in the report, about
LOOKED_AT = 256  # training examples whose pixels are counted, of a set that does not lie in memory
ENCODER = "model/encoder"  # where backbones have their parameters


class Settings(NamedTuple):
    """`config.task`.

    balance: how classes are weighted in the loss.
    mirrored: whether predictions are those of an image and its mirror image.
    crf: settings of the dense CRF.
    weights: workdir of a run or file of published weights to start from.
    reinitialise: regular expression of the parameters that do not start from `weights`.
    frozen_statistics: whether batch normalisation with frozen parameters keeps its statistics.
    """

    balance: str = "none"
    mirrored: bool = False
    crf: Mapping[str, Any] = NO_CRF._asdict()
    weights: str = ""
    reinitialise: str = ""
    frozen_statistics: bool = True


@dataclass(frozen=True, eq=False)
class Segmentation:
    """A network that scores the classes of every pixel; its parameters are the group `model`.

    model: called with images [B, H, W, C] and `train`; gives scores [B, H, W, num_classes].
    info: description of the data.
    class_weights: of the loss, one a class.
    mean, std: with which images were standardised.
    crf: the dense CRF of the last evaluation.
    mirrored: whether mirror images are looked at too.
    is_frozen: path of a parameter -> whether the optimizer leaves it as it is.
    freeze_statistics: whether batch normalisation with such parameters keeps its statistics too.
    """

    model: nn.Module
    info: Info
    class_weights: tuple[float, ...]
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    crf: dense_crf.Settings = NO_CRF
    mirrored: bool = False
    is_frozen: Frozen = nothing
    freeze_statistics: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """Of the classes."""
        feature = self.info.features["label_map"]
        return feature.class_names or tuple(str(c) for c in range(feature.num_classes))

    @property
    def void(self) -> int:
        """The number of what is no class."""
        return self.info.features["label_map"].void

    def init(self, key: jax.Array) -> tuple[Tree, Tree]:
        """Parameters of the model, and its running statistics, where it has any."""
        variables = dict(self.model.init(key, jnp.zeros((1, *self.info.shapes["image"]))))
        return {"model": variables.pop("params")}, variables

    def losses(self, scores: Scores, batch: Batch) -> tuple[Array, Array]:
        """See `weighted_cross_entropy`."""
        weights = jnp.asarray(self.class_weights, jnp.float32)
        return weighted_cross_entropy(scores, batch["label_map"], weights, self.void, batch.get("mask"))

    def segment(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Outcome:
        """The loss that training minimises."""
        inputs = {"params": constant(params, self.is_frozen)["model"], **variables}
        with frozen_statistics("model", self.is_frozen if self.freeze_statistics else nothing):
            scores, new = self.model.apply(inputs, batch["image"], train=True, rngs={"dropout": key}, mutable=list(variables))
        totals, counts = self.losses(scores, batch)
        loss: Pair = (totals.sum(), counts.sum())
        correct = scores.argmax(-1) == batch["label_map"]
        metrics = {"loss": loss, "accuracy": mean(correct, batch["label_map"] != self.void)}
        return loss, ({**variables, **new}, metrics)

    def predict(self, params: Tree, variables: Tree, images: Float[Array, "b h w c"]) -> Scores:
        """Log probabilities of the classes, up to a constant for each pixel."""

        def scores(images: jax.Array) -> Any:
            return self.model.apply({"params": params["model"], **variables}, images, train=False)

        if not self.mirrored:
            return scores(images)
        both = (scores(images), scores(images[:, :, ::-1])[:, :, ::-1])
        return jnp.logaddexp(*(jax.nn.log_softmax(s) for s in both))

    def refine(self, scores: Scores, images: Float[Array, "b h w c"]) -> Scores:
        """The log probabilities that the CRF makes of scores; the same where there is none."""
        if not self.crf.iterations:
            return scores
        pixels = 255 * (images * jnp.asarray(self.std, jnp.float32) + jnp.asarray(self.mean, jnp.float32))
        return jax.lax.map(lambda pair: dense_crf.refined(pair[0], pair[1], self.crf), (scores, pixels))

    def count(self, scores: Scores, batch: Batch) -> jax.Array:
        """The confusion matrix int32 [C, C] of a batch."""
        labels = batch["label_map"]
        counted = (labels != self.void) & batch["mask"][:, None, None]
        return label_maps.confusion(labels, scores.argmax(-1), counted, len(self.names))

    def evaluate(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Measurement:
        """Loss and confusion matrix, and for each image the part of its pixels that is right."""
        scores, labels = self.predict(params, variables, batch["image"]), batch["label_map"]
        totals, counts = self.losses(scores, batch)
        known = labels != self.void
        correct = ((scores.argmax(-1) == labels) & known).sum((1, 2)) / jnp.maximum(known.sum((1, 2)), 1)
        return {"loss": (totals.sum(), counts.sum()), "confusion": self.count(scores, batch)}, {"right": correct}

    def evaluate_crf(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Measurement:
        """The confusion matrix after the CRF."""
        scores = self.predict(params, variables, batch["image"])
        return {"confusion": self.count(self.refine(scores, batch["image"]), batch)}, {}

    def finish(self, sums: Mapping[str, Any], outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Means over classes and pixels."""
        return {**means({"loss": sums["loss"]}, {}), **label_maps.measures(sums["confusion"], self.names)}

    def finish_crf(self, sums: Mapping[str, Any], outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
        """The same after the CRF."""
        return label_maps.measures(sums["confusion"], self.names, "crf_")

    def render(self, params: Tree, variables: Tree, evaluation: Evaluation, key: jax.Array) -> dict[str, Artifact]:
        """Images, labels and predictions of some examples and of the worst, the confusion matrix, and IoU a class."""
        right, counts = evaluation.outputs["right"], evaluation.sums["segment"]["confusion"]
        some = np.unique(np.linspace(0, len(right) - 1, SHOWN).round().astype(int))
        worst = right.argsort(kind="stable")[:SHOWN]

        def shown(chosen: np.ndarray) -> Images:
            batch = evaluation.examples(chosen)
            predicted = labels_of(self, params, variables, jnp.asarray(batch["image"]))
            return self.overlays(batch, np.asarray(predicted), right[chosen])

        return {
            "IoU of the classes": label_maps.class_table(counts, self.names),
            "confusion matrix (%)": label_maps.confusion_percent(counts, self.names),
            "image, labels, prediction": shown(some),
            "the worst images": shown(worst),
        }

    def overlays(self, batch: Mapping[str, np.ndarray], predictions: np.ndarray, right: np.ndarray) -> Images:
        """Three pictures an example: the image, its labels over it, and what was predicted."""
        pixels, captions = [], []
        for image, labels, predicted, share in zip(batch["image"], batch["label_map"], predictions, right, strict=True):
            coarser = (slice(None, None, max(round(labels.shape[1] / WIDEST), 1)),) * 2
            image, labels, predicted = image[coarser], labels[coarser], predicted[coarser]
            deviation, centre = np.asarray(self.std, np.float32), np.asarray(self.mean, np.float32)
            plain = np.broadcast_to(image * deviation + centre, (*image.shape[:2], 3))
            nowhere = np.full(labels.shape, len(self.names))
            known = np.where(labels == self.void, len(self.names), labels)
            pixels += [label_maps.overlaid(plain, seen, len(self.names)) for seen in (nowhere, known, predicted)]
            captions += ["image", "labels", f"prediction, {share:.1%} right"]
        return Images(np.stack(pixels), captions, columns=3)

    def task(self, optimizer: optax.GradientTransformation, steps: int) -> Task:
        """The task: so many `steps` of the `optimizer`."""
        objectives = {"segment": Objective(self.segment, ("model",), optimizer)}
        known = {"loss": LOWER, **label_maps.metrics(self.names)}
        evaluators = {"segment": Evaluator(self.evaluate, known, self.finish)}
        if self.crf.iterations:
            crf = label_maps.metrics(self.names, "crf_")
            evaluators["crf"] = Evaluator(self.evaluate_crf, crf, self.finish_crf, every=0)
        return Task(self.init, objectives, (Phase(steps, ("segment",)),), evaluators, self.render)


@partial(jax.jit, static_argnums=0)
def labels_of(learner: Segmentation, params: Tree, variables: Tree, images: Float[Array, "b h w c"]) -> Labels:
    """What a learner sees on images, after the CRF; one program for all splits."""
    return learner.refine(learner.predict(params, variables, images), images).argmax(-1)


def build(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """The task of a configuration; `config.task` holds what `Settings` lists.

    Raises:
        UserError: an unknown model or setting, data without label maps, or weights that do not fit.
    """
    info = resources.info
    if not {"image", "label_map"} <= info.features.keys() or not info.features["label_map"].num_classes:
        raise UserError(f"segmentation needs images with label maps, and the dataset {info.name} has none: try folder_masks.")
    if config.test_time.samples > 1:
        raise UserError("test_time.samples is not for segmentation: task.mirrored averages over an image and its mirror image.")
    settings = registry.read(Settings, "the task segmentation", config.task)
    optimizer = optimizers.build(config.optimizer, steps)

    def of(info: Info) -> Task:
        return learner(config, info, settings, class_weights(settings.balance, info, resources)).task(optimizer, steps)

    task = of(info)
    if not settings.weights:
        return task
    given, reinitialise = _given(config, settings, resources.manual_dir)
    more_classes = info.changed("label_map", num_classes=info.features["label_map"].num_classes + 1, class_names=())
    return initial_weights.started(task, given, reinitialise, lambda: initial_weights.head(task, lambda: of(more_classes)))


def learner(config: ConfigDict, info: Info, settings: Settings, weights: tuple[float, ...]) -> Segmentation:
    """The learner of a configuration."""
    crf = registry.call(dense_crf.Settings, "task.crf", dict(settings.crf))
    dense_crf.check(crf)
    return Segmentation(
        models.build(config, num_classes=info.features["label_map"].num_classes),
        info,
        weights,
        tuple(config.dataset.mean),
        tuple(config.dataset.std),
        crf,
        settings.mirrored,
        frozen(config.optimizer.get("rules", ())),
        settings.frozen_statistics,
    )


def class_weights(balance: str, info: Info, resources: Resources) -> tuple[float, ...]:
    """The weights of the classes, from the training split; all 1 where there is none.

    Raises:
        UserError: an unknown name.
    """
    if balance not in BALANCES:
        raise unknown("task.balance", balance, BALANCES)
    count = info.features["label_map"].num_classes
    if balance == "none" or resources.column is None or resources.first is None:
        return (1.0,) * count
    maps = resources.column("label_map")
    maps = resources.first(LOOKED_AT)["label_map"] if maps is None else maps
    pixels = np.stack([np.bincount(labels[labels < count].ravel(), minlength=count) for labels in maps])
    return tuple(float(weight) for weight in BALANCES[balance](pixels))


def _given(config: ConfigDict, settings: Settings, manual_dir: str | None) -> tuple[initial_weights.Weights, str]:
    """The weights to start from, and which parameters are reinitialised: after a classifier's, all but the encoder."""
    backbone = config.model.get("backbone", "")
    if backbone not in PUBLISHED:
        return initial_weights.read(config, settings.weights, manual_dir), settings.reinitialise
    name, of_classifier = PUBLISHED[backbone]
    classifier = ConfigDict({**config.to_dict(), "model": {"name": name, **of_classifier}})
    found = initial_weights.read(classifier, settings.weights, manual_dir, ENCODER)
    if not all(path.startswith(f"{ENCODER}/") for path in found.params):  # of a run
        return found, settings.reinitialise
    inside = {path.replace("/", "/encoder/", 1): array for path, array in found.variables.items()}
    return found._replace(variables=inside), settings.reinitialise or f"(?!{ENCODER}/).*"


PUBLIC = {"segmentation": build}
SETTINGS = {"segmentation": Settings()._asdict()}
WITHOUT_FILES = {"segmentation": lambda: {"weights": "", "reinitialise": ""}}
