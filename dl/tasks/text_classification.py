"""Classification of texts: one label for each.

Batches hold `text` int [B, T], padded, `text_length` int32 [B] and `label` int32 [B]; where they are made in buckets, `mask`
bool [B] says which rows count. A model takes (text, length, train) and gives scores [B, num_classes]; padding is never counted.
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
from jaxtyping import Array, Float, Int
from ml_collections import ConfigDict

from dl import registry
from dl.artifacts import Artifact
from dl.dataset import Info, Kind, Resources
from dl.errors import UserError
from dl.evaluation import sentences, text_mistakes
from dl.evaluation.classification import worst_mistakes
from dl.metric import ERROR, LOWER
from dl.models import build as models
from dl.task import Batch, Evaluation, Evaluator, Metrics, Objective, Phase, Task, Tree, mean
from dl.training import optimizers
from dl.trees import SentenceTree
from dl.vocabulary import Vocabulary


class Settings(NamedTuple):
    """What `config.task` may hold.

    text: the feature that is read.
    smoothing: of the labels (Szegedy et al. 2016, section 7).
    sentiment: the classes go from the most negative to the most positive; the report shows what is said of sentences with a
        negation, phrase by phrase.
    """

    text: str = "text"
    smoothing: float = 0.0
    sentiment: bool = False


def cross_entropy(scores: Float[Array, "b c"], label: Int[Array, " b"], smoothing: float = 0.0) -> Float[Array, " b"]:
    """-log softmax(scores)[label], in nats; with smoothing towards the uniform distribution."""
    if not smoothing:
        return optax.softmax_cross_entropy_with_integer_labels(scores, label)
    return optax.softmax_cross_entropy(scores, optax.smooth_labels(jax.nn.one_hot(label, scores.shape[-1]), smoothing))


@dataclass(frozen=True)
class TextClassifier:
    """A classifier of texts.

    Attributes:
        model: (text [B, T], length [B], train) -> scores [B, num_classes].
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
        found = self.info.features[self.settings.text].vocabulary
        assert found is not None
        return found

    def init(self, key: jax.Array) -> tuple[Tree, Tree]:
        """The parameters before training."""
        return {"model": self.model.init(key, jnp.zeros((1, 8), jnp.int32), jnp.full(1, 8, jnp.int32))["params"]}, {}

    def scores(self, params: Tree, batch: Batch, key: jax.Array | None = None) -> Float[Array, "b c"]:
        """Scores of the classes; with a key as in training."""
        text, length = batch[self.settings.text], batch[f"{self.settings.text}_length"]
        drop = {} if key is None else {"dropout": key}
        scores: Any = self.model.apply({"params": params["model"]}, text.astype(jnp.int32), length, key is not None, rngs=drop)
        return scores

    def loss(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Any:
        """Cross-entropy of the label, and the error, over the rows that count."""
        scores, label, mask = self.scores(params, batch, key), batch["label"], batch.get("mask")
        value = mean(cross_entropy(scores, label, self.settings.smoothing), mask)
        return value, (variables, {"loss": value, "error": mean(scores.argmax(-1) != label, mask)})

    def evaluate(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> tuple[Metrics, dict[str, jax.Array]]:
        """Loss and error, and what the report looks at."""
        scores, label, mask = self.scores(params, batch), batch["label"], batch["mask"]
        losses, prediction = cross_entropy(scores, label), scores.argmax(-1).astype(jnp.int32)
        metrics = {"loss": mean(losses, mask), "error": mean(prediction != label, mask)}
        outputs = {"label": label, "prediction": prediction, "probability": jax.nn.softmax(scores).max(-1), "loss": losses}
        return metrics, {**outputs, "length": batch[f"{self.settings.text}_length"]}

    def probabilities(self, params: Tree, texts: Sequence[np.ndarray]) -> np.ndarray:
        """Of the classes of each text [N, num_classes], which is given as its symbols."""
        length = np.array([len(text) for text in texts], np.int32)
        padded = np.zeros((len(texts), int(length.max())), np.int32)
        for row, text in zip(padded, texts, strict=True):
            row[: len(text)] = text
        name = self.settings.text
        scores = jax.jit(self.scores)(params, {name: jnp.asarray(padded), f"{name}_length": jnp.asarray(length)})
        return np.asarray(jax.nn.softmax(scores))

    def judge(self, params: Tree, trees: Sequence[SentenceTree]) -> list[np.ndarray]:
        """What is said of each phrase of some trees, as `dl.evaluation.sentences.Judge`."""
        phrases = [[sentences.numbers(w, self.vocabulary, self.dataset) for w in sentences.spans(tree)] for tree in trees]
        said = self.probabilities(params, [phrase for of_tree in phrases for phrase in of_tree])
        return np.split(said, np.cumsum([len(of_tree) for of_tree in phrases])[:-1])

    def render(self, params: Tree, variables: Tree, evaluation: Evaluation, key: jax.Array) -> dict[str, Artifact]:
        """The confusion of the classes, the worst mistakes, the error by length, and sentences with a negation."""
        out, text = evaluation.outputs, self.settings.text
        worst = worst_mistakes(out["label"], out["prediction"], out["loss"], text_mistakes.WORST)
        found: Mapping[str, Any] = evaluation.examples(worst) if len(worst) else {text: (), f"{text}_length": ()}
        rows = zip(found[text], found[f"{text}_length"], strict=True)
        shown = text_mistakes.shown(self.info, out, worst, [self.vocabulary.decode(symbols[:n]) for symbols, n in rows])
        names = text_mistakes.class_names(self.info)
        return shown | (sentences.shown(partial(self.judge, params), names) if self.settings.sentiment else {})

    def task(self, optimizer: optax.GradientTransformation, steps: int) -> Task:
        """The task of training it."""
        objectives = {"classify": Objective(self.loss, ("model",), optimizer)}
        evaluators = {"classify": Evaluator(self.evaluate, {"loss": LOWER, "error": ERROR})}
        return Task(self.init, objectives, (Phase(steps, ("classify",)),), evaluators, self.render)


def build(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """The task of a configuration; see `Settings`.

    Raises:
        UserError: an unknown model or setting, or data without texts and labels.
    """
    settings = registry.read(Settings, "the task text_classification", config.task)
    return learner(config, resources.info, settings).task(optimizers.build(config.optimizer, steps), steps)


def learner(config: ConfigDict, info: Info, settings: Settings) -> TextClassifier:
    """The classifier of a configuration.

    Raises:
        UserError: as `build`.
    """
    text = info.features.get(settings.text)
    if text is None or text.kind is not Kind.TOKENS or text.vocabulary is None or text.shape[:1] != (None,):
        ragged = [name for name, feature in info.features.items() if feature.kind is Kind.TOKENS and None in feature.shape]
        have = f"it has {', '.join(ragged)}" if ragged else "take one such as 'table', 'imdb' or 'sst'"
        raise UserError(f"task.text={settings.text!r} is no text of the dataset {info.name!r}: {have}.")
    if not info.num_classes:
        raise UserError(f"text classification needs labels, and the dataset {info.name!r} has none.")
    model = models.build(config, num_classes=info.num_classes, symbols=len(text.vocabulary))
    return TextClassifier(model, info, settings, config.dataset.to_dict())


PUBLIC = {"text_classification": build}
SETTINGS = {"text_classification": Settings()._asdict()}
