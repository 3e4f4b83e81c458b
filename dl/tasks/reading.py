"""Reading words in images (Shi, Bai & Yao 2015): a network gives the symbols of each column, and CTC aligns them.

Batches hold `image` [B, H, W, C], `text` [B, U] and `text_length` [B]. The loss of a word is -log p(text), in nats, over all
alignments (their eqs. 1 and 2; Graves et al. 2006). A word with more symbols than the network gives columns has none, and
counts in no loss. With `rendered`, rendered words come first, and then batches of both, side by side.

Metrics: `loss`; `word_accuracy`, the part of the words that are read without a mistake, without a lexicon; `character_error`;
at the end of a run those of prefix beam search, `word_accuracy_beam` and `character_error_beam`, where `config.task.beam` is
above 0. What counts, such as small letters and digits, is what the vocabulary of the data has.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from dl import registry
from dl.artifacts import Artifact
from dl.data.ragged import RaggedArrays
from dl.dataset import Info, Resources, Source, column_of
from dl.errors import UserError
from dl.evaluation import ctc
from dl.evaluation.error_rates import character_error, worst
from dl.evaluation.words_read import SHOWN, mistakes_first, shown_words, symbols_over_columns, word_accuracy
from dl.metric import ERROR, LOWER, Metric
from dl.models import build as models
from dl.task import Batch, Evaluation, Evaluator, Measurement, Objective, Outcome, Phase, Task, Tree, mean, means
from dl.tasks.transcription import alignment_losses, heard_and_said, said_and_heard
from dl.training import optimizers
from dl.vocabulary import Vocabulary

ACCURACY = Metric("higher", format=".2%")
METRICS = {"word_accuracy": ACCURACY, "character_error": ERROR}
WORD = ("image", "text", "text_length")


class Settings(NamedTuple):
    """`config.task`.

    stream: the split that is read in training.
    rendered: a split of rendered words, read before it and then beside it; "": none.
    before: part of the steps that are taken on rendered words alone.
    beam: prefixes that beam search keeps, at the end of the run; 0: no such search.
    """

    stream: str = "train"
    rendered: str = ""
    before: float = 0.75
    beam: int = 0


def phases(settings: Settings, steps: int) -> tuple[Phase, ...]:
    """One phase, or two: rendered words alone, then both."""
    if not settings.rendered:
        return (Phase(steps, ("read",), settings.stream),)
    first = round(settings.before * steps)
    both = Phase(steps - first, ("read",), settings.stream, (settings.rendered,))
    alone = Phase(first, ("read",), settings.rendered)
    return tuple(phase for phase in (alone, both) if phase.steps)


def together(batch: Batch, rendered: str) -> Batch:
    """The words of a batch, those of the stream beside it after its own."""
    if not rendered or f"{rendered}/image" not in batch:
        return batch
    return {name: jnp.concatenate([batch[name], batch[f"{rendered}/{name}"]]) for name in WORD}


@dataclass(frozen=True)
class Reader:
    """A network that gives the symbols of each column and the blank, trained by CTC; its parameters are the group `model`."""

    model: Any
    vocabulary: Vocabulary
    shape: tuple[int, ...]
    settings: Settings

    def init(self, key: jax.Array) -> tuple[Tree, Tree]:
        """Parameters, and running statistics."""
        variables = dict(self.model.init(key, jnp.zeros((1, *self.shape))))
        return {"model": variables.pop("params")}, variables

    def apply(self, params: Tree, variables: Tree, *inputs: jax.Array, key: jax.Array | None = None) -> tuple[Any, Tree]:
        """What the model gives, and the variables afterwards; with a key, as in training."""
        everything, train = {"params": params["model"], **variables}, key is not None
        if not train:
            return self.model.apply(everything, *inputs, train=False), variables
        outputs, new = self.model.apply(everything, *inputs, train=True, rngs={"dropout": key}, mutable=list(variables))
        return outputs, {**variables, **new}

    def logits(
        self, params: Tree, variables: Tree, batch: Batch, key: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array, Tree]:
        """Scores [B, T, K], how many columns of each count, which are all, and the variables afterwards."""
        logits, variables = self.apply(params, variables, batch["image"], key=key)
        return logits, jnp.full(len(logits), logits.shape[1], jnp.int32), variables

    def loss(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Outcome:
        """The mean of -log p(text) over the words that can be aligned."""
        batch = together(batch, self.settings.rendered)
        logits, columns, variables = self.logits(params, variables, batch, key)
        losses, counted = alignment_losses(logits, columns, batch)
        return mean(losses, counted), (variables, {"loss": mean(losses, counted)})

    def evaluate(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Measurement:
        """The loss, and what greedy decoding reads."""
        logits, columns, _ = self.logits(params, variables, batch)
        losses, counted = alignment_losses(logits, columns, batch)
        found = ctc.greedy(logits, columns)
        return {"loss": mean(losses, counted)}, {"loss": losses, **heard_and_said(found, batch)}

    def search(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Measurement:
        """What prefix beam search reads."""
        logits, columns, _ = self.logits(params, variables, batch)
        best = jax.tree.map(lambda x: x[:, 0], ctc.prefix_beam(logits, columns, width=self.settings.beam))
        return {}, {f"{name}_beam": values for name, values in heard_and_said(best, batch).items()}

    def finish(self, sums: Any, outputs: Mapping[str, np.ndarray], suffix: str = "") -> dict[str, float]:
        """Accuracy and error of the whole split."""
        there, found = said_and_heard(outputs, self.vocabulary, suffix)
        values = (word_accuracy(there, found), character_error(there, found))
        return {**means(sums, outputs), **{f"{name}{suffix}": value for name, value in zip(METRICS, values, strict=True)}}

    def render(self, params: Tree, variables: Tree, evaluation: Evaluation, key: jax.Array) -> dict[str, Artifact]:
        """Words with what was read in them, mistakes first; the symbols over the columns of the worst; a table of mistakes."""
        there, found = said_and_heard(evaluation.outputs, self.vocabulary)
        indices = mistakes_first(there, found, evaluation.outputs["loss"], SHOWN)
        batch = evaluation.examples(indices)
        shown: dict[str, Artifact] = {
            "words read": shown_words(batch["image"], [there[i] for i in indices], [found[i] for i in indices])
        }
        more = self.explain(params, variables, {name: jnp.asarray(batch[name][:1]) for name in WORD})
        return {**shown, **more, "worst mistakes": worst(there, found)}

    def explain(self, params: Tree, variables: Tree, batch: Batch) -> dict[str, Artifact]:
        """How the first word of a batch was read."""
        logits, _, _ = self.logits(params, variables, batch)
        return {"symbols over the columns": symbols_over_columns(np.asarray(logits[0]), self.vocabulary)}

    def columns(self) -> int:
        """How many columns the network gives for an image of the data."""
        given = jax.eval_shape(lambda key: self.model.init_with_output(key, jnp.zeros((1, *self.shape)))[0], jax.random.key(0))
        return int(given.shape[1])

    def check(self, split: str, source: Source) -> None:
        """Raises UserError where most words of a split in memory have more symbols than the network gives columns."""
        length = source.ragged["text"].sizes if isinstance(source, RaggedArrays) else None
        if source.resident and length is None:
            length = column_of(source, "text_length")
        columns = self.columns()
        if length is not None and len(length) and np.mean(length > columns) > 0.5:
            raise UserError(
                f"split {split!r}: {int((length > columns).sum()):,} of {len(length):,} words are longer than the {columns} "
                f"columns that {self.shape[1]} pixels give: set a larger dataset.width."
            )

    def task(self, optimizer: optax.GradientTransformation, steps: int) -> Task:
        """All of it together."""
        evaluators = {"read": Evaluator(self.evaluate, {"loss": LOWER, **METRICS}, self.finish)}
        if self.settings.beam:
            described = {f"{name}_beam": metric for name, metric in METRICS.items()}
            finish = lambda sums, outputs: self.finish(sums, outputs, "_beam")  # noqa: E731
            evaluators["search"] = Evaluator(self.search, described, finish, every=0)
        objectives = {"read": Objective(self.loss, ("model",), optimizer)}
        return Task(self.init, objectives, phases(self.settings, steps), evaluators, self.render, self.check)


def words_of(info: Info, what: str) -> tuple[tuple[int, ...], Vocabulary]:
    """The shape of the images and the vocabulary of the texts.

    Raises:
        UserError: the data are no images of words.
    """
    image, text = info.features.get("image"), info.features.get("text")
    if image is None or text is None or text.vocabulary is None:
        raise UserError(
            f"{what} needs images of words with their texts, and the dataset {info.name} has {', '.join(info.shapes)}: take "
            "dataset.name='rendered_words' or 'iiit5k'."
        )
    return tuple(int(side or 0) for side in image.shape), text.vocabulary


def read_settings(kind: Any, what: str, config: ConfigDict) -> Any:
    """`config.task`, checked.

    Raises:
        UserError: an unknown setting, or a number out of range.
    """
    settings = registry.read(kind, what, config.task)
    if settings.beam < 0 or not 0 <= settings.before <= 1:
        raise UserError(f"task.beam={settings.beam} must not be negative, and task.before={settings.before:g} lie in 0..1.")
    return settings


def build(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """The task of a configuration.

    Raises:
        UserError: an unknown model or setting, data that are no images of words, or a number out of range.
    """
    settings: Settings = read_settings(Settings, "the task reading", config)
    shape, vocabulary = words_of(resources.info, "reading")
    model = models.build(config, num_classes=len(vocabulary) + 1)
    if hasattr(model, "decode") or not hasattr(model, "normalised"):
        raise UserError(f"the model {config.model.name!r} gives no symbols column by column: take 'crnn'.")
    reader = Reader(model, vocabulary, shape, settings)
    return reader.task(optimizers.build(config.optimizer, steps), steps)


PUBLIC = {"reading": build}
SETTINGS = {"reading": Settings()._asdict()}
