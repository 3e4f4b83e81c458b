"""Matching of texts: a Siamese net that embeds a query near the text that belongs to it, and far from the others.

    loss         of all queries and texts of a batch: E is the cosine of two embeddings
    contrastive  (1 - E)^2 / 4 of each pair that belongs together; E^2 where E > margin of each that does not
                 (Neculoiu, Versteegh & Rotaru 2016, section 3.2, where the condition is printed the other way round)
    softmax      -log softmax_j(E_ij / temperature)[i]: which of the batch's texts belongs to the query
                 (Sohn 2016, "Improved deep metric learning with multi-class N-pair loss", eq. 7)

Batches hold `query` and `target` [B, T], each with its length, and `entry` [B], which text it is: a typing error and its word,
an article and its title. In a split, each query is looked for among all its texts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float
from ml_collections import ConfigDict

from dl import registry
from dl.artifacts import Artifact, Table
from dl.dataset import Info, Resources
from dl.errors import UserError, unknown
from dl.evaluation import retrieval
from dl.metric import HIGHER, Metric
from dl.models import build as models
from dl.task import Batch, Evaluation, Evaluator, Metrics, Objective, Phase, Task, Tree, mean
from dl.training import optimizers

SHARE = Metric("higher", format=".2%")
AMONG = 5  # the right text is among so many
SHOWN, LETTERS = 30, 60  # mistakes in the report, and how much of a text


class Settings(NamedTuple):
    """`config.task`.

    loss: see the module. embedding: D. margin: of the contrastive loss. temperature: of the softmax.
    edit_distance: whether the queries are looked for by edit distance too, at the end.
    """

    loss: str = "contrastive"
    embedding: int = 128
    margin: float = 0.5
    temperature: float = 0.1
    edit_distance: bool = False


def contrastive(
    likeness: Float[Array, "b b"], same: Bool[Array, "b b"], counted: Bool[Array, " b"], margin: float
) -> Float[Array, " b"]:
    """(1 - E)^2 / 4 of each query's own text, E^2 of every other one with E > margin (Neculoiu et al. 2016, section 3.2)."""
    own = jnp.square(1 - jnp.diagonal(likeness)) / 4
    apart = jnp.where(~same & counted & (likeness > margin), jnp.square(likeness), 0.0)
    return own + apart.sum(1)


def n_pairs(
    likeness: Float[Array, "b b"], same: Bool[Array, "b b"], counted: Bool[Array, " b"], temperature: float
) -> Float[Array, " b"]:
    """-log softmax_j(E_ij / temperature)[i], over query i's own text and those that do not belong to it (Sohn 2016, eq. 7)."""
    taken = jnp.eye(len(likeness), dtype=bool) | (~same & counted)
    scores = jnp.where(taken, likeness / temperature, -jnp.inf)
    return jax.nn.logsumexp(scores, axis=1) - jnp.diagonal(scores)


@dataclass(frozen=True)
class Learner:
    """One tower for both sides. `tower` is called as `dl.models.text_tower.TextTower`."""

    tower: nn.Module
    info: Info
    settings: Settings

    def init(self, key: Array) -> tuple[Tree, Tree]:
        """Its parameters."""
        return {"tower": self.tower.init(key, jnp.ones((1, 2), jnp.int32), jnp.full(1, 2, jnp.int32))["params"]}, {}

    def embed(self, params: Tree, batch: Batch, side: str, **how: Any) -> Float[Array, "b d"]:
        """Embeddings of length 1."""
        text = batch[side].astype(jnp.int32)
        embedding: Any = self.tower.apply({"params": params["tower"]}, text, batch[f"{side}_length"], **how)
        return embedding / optax.safe_norm(embedding, 1e-6, axis=-1, keepdims=True)

    def loss(self, params: Tree, variables: Tree, batch: Batch, key: Array) -> Any:
        """Of a training batch, all its queries against all its texts."""
        sides = jax.random.split(key)
        query, target = (
            self.embed(params, batch, side, train=True, rngs={"dropout": k})
            for side, k in zip(("query", "target"), sides, strict=True)
        )
        likeness, same = query @ target.T, batch["entry"][:, None] == batch["entry"]
        counted = batch.get("mask", jnp.ones(len(query), bool))
        if self.settings.loss == "softmax":
            losses = n_pairs(likeness, same, counted, self.settings.temperature)
        else:
            losses = contrastive(likeness, same, counted, self.settings.margin)
        own = jnp.diagonal(likeness)
        metrics = {"loss": mean(losses, counted), "likeness/same": mean(own, counted)}
        metrics["batch_accuracy"] = mean(own >= jnp.where(counted, likeness, -1).max(1), counted)
        return metrics["loss"], (variables, metrics)

    def embeddings(self, params: Tree, variables: Tree, batch: Batch, key: Array) -> tuple[Metrics, dict[str, Array]]:
        """Of a split, to be compared when all of it is there."""
        return {}, {f"{side}_embedding": self.embed(params, batch, side) for side in ("query", "target")}

    def find(self, sums: Any, outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
        """How often the right text is the nearest, and among the nearest."""
        found = retrieval.by_angle(outputs["query_embedding"], outputs["target_embedding"])
        rank = retrieval.mean_reciprocal_rank(found)
        return {"accuracy": retrieval.accuracy(found), f"accuracy/{AMONG}": retrieval.accuracy(found, AMONG), "mrr": rank}

    def texts(self, params: Tree, variables: Tree, batch: Batch, key: Array) -> tuple[Metrics, dict[str, Array]]:
        """What is compared letter by letter."""
        return {}, {f"{side}_text": batch[side] for side in ("query", "target")}

    def find_by_edit_distance(self, sums: Any, outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
        """The same by edit distance, which learns nothing."""
        found = retrieval.by_edit_distance(*(self.read(outputs[f"{side}_text"]) for side in ("query", "target")))
        return {"accuracy/edit_distance": retrieval.accuracy(found)}

    def read(self, texts: np.ndarray) -> list[str]:
        """Padded texts as they are written."""
        vocabulary = self.info.features["target"].vocabulary
        assert vocabulary is not None
        return [vocabulary.decode(text[text > 0]) for text in texts]

    def render(self, params: Tree, variables: Tree, evaluation: Evaluation, key: Array) -> dict[str, Artifact]:
        """Queries whose nearest text is another one: what is near, and how near."""
        query, target = (evaluation.outputs[f"{side}_embedding"] for side in ("query", "target"))
        found = retrieval.by_angle(query, target)
        wrong = np.flatnonzero(found.before)[:: max(np.count_nonzero(found.before) // SHOWN, 1)][:SHOWN]
        if not len(wrong):
            return {}
        right, taken = evaluation.examples(wrong), evaluation.examples(found.nearest[wrong])
        texts = [self.read(right["query"]), self.read(right["target"]), self.read(taken["target"])]
        near = [(query[wrong] * target[rows]).sum(1) for rows in (wrong, found.nearest[wrong])]
        rows = [
            (*(text[:LETTERS] for text in row), round(float(own), 3), round(float(other), 3), int(found.before[index]) + 1)
            for *row, own, other, index in zip(*texts, *near, wrong, strict=True)
        ]
        header = ("query", "belongs to", "taken for", "cosine of the right one", "of the one taken", "rank of the right one")
        return {"mistakes": Table(header, rows)}

    def task(self, optimizer: optax.GradientTransformation, steps: int) -> Task:
        """One objective, which compares the texts of a batch with each other."""
        metrics = {"accuracy": SHARE, f"accuracy/{AMONG}": SHARE, "mrr": HIGHER}
        evaluators = {"nearest": Evaluator(self.embeddings, metrics, self.find)}
        if self.settings.edit_distance:
            edits = Evaluator(self.texts, {"accuracy/edit_distance": SHARE}, self.find_by_edit_distance, every=0)
            evaluators["edit distance"] = edits
        objectives = {"match": Objective(self.loss, ("tower",), optimizer, whole_batch=True)}
        return Task(self.init, objectives, (Phase(steps, ("match",)),), evaluators, self.render)


def build(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """The task of a configuration; `config.task` holds what `Settings` lists.

    Raises:
        UserError: an unknown model, loss or setting, a number out of range, or data without pairs of texts.
    """
    info = resources.info
    vocabulary = info.features["target"].vocabulary if "target" in info.features else None
    if vocabulary is None or ("query" not in info.features and config.dataset.batches != "mistyped"):
        raise UserError(
            f"matching needs pairs of texts, and the dataset {info.name} has {', '.join(info.shapes)}: take one such as "
            "'ptb_words' with dataset.batches='mistyped'."
        )
    settings = registry.read(Settings, "the task matching", config.task)
    if settings.loss not in LOSSES:
        raise unknown("loss", settings.loss, LOSSES)
    if settings.embedding < 1 or settings.temperature <= 0 or not -1 <= settings.margin <= 1:
        raise UserError(
            "task.embedding and task.temperature must be above 0, task.margin a cosine, -1 to 1, not "
            f"{settings.embedding}, {settings.temperature:g} and {settings.margin:g}."
        )
    tower = models.build(config, num_classes=settings.embedding, symbols=len(vocabulary))
    return Learner(tower, info, settings).task(optimizers.build(config.optimizer, steps), steps)


LOSSES = ("contrastive", "softmax")
PUBLIC = {"matching": build}
SETTINGS = {"matching": Settings()._asdict()}
