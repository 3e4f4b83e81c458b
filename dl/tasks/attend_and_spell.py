"""Speech to text by attention (Chan et al. 2016), with CTC beside it (Kim, Hori & Watanabe 2017).

Batches hold `frames` [B, T, D] and `text` [B, U], each with its length. The loss of an utterance is, with l = `ctc`,

    l L_ctc + (1 - l) L_att,  L_att = -sum_u log p(y_u | y_<u, x), the end of the text among the y        2017, eqs. 7 and 11

Where a text has more symbols than the listener gives places there is no alignment, and its L_ctc is left out.

Metrics: `loss`; `attention_loss` of a symbol, in nats; `character_error` and `word_error` of greedy spelling; at the end of a
run those of a beam search whose texts are scored again by l log p_ctc + (1 - l) log p_att (2017, eq. 13, for whole texts).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int
from ml_collections import ConfigDict

from dl import registry
from dl.artifacts import Artifact, Matrix
from dl.dataset import Resources, Source
from dl.errors import UserError
from dl.evaluation import ctc
from dl.evaluation.decoding import Beam, Symbols, beam_search, greedy
from dl.evaluation.error_rates import character_error, word_error, worst
from dl.evaluation.utterance_artifacts import chosen, utterances
from dl.metric import ERROR, LOWER
from dl.models import build as models
from dl.task import Batch, Evaluation, Evaluator, Metrics, Objective, Phase, Task, Tree, mean, means, valid
from dl.tasks.transcription import (
    ERRORS,
    SHOWN,
    alignment_losses,
    check_alignable,
    features_of,
    heard_and_said,
    said_and_heard,
    searching,
)
from dl.training import optimizers
from dl.vocabulary import Vocabulary


class Settings(NamedTuple):
    """`config.task`.

    ctc: l, the weight of CTC in the loss and in the scores of the beam search, 0 to 1.
    smoothing: of the targets: this share of each is spread over all symbols (Szegedy et al. 2016).
    beam: texts that beam search keeps, at the end of the run; 0: no such search.
    """

    ctc: float = 0.0
    smoothing: float = 0.0
    beam: int = 0


def spelling_losses(
    scores: Float[Array, "b u k"], targets: Int[Array, "b u"], length: Int[Array, " b"], smoothing: float = 0.0
) -> tuple[Float[Array, " b"], Float[Array, " b"]]:
    """-log p(y | x) of each text, and of its smoothed targets; `length` symbols count, the end among them."""
    logp = jax.nn.log_softmax(scores)
    inside = valid(length, targets.shape[1])
    right = jnp.take_along_axis(logp, targets[:, :, None], axis=2)[:, :, 0]
    smoothed = (1 - smoothing) * right + smoothing * logp.mean(-1)
    return -jnp.where(inside, right, 0).sum(1), -jnp.where(inside, smoothed, 0).sum(1)


def with_ends(text: Int[Array, "b u"], length: Int[Array, " b"], end: int) -> tuple[Int[Array, "b v"], Int[Array, "b v"]]:
    """What the speller is given and what it is to say: the text after its start, and the text before its end."""
    places = jnp.arange(text.shape[1] + 1)
    given = jnp.pad(text, ((0, 0), (1, 0)), constant_values=end)
    targets = jnp.where(places == length[:, None], end, jnp.pad(text, ((0, 0), (0, 1))))
    return given, targets


@dataclass(frozen=True)
class Speller:
    """A network that listens, attends and spells."""

    model: Any
    vocabulary: Vocabulary
    depth: int
    settings: Settings

    @property
    def end(self) -> int:
        """The symbol that begins and ends a text."""
        return len(self.vocabulary)

    def init(self, key: jax.Array) -> tuple[Tree, Tree]:
        """Parameters in the group `model`."""
        frames, text = jnp.zeros((1, 16, self.depth)), jnp.zeros((1, 2), jnp.int32)
        return {"model": self.model.init(key, frames, jnp.full(1, 16, jnp.int32), text)["params"]}, {}

    def forward(self, params: Tree, batch: Batch, key: jax.Array | None = None) -> Any:
        """The targets, and what the model makes of the utterances and their texts; with a key, as in training."""
        given, targets = with_ends(batch["text"], batch["text_length"], self.end)
        rngs, variables = ({} if key is None else {"dropout": key}), {"params": params["model"]}
        frames = (batch["frames"], batch["frames_length"])
        return targets, self.model.apply(variables, *frames, given, train=key is not None, rngs=rngs)

    def measure(self, params: Tree, batch: Batch, key: jax.Array | None = None) -> tuple[jax.Array, Metrics, jax.Array]:
        """The loss of each utterance [B], the metrics, and which rows are examples."""
        targets, (scores, _, frames, places) = self.forward(params, batch, key)
        smoothing = self.settings.smoothing if key is not None else 0.0
        exact, losses = spelling_losses(scores, targets, batch["text_length"] + 1, smoothing)
        rows = batch.get("mask", jnp.ones(len(exact), bool))
        symbols = jnp.where(rows, batch["text_length"] + 1, 0).sum().astype(jnp.float32)
        metrics = {"attention_loss": (jnp.where(rows, exact, 0).sum(), symbols)}
        if self.settings.ctc:
            aligned, counted = alignment_losses(frames, places, batch)
            metrics["ctc_loss"] = mean(aligned, counted)
            losses = (1 - self.settings.ctc) * losses + self.settings.ctc * jnp.where(counted, aligned, 0)
        return losses, {**metrics, "loss": mean(losses, rows)}, rows

    def loss(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Any:
        """The mean over the utterances."""
        losses, metrics, rows = self.measure(params, batch, key)
        return mean(losses, rows), (variables, metrics)

    def start(self, params: Tree, batch: Batch) -> tuple[Any, Any, jax.Array, jax.Array]:
        """Memory and state of the speller, and the scores for CTC with their lengths."""
        variables, frames = {"params": params["model"]}, (batch["frames"], batch["frames_length"])
        found: Any = self.model.apply(variables, *frames, method="encode")
        return found

    def follow(self, params: Tree, memory: Tree, state: Tree, symbols: jax.Array) -> tuple[jax.Array, Tree, jax.Array]:
        """One symbol further: the `Step` of `dl.evaluation.decoding`."""
        variables = {"params": params["model"]}
        scores, state, weights = self.model.apply(variables, memory, state, symbols[:, None], method="decode")
        return jax.nn.log_softmax(scores[:, 0]), state, weights[:, 0]

    def symbols(self, places: int) -> Symbols:
        """Texts have at most as many symbols as the listener gives places, and an end."""
        return Symbols(self.end, self.end, places + 1)

    def evaluate(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> tuple[Metrics, dict[str, jax.Array]]:
        """The losses, and what greedy spelling hears."""
        losses, metrics, _ = self.measure(params, batch)
        memory, state, frames, _ = self.start(params, batch)
        tokens, length = greedy(self.follow, params, memory, state, self.symbols(frames.shape[1]))
        heard = ctc.Spelled(tokens, self.without_end(tokens, length), -losses)
        return metrics, {"loss": losses, **heard_and_said(heard, batch)}

    def without_end(self, tokens: Int[Array, "... u"], length: Int[Array, "..."]) -> Int[Array, "..."]:
        """How many symbols a text has, its end not counted."""
        last = jnp.take_along_axis(tokens, jnp.maximum(length - 1, 0)[..., None], axis=-1)[..., 0]
        return length - ((last == self.end) & (length > 0))

    def search(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> tuple[Metrics, dict[str, jax.Array]]:
        """What beam search hears, its texts scored again together with CTC."""
        memory, state, frames, places = self.start(params, batch)
        beam, weight = Beam(self.settings.beam, best=self.settings.beam), self.settings.ctc
        found = beam_search(self.follow, params, memory, state, self.symbols(frames.shape[1]), beam)
        length = self.without_end(found.symbols, found.length)
        score = jnp.where(jnp.isfinite(found.score), found.score, ctc.NEVER)
        if weight:
            again = jax.vmap(ctc.losses, (None, None, 1, 1), 1)(frames, places, found.symbols % self.end, length)
            score = jnp.where(score > ctc.NEVER, (1 - weight) * found.log_probability - weight * again, ctc.NEVER)
        best = score.argmax(1)[:, None]
        tokens = jnp.take_along_axis(found.symbols, best[:, :, None], axis=1)[:, 0]
        heard = ctc.Spelled(tokens, jnp.take_along_axis(length, best, 1)[:, 0], jnp.take_along_axis(score, best, 1)[:, 0])
        return {}, {f"{name}_beam": values for name, values in heard_and_said(heard, batch).items()}

    def finish(self, sums: Any, outputs: Mapping[str, np.ndarray], suffix: str = "") -> dict[str, float]:
        """Error rates of the whole split."""
        said, heard = said_and_heard(outputs, self.vocabulary, suffix)
        rates = (character_error(said, heard), word_error(said, heard))
        return {**means(sums, outputs), **{f"{n}{suffix}": rate for n, rate in zip(ERRORS, rates, strict=True)}}

    def render(self, params: Tree, variables: Tree, evaluation: Evaluation, key: jax.Array) -> dict[str, Artifact]:
        """Utterances with their spectrograms and sounds, the worst mistakes, and where the speller attends."""
        said, heard = said_and_heard(evaluation.outputs, self.vocabulary)
        indices = chosen(len(said), SHOWN)
        batch = evaluation.examples(indices)
        shown = utterances(batch, [said[i] for i in indices], [heard[i] for i in indices])
        _, (_, weights, _, places) = self.forward(params, {name: jnp.asarray(values) for name, values in batch.items()})
        text = batch["text"][0][: batch["text_length"][0]]
        names = [*(self.vocabulary.names[i] for i in text), "end"]
        seen = np.asarray(weights[0, : len(names), : int(places[0])])
        columns = [str(place) for place in range(seen.shape[1])]
        shown["attention"] = Matrix(seen, names, columns, "symbol", "place of the listener")
        return {**shown, "worst mistakes": worst(said, heard)}

    def check(self, split: str, source: Source) -> None:
        """Raises UserError where CTC is asked for and a transcript has more symbols than the listener gives places."""
        if self.settings.ctc:
            check_alignable(split, source, self.model.output_length)

    def task(self, optimizer: optax.GradientTransformation, steps: int) -> Task:
        """All of it together."""
        described = {**dict.fromkeys(("loss", "attention_loss", "ctc_loss"), LOWER), **dict.fromkeys(ERRORS, ERROR)}
        if not self.settings.ctc:
            del described["ctc_loss"]
        evaluators = {"transcribe": Evaluator(self.evaluate, described, self.finish)}
        if self.settings.beam:
            evaluators["search"] = searching(self.search, self.finish)
        objectives = {"spell": Objective(self.loss, ("model",), optimizer)}
        return Task(self.init, objectives, (Phase(steps, ("spell",)),), evaluators, self.render, self.check)


def build(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """The task of a configuration.

    Raises:
        UserError: an unknown model or setting, data that are no utterances, or a number out of range.
    """
    settings: Settings = registry.read(Settings, "the task attend_and_spell", config.task)
    if settings.beam < 0 or not 0 <= settings.ctc <= 1 or not 0 <= settings.smoothing < 1:
        raise UserError(
            f"task.beam={settings.beam} must not be negative, task.ctc={settings.ctc:g} lie in 0..1, and "
            f"task.smoothing={settings.smoothing:g} be at least 0 and below 1."
        )
    depth, vocabulary = features_of(resources.info, "attend_and_spell")
    model = models.build(config, num_classes=len(vocabulary) + 1)
    if not hasattr(model, "decode") or not hasattr(model, "output_length"):
        raise UserError(f"the model {config.model.name!r} does not spell: take 'listen_attend_spell'.")
    return Speller(model, vocabulary, depth, settings).task(optimizers.build(config.optimizer, steps), steps)


PUBLIC = {"attend_and_spell": build}
SETTINGS = {"attend_and_spell": Settings()._asdict()}
