"""Speech to text by connectionist temporal classification (Graves et al. 2006; deep: Graves, Mohamed & Hinton 2013).

Batches hold `frames` [B, T, D] and `text` [B, U], each with its length. The loss of an utterance is -log p(text), in nats, the
sum over all alignments (2006, eq. 14). An utterance with more symbols than frames has none, and counts in no loss.

Metrics: `loss`, and by jiwer `character_error` and `word_error` of greedy decoding; at the end of a run those of prefix beam
search, `character_error_beam` and `word_error_beam`, where `config.task.beam` is above 0.
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
from dl.dataset import Info, Resources, Source
from dl.errors import UserError
from dl.evaluation import ctc
from dl.evaluation.error_rates import character_error, texts, word_error, worst
from dl.evaluation.utterance_artifacts import chosen, symbol_curves, utterances
from dl.metric import ERROR, LOWER
from dl.models import build as models
from dl.task import Batch, Evaluation, Evaluator, Metrics, Objective, Phase, Task, Tree, mean, means
from dl.training import optimizers
from dl.vocabulary import Vocabulary

ERRORS = ("character_error", "word_error")
SHOWN = 4  # utterances in the report


class Settings(NamedTuple):
    """`config.task`.

    beam: prefixes that beam search keeps, at the end of the run; 0: no such search.
    """

    beam: int = 0


@dataclass(frozen=True)
class Transcriber:
    """A network that gives each frame's symbols and the blank, trained by CTC."""

    model: Any
    vocabulary: Vocabulary
    depth: int
    settings: Settings

    def init(self, key: jax.Array) -> tuple[Tree, Tree]:
        """Parameters in the group `model`."""
        frames = jnp.zeros((1, 8, self.depth))
        return {"model": self.model.init(key, frames, jnp.full(1, 8, jnp.int32))["params"]}, {}

    def logits(self, params: Tree, batch: Batch, key: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
        """Scores [B, S, K] and how many frames of them count; with a key, as in training."""
        rngs = {} if key is None else {"dropout": key}
        variables = {"params": params["model"]}
        return self.model.apply(variables, batch["frames"], batch["frames_length"], train=key is not None, rngs=rngs)

    def loss(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Any:
        """The mean of -log p(text) over the utterances that can be aligned."""
        logits, frames = self.logits(params, batch, key)
        losses, counted = alignment_losses(logits, frames, batch)
        return mean(losses, counted), (variables, {"loss": mean(losses, counted)})

    def evaluate(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> tuple[Metrics, dict[str, jax.Array]]:
        """The loss, and what greedy decoding hears."""
        logits, frames = self.logits(params, batch)
        losses, counted = alignment_losses(logits, frames, batch)
        heard = ctc.greedy(logits, frames)
        return {"loss": mean(losses, counted)}, {"loss": losses, **heard_and_said(heard, batch)}

    def search(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> tuple[Metrics, dict[str, jax.Array]]:
        """What prefix beam search hears."""
        found = ctc.prefix_beam(*self.logits(params, batch), width=self.settings.beam)
        best = jax.tree.map(lambda x: x[:, 0], found)
        outputs = heard_and_said(best, batch)
        return {}, {f"{name}_beam": values for name, values in outputs.items()}

    def finish(self, sums: Any, outputs: Mapping[str, np.ndarray], suffix: str = "") -> dict[str, float]:
        """Error rates of the whole split."""
        said, heard = said_and_heard(outputs, self.vocabulary, suffix)
        rates = (character_error(said, heard), word_error(said, heard))
        return {**means(sums, outputs), **{f"{n}{suffix}": rate for n, rate in zip(ERRORS, rates, strict=True)}}

    def render(self, params: Tree, variables: Tree, evaluation: Evaluation, key: jax.Array) -> dict[str, Artifact]:
        """Utterances with their spectrograms and sounds, the worst mistakes, and the symbols over the frames."""
        said, heard = said_and_heard(evaluation.outputs, self.vocabulary)
        indices = chosen(len(said), SHOWN)
        batch = evaluation.examples(indices)
        shown = utterances(batch, [said[i] for i in indices], [heard[i] for i in indices])
        logits, frames = self.logits(params, {name: jnp.asarray(values) for name, values in batch.items()})
        text = batch["text"][0][: batch["text_length"][0]]
        shown["probabilities of symbols"] = symbol_curves(np.asarray(logits[0][: int(frames[0])]), text, self.vocabulary)
        return {**shown, "worst mistakes": worst(said, heard)}

    def check(self, split: str, source: Source) -> None:
        """Raises UserError where a transcript has more symbols than the network gives frames."""
        check_alignable(split, source, self.model.output_length)

    def task(self, optimizer: optax.GradientTransformation, steps: int) -> Task:
        """All of it together."""
        described = {"loss": LOWER, **dict.fromkeys(ERRORS, ERROR)}
        evaluators = {"transcribe": Evaluator(self.evaluate, described, self.finish)}
        if self.settings.beam:
            evaluators["search"] = searching(self.search, self.finish)
        objectives = {"align": Objective(self.loss, ("model",), optimizer)}
        return Task(self.init, objectives, (Phase(steps, ("align",)),), evaluators, self.render, self.check)


def alignment_losses(logits: jax.Array, frames: jax.Array, batch: Batch) -> tuple[jax.Array, jax.Array]:
    """The CTC loss of each row [B], and whether it counts: rows that are examples and can be aligned."""
    text, length = batch["text"], batch["text_length"]
    losses = ctc.losses(logits, frames, text, length)
    counted = ctc.alignable(frames, text, length)
    return losses, counted & batch["mask"] if "mask" in batch else counted


def heard_and_said(heard: ctc.Spelled, batch: Batch) -> dict[str, jax.Array]:
    """Outputs of an evaluator of which `said_and_heard` makes texts."""
    outputs = {"heard": heard.tokens, "heard_length": heard.length, "score": heard.score}
    return {**outputs, "said": batch["text"], "said_length": batch["text_length"]}


def said_and_heard(outputs: Mapping[str, np.ndarray], vocabulary: Vocabulary, suffix: str = "") -> tuple[list[str], list[str]]:
    """The transcripts of a split, and what was recognised."""
    said, heard = (
        texts(outputs[f"{name}{suffix}"], outputs[f"{name}_length{suffix}"], vocabulary) for name in ("said", "heard")
    )
    return said, heard


def searching(step: Any, finish: Any) -> Evaluator:
    """A search that is dear, at the end of a run; its metrics end in `_beam`."""
    described = {f"{name}_beam": ERROR for name in ERRORS}
    return Evaluator(step, described, lambda sums, outputs: finish(sums, outputs, "_beam"), every=0)


def check_alignable(split: str, source: Source, output_length: Any) -> None:
    """Raises UserError where a transcript of a split in memory has more symbols than the network gives frames."""
    if not isinstance(source, RaggedArrays):
        return
    text, frames = source.ragged["text"], source.ragged["frames"]
    places = np.arange(len(text))
    symbols, length = text.gather(places)
    needed = np.asarray(ctc.frames_needed(jnp.asarray(symbols), jnp.asarray(length)))
    there = output_length(np.minimum(frames.sizes, frames.lengths[-1]))
    short = np.flatnonzero(needed > there)
    if len(short):
        i = short[0]
        raise UserError(
            f"split {split!r}: {len(short):,} of {len(text):,} transcripts are too long for CTC; that of utterance {i} needs "
            f"{needed[i]} frames, and the network gives {there[i]}: let the model join fewer frames, or leave them out."
        )


def features_of(info: Info, what: str) -> tuple[int, Vocabulary]:
    """The depth of the frames and the vocabulary of the transcripts.

    Raises:
        UserError: the data are no utterances.
    """
    frames, text = info.features.get("frames"), info.features.get("text")
    if frames is None or text is None or text.vocabulary is None:
        raise UserError(
            f"{what} needs utterances with their transcripts, and the dataset {info.name} has {', '.join(info.shapes)}: take "
            "dataset.name='speech' with dataset.path."
        )
    return int(frames.shape[-1] or 0), text.vocabulary


def build(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """The task of a configuration.

    Raises:
        UserError: an unknown model or setting, data that are no utterances, or a negative beam.
    """
    settings: Settings = registry.read(Settings, "the task transcription", config.task)
    if settings.beam < 0:
        raise UserError(f"task.beam={settings.beam} must be 1 or more, or 0 for no beam search.")
    depth, vocabulary = features_of(resources.info, "transcription")
    model = models.build(config, num_classes=len(vocabulary) + 1)
    if not hasattr(model, "output_length") or hasattr(model, "decode"):
        raise UserError(f"the model {config.model.name!r} gives no symbols frame by frame: take 'deep_blstm'.")
    return Transcriber(model, vocabulary, depth, settings).task(optimizers.build(config.optimizer, steps), steps)


PUBLIC = {"transcription": build}
SETTINGS = {"transcription": Settings()._asdict()}
