"""Matching of texts: a Siamese net that embeds a query near the text that belongs to it, and far from the others.

    loss         of all queries and texts of a batch: E is the cosine of two embeddings
    contrastive  (1 - E)^2 / 4 of each pair that belongs together; E^2 where E > margin of each that does not
                 (Neculoiu, Versteegh & Rotaru 2016, section 3.2, where the condition is printed the other way round)
    softmax      -log softmax_j(E_ij / temperature)[i]: which of the batch's texts belongs to the query
                 (Sohn 2016, "Improved deep metric learning with multi-class N-pair loss", eq. 7)

Batches hold two texts [B, T], each with its length: a typing error and its word, an article and its title. Where the right text
is there twice, neither is wrong. In a split, the text of each query is looked for among all of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, Integer
from ml_collections import ConfigDict

from dl import registry
from dl.artifacts import Artifact, Table
from dl.dataset import Resources
from dl.errors import UserError, unknown
from dl.evaluation import retrieval
from dl.metric import HIGHER, Metric
from dl.models import build as models
from dl.task import Batch, Evaluation, Evaluator, Measurement, Objective, Outcome, Phase, Task, Tree, mean, valid
from dl.training import optimizers
from dl.vocabulary import Vocabulary

SHARE = Metric("higher", format=".2%")
AMONG = 5  # the right text is among so many
SHOWN, LETTERS = 30, 60  # mistakes in the report, and how much of a text


class Settings(NamedTuple):
    """`config.task`.

    query: name of the feature for which a text is looked for.
    target: name of the feature that is found.
    loss: see the module.
    embedding: length D of an embedding.
    margin: cosine above which a text that does not belong is pushed away, by the contrastive loss.
    temperature: divisor of the cosines in the softmax.
    edit_distance: whether texts are looked for by edit distance too, at the end.
    """

    query: str = "query"
    target: str = "target"
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


def equal(text: Integer[Array, "b t"], length: Int[Array, " b"]) -> Bool[Array, "b b"]:
    """Which of some padded texts are the same."""
    text = jnp.where(valid(length, text.shape[1]), text.astype(jnp.int32), -1)
    return (text[:, None] == text).all(-1)


class Reader(NamedTuple):
    """What both texts are read by.

    symbols: of the two vocabularies together, those of the query first.
    numbers: side -> the number, among these, of each symbol of its own vocabulary.
    """

    symbols: Vocabulary
    numbers: Mapping[str, np.ndarray]


def reader(query: Vocabulary, target: Vocabulary) -> Reader:
    """One for texts of these vocabularies, so that a letter is the same on both sides."""
    both = Vocabulary(tuple(dict.fromkeys(query.names + target.names)), target.words)
    sides = {"query": query, "target": target}
    return Reader(both, {side: np.array([both.numbers[n] for n in own.names], np.int32) for side, own in sides.items()})


@dataclass(frozen=True)
class Learner:
    """One tower for both sides. `tower` is called as `dl.models.text_tower.TextTower`."""

    tower: nn.Module
    reader: Reader
    settings: Settings

    def name(self, side: str) -> str:
        """The feature of a side, "query" or "target"."""
        return self.settings.query if side == "query" else self.settings.target

    def init(self, key: Array) -> tuple[Tree, Tree]:
        """Its parameters."""
        return {"tower": self.tower.init(key, jnp.ones((1, 2), jnp.int32), jnp.full(1, 2, jnp.int32))["params"]}, {}

    def embed(self, params: Tree, batch: Batch, side: str, **how: Any) -> Float[Array, "b d"]:
        """Embeddings of length 1."""
        text, length = jnp.asarray(self.reader.numbers[side])[batch[self.name(side)]], batch[f"{self.name(side)}_length"]
        embedding: Any = self.tower.apply({"params": params["tower"]}, text, length, **how)
        return embedding / optax.safe_norm(embedding, 1e-6, axis=-1, keepdims=True)

    def loss(self, params: Tree, variables: Tree, batch: Batch, key: Array) -> Outcome:
        """Of a training batch, all its queries against all its texts."""
        sides = jax.random.split(key)
        query, target = (
            self.embed(params, batch, side, train=True, rngs={"dropout": k})
            for side, k in zip(("query", "target"), sides, strict=True)
        )
        likeness = query @ target.T
        same = equal(batch[self.settings.target], batch[f"{self.settings.target}_length"])
        counted = batch.get("mask", jnp.ones(len(query), bool))
        if self.settings.loss == "softmax":
            losses = n_pairs(likeness, same, counted, self.settings.temperature)
        else:
            losses = contrastive(likeness, same, counted, self.settings.margin)
        own = jnp.diagonal(likeness)
        metrics = {"loss": mean(losses, counted), "likeness/same": mean(own, counted)}
        metrics["batch_accuracy"] = mean(own >= jnp.where(counted, likeness, -1).max(1), counted)
        return metrics["loss"], (variables, metrics)

    def embeddings(self, params: Tree, variables: Tree, batch: Batch, key: Array) -> Measurement:
        """Of a split, to be compared when all of it is there."""
        return {}, {f"{side}_embedding": self.embed(params, batch, side) for side in ("query", "target")}

    def find(self, sums: Any, outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
        """How often the right text is the nearest, and among the nearest."""
        found = retrieval.by_angle(outputs["query_embedding"], outputs["target_embedding"])
        rank = retrieval.mean_reciprocal_rank(found)
        return {"accuracy": retrieval.accuracy(found), f"accuracy/{AMONG}": retrieval.accuracy(found, AMONG), "mrr": rank}

    def texts(self, params: Tree, variables: Tree, batch: Batch, key: Array) -> Measurement:
        """What is compared letter by letter."""
        names = {side: self.name(side) for side in ("query", "target")}
        lengths = {f"{side}_size": batch[f"{name}_length"] for side, name in names.items()}
        return {}, {f"{side}_text": batch[name] for side, name in names.items()} | lengths

    def find_by_edit_distance(self, sums: Any, outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
        """The same by edit distance, which learns nothing."""
        texts = (self.read(side, outputs[f"{side}_text"], outputs[f"{side}_size"]) for side in ("query", "target"))
        found = retrieval.by_edit_distance(*texts)
        return {"accuracy/edit_distance": retrieval.accuracy(found)}

    def read(self, side: str, texts: np.ndarray, lengths: np.ndarray) -> list[str]:
        """Padded texts as they are written."""
        numbers = self.reader.numbers[side]
        return [self.reader.symbols.decode(numbers[text[:size]]) for text, size in zip(texts, lengths, strict=True)]

    def render(self, params: Tree, variables: Tree, evaluation: Evaluation, key: Array) -> dict[str, Artifact]:
        """Queries whose nearest text is another one: what is near, and how near."""
        query, target = (evaluation.outputs[f"{side}_embedding"] for side in ("query", "target"))
        found = retrieval.by_angle(query, target)
        wrong = np.flatnonzero(found.before)[:: max(np.count_nonzero(found.before) // SHOWN, 1)][:SHOWN]
        if not len(wrong):
            return {}
        right, taken = evaluation.examples(wrong), evaluation.examples(found.nearest[wrong])
        shown = (("query", right), ("target", right), ("target", taken))
        texts = [self.read(side, batch[self.name(side)], batch[f"{self.name(side)}_length"]) for side, batch in shown]
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
    settings = registry.read(Settings, "the task matching", config.task)
    features = dict(resources.info.features)
    if config.dataset.batches == "mistyped" and "target" in features:
        features["query"] = features["target"]
    texts = {side: getattr(settings, side) for side in ("query", "target")}
    found = [features[name].vocabulary for name in texts.values() if name in features]
    vocabularies = [vocabulary for vocabulary in found if vocabulary is not None]
    if len(vocabularies) < 2:
        raise UserError(
            f"matching needs two texts, task.query={settings.query!r} and task.target={settings.target!r}, and the dataset "
            f"{resources.info.name} has {', '.join(resources.info.shapes)}: name two of its texts, or take 'ptb_words' with "
            "dataset.batches='mistyped'."
        )
    if settings.loss not in LOSSES:
        raise unknown("loss", settings.loss, LOSSES)
    if settings.embedding < 1 or settings.temperature <= 0 or not -1 <= settings.margin <= 1:
        raise UserError(
            "task.embedding and task.temperature must be above 0, task.margin a cosine, -1 to 1, not "
            f"{settings.embedding}, {settings.temperature:g} and {settings.margin:g}."
        )
    read_by = reader(*vocabularies)
    tower = models.build(config, num_classes=settings.embedding, symbols=len(read_by.symbols))
    return Learner(tower, read_by, settings).task(optimizers.build(config.optimizer, steps), steps)


LOSSES = ("contrastive", "softmax")
PUBLIC = {"matching": build}
SETTINGS = {"matching": Settings()._asdict()}
