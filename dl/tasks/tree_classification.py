"""A class for every node of given trees: recursive nets (Socher et al. 2013; Tai et al. 2015).

Batches hold `text` int [B, L], padded, with the trees over it, `children` [B, L, 2] and `place` [B, L] (`dl.trees`), and
`node_label` [B, L, 2], that of each leaf and that of the node at each gap, -1 where there is none; where they are made in
buckets, `mask` bool [B] says which rows count. A model takes (text, children, place, train) and gives scores [B, 2 L, classes],
of the leaves and then of the nodes at each gap.

Of classes from the most negative to the most positive, an odd number, errors of two classes are measured as well, on nodes that
are not neutral: the probabilities on either side of the middle are added up and compared, as the authors' program does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
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
from dl.dataset import Info, Resources
from dl.errors import UserError
from dl.evaluation import sentences, text_mistakes
from dl.evaluation.classification import worst_mistakes
from dl.metric import ERROR, LOWER, Metric
from dl.models import build as models
from dl.task import Batch, Evaluation, Evaluator, Metrics, Objective, Pair, Phase, Task, Tree, mean
from dl.training import optimizers
from dl.trees import SentenceTree
from dl.vocabulary import Vocabulary


class Settings(NamedTuple):
    """What `config.task` may hold.

    per_tree: the loss is summed over the nodes of a tree and averaged over trees, as published; otherwise averaged over nodes.
    roots_only: the loss is of the whole sentences alone.
    sentiment: the classes go from the most negative to the most positive; see the module. The report shows what is said of
        sentences with a negation, node by node.
    """

    per_tree: bool = True
    roots_only: bool = False
    sentiment: bool = True


def node_losses(scores: Float[Array, "b n c"], labels: Int[Array, "b n"]) -> Float[Array, "b n"]:
    """-log softmax(scores)[label] of each node (Socher et al. 2013, section 4.4); of one without a label it means nothing."""
    return optax.softmax_cross_entropy_with_integer_labels(scores, jnp.maximum(labels, 0))


def loss_of_trees(losses: Float[Array, "b n"], counted: Bool[Array, "b n"], trees: Bool[Array, " b"]) -> Pair:
    """(sum, count) of the losses of the nodes that count, for a mean over trees."""
    return mean(losses, counted)[0], trees.sum().astype(jnp.float32)


def two_way(scores: Float[Array, "b n c"], labels: Int[Array, "b n"]) -> tuple[Bool[Array, "b n"], Bool[Array, "b n"]]:
    """Of C classes in order, C odd: whether a node is taken for the wrong side of the middle one, and whether it is on one."""
    middle = scores.shape[-1] // 2
    probability = jax.nn.softmax(scores)
    positive = probability[..., middle + 1 :].sum(-1) > probability[..., :middle].sum(-1)
    return positive != (labels > middle), (labels >= 0) & (labels != middle)


def roots(place: Int[Array, "b l"]) -> Int[Array, " b"]:
    """The number of each root among the 2 L nodes: that of the gap computed last, or the only word."""
    return jnp.where(place.max(1) >= 0, place.shape[1] + place.argmax(1), 0)


def labels_of(batch: Batch) -> Int[Array, "b n"]:
    """The label of each of the 2 L nodes: of the leaves, then of the gaps."""
    found: Any = jnp.swapaxes(batch["node_label"], 1, 2).reshape(len(batch["node_label"]), -1).astype(jnp.int32)
    return found


@dataclass(frozen=True)
class TreeClassifier:
    """A recursive net.

    Attributes:
        model: (text, children, place, train) -> scores of all nodes.
        info: of the data.
        settings: of the task.
        dataset: `config.dataset`, which says how texts become symbols.
    """

    model: nn.Module
    info: Info
    settings: Settings
    dataset: Mapping[str, Any]

    @property
    def vocabulary(self) -> Vocabulary:
        """Of the text."""
        found = self.info.features["text"].vocabulary
        assert found is not None
        return found

    def init(self, key: jax.Array) -> tuple[Tree, Tree]:
        """The parameters before training."""
        shape = {"text": (1, 2), "children": (1, 2, 2), "place": (1, 2)}
        nothing = (jnp.zeros(s, jnp.int32) for s in shape.values())
        return {"model": self.model.init(key, *nothing)["params"]}, {}

    def scores(self, params: Tree, batch: Batch, key: jax.Array | None = None) -> Float[Array, "b n c"]:
        """Scores of all nodes; with a key as in training."""
        given = (batch[name].astype(jnp.int32) for name in ("text", "children", "place"))
        drop = {} if key is None else {"dropout": key}
        scores: Any = self.model.apply({"params": params["model"]}, *given, key is not None, rngs=drop)
        return scores

    def loss(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Any:
        """Cross-entropy of the nodes that have a label; metrics of the roots and of all nodes."""
        scores, labels = self.scores(params, batch, key), labels_of(batch)
        trees = batch.get("mask", jnp.ones(len(labels), bool))
        root = roots(batch["place"])
        losses, metrics = self.measured(scores, labels, root, trees)
        counted = (labels >= 0) & trees[:, None]
        if self.settings.roots_only:
            counted &= jnp.arange(labels.shape[1]) == root[:, None]
        value = loss_of_trees(losses, counted, trees) if self.settings.per_tree else mean(losses, counted)
        return value, (variables, metrics)

    def measured(
        self, scores: Float[Array, "b n c"], labels: Int[Array, "b n"], root: Int[Array, " b"], trees: Bool[Array, " b"]
    ) -> tuple[Float[Array, "b n"], Metrics]:
        """The loss of each node, and over the `trees` that count the mean loss of nodes, errors of roots and of all nodes."""
        losses, wrong = node_losses(scores, labels), scores.argmax(-1) != labels
        there = (labels >= 0) & trees[:, None]
        is_root = jnp.arange(labels.shape[1]) == root[:, None]
        metrics = {"loss": mean(losses, there), "error": mean(wrong, there & is_root), "node_error": mean(wrong, there)}
        if self.two_ways:
            wrong, sided = two_way(scores, labels)
            metrics["binary_error"] = mean(wrong, there & sided & is_root)
            metrics["binary_node_error"] = mean(wrong, there & sided)
        return losses, metrics

    @property
    def two_ways(self) -> bool:
        """Whether the classes have a middle one that is neutral."""
        return self.settings.sentiment and self.info.num_classes % 2 == 1

    def metrics(self) -> dict[str, Metric]:
        """What is known of the metrics."""
        errors = ["error", "node_error", *(["binary_error", "binary_node_error"] if self.two_ways else [])]
        return {"loss": LOWER, **dict.fromkeys(errors, ERROR)}

    def evaluate(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> tuple[Metrics, dict[str, jax.Array]]:
        """Losses and errors, and of the roots what the report looks at."""
        scores, labels, root = self.scores(params, batch), labels_of(batch), roots(batch["place"])
        losses, metrics = self.measured(scores, labels, root, batch["mask"])
        rows = jnp.arange(len(root))
        whole = jax.nn.softmax(scores[rows, root])
        out = {"label": batch["label"], "prediction": whole.argmax(-1).astype(jnp.int32), "probability": whole.max(-1)}
        return metrics, {**out, "loss": losses[rows, root], "length": batch["text_length"]}

    def judge(self, params: Tree, trees: Sequence[SentenceTree]) -> list[np.ndarray]:
        """What is said of each node of some trees, as `dl.evaluation.sentences.Judge`."""
        length = max(len(tree.words) for tree in trees)
        batch = {"text": np.zeros((len(trees), length), np.int32), "children": np.zeros((len(trees), length, 2), np.int32)}
        batch["place"] = np.full((len(trees), length), -1, np.int32)
        for i, tree in enumerate(trees):
            count = len(tree.words)
            batch["text"][i, :count] = sentences.numbers(tree.words, self.vocabulary, {**self.dataset, "form": "trees"})
            batch["children"][i, :count], batch["place"][i, :count] = tree.children, tree.place
        on_device = {name: jnp.asarray(values) for name, values in batch.items()}
        said = np.asarray(jax.nn.softmax(jax.jit(self.scores)(params, on_device)))
        counts = [len(tree.words) for tree in trees]
        return [np.concatenate([p[:n], p[length : length + n]]) for p, n in zip(said, counts, strict=True)]

    def render(self, params: Tree, variables: Tree, evaluation: Evaluation, key: jax.Array) -> dict[str, Artifact]:
        """The confusion of the classes, the worst mistakes, the error by length, and sentences with a negation."""
        out, names = evaluation.outputs, text_mistakes.class_names(self.info)
        worst = worst_mistakes(out["label"], out["prediction"], out["loss"], text_mistakes.WORST)
        found: Mapping[str, Any] = evaluation.examples(worst) if len(worst) else {"text": (), "text_length": ()}
        rows = zip(found["text"], found["text_length"], strict=True)
        shown = text_mistakes.shown(self.info, out, worst, [self.vocabulary.decode(text[:n]) for text, n in rows])
        return shown | (sentences.shown(partial(self.judge, params), names) if self.settings.sentiment else {})

    def task(self, optimizer: optax.GradientTransformation, steps: int) -> Task:
        """The task of training it."""
        objectives = {"classify": Objective(self.loss, ("model",), optimizer)}
        evaluators = {"classify": Evaluator(self.evaluate, self.metrics())}
        return Task(self.init, objectives, (Phase(steps, ("classify",)),), evaluators, self.render)


def build(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """The task of a configuration; see `Settings`.

    Raises:
        UserError: an unknown model or setting, or data without trees.
    """
    settings = registry.read(Settings, "the task tree_classification", config.task)
    return learner(config, resources.info, settings).task(optimizers.build(config.optimizer, steps), steps)


def learner(config: ConfigDict, info: Info, settings: Settings) -> TreeClassifier:
    """The recursive net of a configuration.

    Raises:
        UserError: as `build`.
    """
    missing = {"text", "children", "place", "node_label"} - set(info.features)
    vocabulary = info.features["text"].vocabulary if "text" in info.features else None
    if missing or vocabulary is None:
        raise UserError(
            f"a recursive net needs trees, and the dataset {info.name!r} has {', '.join(info.features)}: take 'sst' or "
            "'opinions' with dataset.form='trees'."
        )
    model = models.build(config, num_classes=info.num_classes, symbols=len(vocabulary))
    return TreeClassifier(model, info, settings, config.dataset.to_dict())


PUBLIC = {"tree_classification": build}
SETTINGS = {"tree_classification": Settings()._asdict()}
