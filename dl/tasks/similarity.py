"""Similarity: an embedding in which what is alike is near. One tower embeds both sides, so they share its parameters.

    loss         of               what is minimised
    contrastive  pairs            same: D^2 / 2; different: max(0, margin - D)^2 / 2
                                  (Hadsell, Chopra & LeCun 2006, eq. 4)
    weighted_l1  pairs            the cross-entropy of "same", whose logit is sum_j alpha_j |a_j - b_j| + beta
                                  (Koch, Zemel & Salakhutdinov 2015, sections 3.1 and 3.2)
    triplet      classes          max(0, margin + D(a, p)^2 - D(a, n)^2), n a semi-hard negative
                                  (Schroff, Kalenichenko & Philbin 2015, eq. 3 and 4)

Pairs are `left`, `right` [B, H, W, C] and `same` [B] bool (`dataset.batches = "pairs"`); classes are `image` and `label`
(`"classes"`). Any model is a tower: its outputs, as many as `task.embedding`, are the embedding. Splits are evaluated image by
image (`image`, `label`), and compared afterwards: a split of runs (`run`, `role`) by those runs, any other one by N-way
K-shot trials and by verification of pairs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int
from ml_collections import ConfigDict

from dl import registry
from dl.artifacts import Artifact
from dl.data.identities import feature_of
from dl.dataset import Arrays, Info, Resources, Source
from dl.errors import UserError, unknown
from dl.evaluation import one_shot, similarity_artifacts, verification
from dl.layers.weighted_l1 import WeightedL1
from dl.metric import ERROR, HIGHER, NEITHER, Metric
from dl.models import build as models
from dl.task import Batch, Evaluation, Evaluator, Measurement, Objective, Outcome, Phase, Task, Tree, mean, means
from dl.training import optimizers

BATCHES = {"contrastive": "pairs", "weighted_l1": "pairs", "triplet": "classes"}
FEATURES = ("label", "alphabet", "drawer", "run", "role")  # that are kept beside the embedding, where there are such


class Settings(NamedTuple):
    """`config.task`.

    loss: name of the loss, see the module.
    embedding: number of dimensions of the embedding (D).
    margin: margin of the contrastive and the triplet loss.
    normalise: whether embeddings are brought to length 1.
    few_shot: (N, K) of each kind of N-way K-shot trials; the first kind gives the metric `error`.
    trials: least number of trials of each kind.
    pairs: number of pairs for verification.
    """

    loss: str = "contrastive"
    embedding: int = 64
    margin: float = 1.0
    normalise: bool = False
    few_shot: tuple[tuple[int, int], ...] = ((5, 1),)
    trials: int = 1000
    pairs: int = 10_000


def contrastive(distance: Float[Array, " b"], same: Bool[Array, " b"], margin: float) -> Float[Array, " b"]:
    """Hadsell, Chopra & LeCun 2006, eq. 4, of each pair; `same` is 1 - Y there."""
    return 0.5 * jnp.square(jnp.where(same, distance, jnp.maximum(margin - distance, 0.0)))


def triplet_semi_hard(
    embedding: Float[Array, "b d"], label: Int[Array, " b"], margin: float
) -> tuple[Float[Array, "b b"], Bool[Array, "b b"]]:
    """max(0, margin + D(a, p)^2 - D(a, n)^2) of each anchor a and positive p, and which (a, p) are such pairs.

    The negative n is the nearest to a of those farther away than p (semi-hard: Schroff, Kalenichenko & Philbin 2015, section
    3.2), or the farthest of all where p is farther than every negative. Pairs without any negative have the loss 0.
    """
    squared = jnp.square(embedding[:, None] - embedding[None, :]).sum(-1)
    alike = label[:, None] == label[None, :]
    positive = alike & ~jnp.eye(len(label), dtype=bool)
    farther = ~alike[:, None, :] & (squared[:, None, :] > squared[:, :, None])  # [a, p, n]
    nearest = jnp.where(farther, squared[:, None, :], jnp.inf).min(-1)
    farthest = jnp.where(alike, -jnp.inf, squared).max(-1, keepdims=True)
    negative = jnp.where(jnp.isfinite(nearest), nearest, farthest)
    usable = positive & jnp.isfinite(negative)
    return jnp.where(usable, jnp.maximum(margin + squared - jnp.where(usable, negative, 0.0), 0.0), 0.0), positive


@dataclass(frozen=True)
class Similarity:
    """A Siamese net, its two sides (or all images of a batch) embedded by one tower.

    tower: called with images [B, H, W, C] and `train`; gives embeddings [B, D]; its parameters are the group `tower`.
    info: description of the data.
    settings: the loss and the evaluation. The weighted L1 comparison has the group `head` besides.
    """

    tower: nn.Module
    info: Info
    settings: Settings

    @property
    def head(self) -> WeightedL1 | None:
        """What compares two embeddings, where that is learned."""
        return WeightedL1() if self.settings.loss == "weighted_l1" else None

    def init(self, key: jax.Array) -> tuple[Tree, Tree]:
        """Parameters of the tower and the head, and the tower's running statistics."""
        tower_key, head_key = jax.random.split(key)
        variables = dict(self.tower.init(tower_key, jnp.zeros((1, *self.info.shapes["image"]))))
        params = {"tower": variables.pop("params")}
        if self.head is not None:
            side = jnp.zeros((1, self.settings.embedding))
            params["head"] = self.head.init(head_key, side, side)["params"]
        return params, variables

    def embed(self, params: Tree, variables: Tree, images: jax.Array, key: jax.Array | None) -> tuple[Any, Tree]:
        """Embeddings [B, D] and the variables afterwards; without a key, not training."""
        inputs = {"params": params["tower"], **variables}
        if key is None:
            embedding = self.tower.apply(inputs, images, train=False)
        else:
            embedding, new = self.tower.apply(inputs, images, train=True, rngs={"dropout": key}, mutable=list(variables))
            variables = {**variables, **new}
        if self.settings.normalise:
            embedding = embedding / optax.safe_norm(embedding, 1e-6, axis=-1, keepdims=True)
        return embedding, variables

    def pair_loss(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Outcome:
        """The contrastive or the weighted L1 loss of a batch of pairs."""
        same, margin = batch["same"], self.settings.margin
        sides = jnp.stack([batch["left"], batch["right"]], axis=1)  # side by side, so that a sharded batch stays where it is
        embedding, variables = self.embed(params, variables, sides.reshape(-1, *sides.shape[2:]), key)
        left, right = embedding[0::2], embedding[1::2]
        if self.head is not None:
            logit: Any = self.head.apply({"params": params["head"]}, left, right)
            losses, taken = optax.sigmoid_binary_cross_entropy(logit, same.astype(jnp.float32)), logit > 0
            distance = params["head"]["bias"] - logit
        else:
            distance = optax.safe_norm(left - right, 1e-8, axis=-1)
            losses, taken = contrastive(distance, same, margin), distance < margin / 2
        metrics = {"loss": mean(losses), "pair_error": mean(taken != same)}
        metrics |= {"distance/same": mean(distance, same), "distance/different": mean(distance, ~same)}
        return mean(losses), (variables, metrics)

    def triplet_loss(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Outcome:
        """The triplet loss of a batch of classes, a mean over the pairs of anchor and positive."""
        embedding, variables = self.embed(params, variables, batch["image"], key)
        losses, pairs = triplet_semi_hard(embedding, batch["label"], self.settings.margin)
        metrics = {"loss": mean(losses, pairs), "active_triplets": mean(losses > 0, pairs)}
        return (losses.sum(), jnp.maximum(pairs.sum(), 1).astype(jnp.float32)), (variables, metrics)

    def evaluate(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Measurement:
        """The embedding of each image, weighted where the comparison is (see `distance`)."""
        embedding, _ = self.embed(params, variables, batch["image"], None)
        metrics = {"embedding_norm": mean(jnp.sqrt(jnp.square(embedding).sum(-1)), batch["mask"])}
        outputs = {name: batch[name] for name in FEATURES if name in batch}
        if self.head is not None:
            weight = params["head"]["kernel"][:, 0]
            embedding = jnp.concatenate([embedding * jnp.maximum(-weight, 0), embedding * jnp.maximum(weight, 0)], axis=-1)
            outputs["threshold"] = jnp.broadcast_to(params["head"]["bias"], len(embedding))
        return metrics, {**outputs, "embedding": embedding}

    def finish(self, sums: Any, outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
        """One-shot recognition and verification by the embeddings of the whole split."""
        return means(sums, outputs) | measure(outputs, self.settings)

    def render(self, params: Tree, variables: Tree, evaluation: Evaluation, key: jax.Array) -> dict[str, Artifact]:
        """See `dl.evaluation.similarity_artifacts`."""
        drawn = None if "run" in evaluation.outputs else verified_pairs(evaluation.outputs, self.settings)
        return similarity_artifacts.artifacts(evaluation, distance(self.settings.loss), drawn, self.info.class_names)

    def check(self, split: str, source: Source) -> None:
        """See `check_split`."""
        check_split(split, source, self.settings)

    def task(self, optimizer: optax.GradientTransformation, steps: int) -> Task:
        """The task: so many `steps` of the `optimizer`."""
        of_classes = self.settings.loss == "triplet"
        loss = self.triplet_loss if of_classes else self.pair_loss
        groups = ("tower",) if self.head is None else ("tower", "head")
        objectives = {"compare": Objective(loss, groups, optimizer, whole_batch=of_classes)}
        evaluators = {"embeddings": Evaluator(self.evaluate, metrics_of(self.settings), self.finish)}
        return Task(self.init, objectives, (Phase(steps, ("compare",)),), evaluators, self.render, self.check)


def check_split(split: str, source: Source, settings: Settings) -> None:
    """Checks that a split has the classes and examples that its trials and pairs need.

    Raises:
        UserError: it has not; the message names the split.
    """
    if isinstance(source, Arrays) and "run" in source.features:
        return
    labels = feature_of(source, "label")
    try:
        for way, shot in settings.few_shot:
            one_shot.classes_for(labels, way, shot)
        verification.classes_for(labels)
    except UserError as error:
        raise UserError(f"split {split!r}: {error}") from error


def distance(loss: str) -> one_shot.Distance:
    """The distance of two embeddings as `evaluate` gives them, on the host."""
    return one_shot.signed_city_block if loss == "weighted_l1" else one_shot.euclidean


def verified_pairs(outputs: Mapping[str, np.ndarray], settings: Settings) -> verification.Pairs:
    """Random pairs of the split with their distances."""
    left, right, same = verification.draw_pairs(outputs["label"], settings.pairs)
    apart = verification.apart(outputs["embedding"], left, right, distance(settings.loss))
    return verification.Pairs(left, right, same, apart)


def metrics_of(settings: Settings) -> dict[str, Metric]:
    """What is measured, of whichever kind a split is."""
    trials = {f"error/{way}-way {shot}-shot": ERROR for way, shot in settings.few_shot}
    verified = {"equal_error": ERROR, "auc": HIGHER, "pair_error": ERROR}
    return {"embedding_norm": NEITHER, "error": ERROR, **trials, **verified}


def measure(outputs: Mapping[str, np.ndarray], settings: Settings) -> dict[str, float]:
    """`error` of one-shot recognition, and, where the split has no runs, those of all trials and of verification.

    Raises:
        UserError: the split has too few classes or examples.
    """
    apart = distance(settings.loss)
    if "run" in outputs:
        episodes = one_shot.run_episodes(outputs)
        return {"error": one_shot.error(episodes, one_shot.recognise(episodes, outputs["embedding"], apart))}
    numbers: dict[str, float] = {}
    for way, shot in settings.few_shot:
        episodes = one_shot.draw_episodes(outputs["label"], way, shot, settings.trials)
        error = one_shot.error(episodes, one_shot.recognise(episodes, outputs["embedding"], apart))
        numbers.setdefault("error", error)
        numbers[f"error/{way}-way {shot}-shot"] = error
    pairs = verified_pairs(outputs, settings)
    curve = verification.roc(pairs.distance, pairs.same)
    numbers |= {"equal_error": verification.equal_error_rate(curve), "auc": verification.area_under(curve)}
    if settings.loss != "triplet":
        threshold = float(outputs["threshold"][0]) if "threshold" in outputs else settings.margin / 2
        numbers["pair_error"] = verification.decision_error(pairs.distance, pairs.same, threshold)
    return numbers


def build(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """The task of a configuration; `config.task` holds what `Settings` lists.

    Raises:
        UserError: an unknown model, loss or setting, a number out of range, batches that do not fit the loss, fewer classes
            than the trials ask for, or data without labels or images.
    """
    info = resources.info
    if "image" not in info.shapes or not info.num_classes:
        raise UserError(f"similarity needs labelled images, and the dataset {info.name} has none.")
    settings = registry.read(Settings, "the task similarity", config.task)
    _check_settings(settings, config, info)
    tower = models.build(config, num_classes=settings.embedding)
    return Similarity(tower, info, settings).task(optimizers.build(config.optimizer, steps), steps)


def _check_settings(settings: Settings, config: ConfigDict, info: Info) -> None:
    if settings.loss not in BATCHES:
        raise unknown("loss", settings.loss, BATCHES)
    if config.dataset.batches != BATCHES[settings.loss]:
        raise UserError(
            f"the loss {settings.loss} learns from dataset.batches={BATCHES[settings.loss]!r}, not {config.dataset.batches!r}."
        )
    for name in ("embedding", "margin", "trials", "pairs"):
        if getattr(settings, name) <= 0:
            raise UserError(f"task.{name} must be above 0, not {getattr(settings, name)!r}.")
    for trial in settings.few_shot:
        if len(trial) != 2 or trial[0] < 2 or trial[1] < 1:
            raise UserError(f"task.few_shot holds pairs (N, K) of N >= 2 classes and K >= 1 examples, not {trial!r}.")
        if trial[0] > info.num_classes:
            raise UserError(
                f"{trial[0]}-way trials need {trial[0]} classes, and the dataset {info.name} has {info.num_classes}."
            )


PUBLIC = {"similarity": build}
SETTINGS = {"similarity": Settings()._asdict()}
