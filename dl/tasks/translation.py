"""Translation: the sentences of one language in another (Sutskever et al. 2014; Bahdanau et al. 2015; Luong et al. 2015).

Batches hold `source` [B, S] and `target` [B, T + 1], symbols, with `source_length` and `target_length` [B]; a source ends with
`</s>`, a target begins with `<s>` and ends with `</s>`; `reference` [B, R] is the target as it is written, UTF-8.

In training the decoder is given the reference's symbols ("teacher forcing"). A translation is found by beam search
(`dl.evaluation.decoding`) and compared with the reference by sacreBLEU, both as they are written: cased, detokenised.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from ml_collections import ConfigDict

from dl import registry
from dl.artifacts import Artifact, Curves, Matrix, Table
from dl.data.sentences import Sentences
from dl.dataset import Resources
from dl.errors import UserError
from dl.evaluation.decoding import Beam, Found, Symbols, beam_search
from dl.evaluation.translation_metrics import bleu_by_length, quality, signatures
from dl.metric import LOWER, Metric
from dl.models import build as models
from dl.task import Batch, Evaluation, Evaluator, Objective, Phase, Task, Tree, mean, means, valid
from dl.training import optimizers
from dl.vocabulary import PAD, RARE, START

SHOWN, MAPS = 12, 4  # sentences in the report
LENGTHS = (1, 8, 11, 14, 17, 20, 25, 30, 40, 60, 100)  # of the plot of BLEU by the length of the source, in words


class Settings(NamedTuple):
    """What `config.task` may hold.

    smoothing: of the labels (Szegedy et al. 2016, section 7). beam: sequences that are kept. alpha, coverage: of their scores
    (`dl.evaluation.decoding.Beam`). longest: symbols of a translation; 0 is twice as many as the source may have, and 10 more.
    score_every: at every so many evaluations BLEU is measured; 0 is only at the end.
    """

    smoothing: float = 0.0
    beam: int = 5
    alpha: float = 0.6
    coverage: float = 0.0
    longest: int = 0
    score_every: int = 0


def symbol_losses(scores: Float[Array, "b t v"], targets: Int[Array, "b t"], smoothing: float = 0.0) -> Float[Array, "b t"]:
    """-log softmax(scores)[target], in nats; smoothed, -(1 - e) log p[target] - e mean(log p)."""
    normaliser = jax.nn.logsumexp(scores, axis=-1)
    own = jnp.take_along_axis(scores, targets[:, :, None], axis=-1)[:, :, 0]
    if smoothing:
        own = (1 - smoothing) * own + smoothing * scores.mean(-1)
    return normaliser - own


@dataclass(frozen=True)
class Translation:
    """A translator that learns. `model` has `encode`, `decode` and both in one call (`dl.models.bahdanau`)."""

    model: Any
    source: Sentences
    target: Sentences
    settings: Settings

    def init(self, key: jax.Array) -> tuple[Tree, Tree]:
        """Parameters of the group `model`; no variables."""
        sentence, length = jnp.zeros((1, 2), jnp.int32), jnp.full(1, 2, jnp.int32)
        return {"model": self.model.init(key, sentence, length, sentence)["params"]}, {}

    def forced(self, params: Tree, batch: Batch, key: jax.Array | None) -> tuple[Array, Array, Array]:
        """Scores of the target's symbols after the first [B, T, V], the weights of the attention, and which symbols count."""
        symbols = batch["target"].astype(jnp.int32)
        given = batch["source"].astype(jnp.int32), batch["source_length"], symbols[:, :-1]
        rngs = {} if key is None else {"dropout": key}
        scores, weights = self.model.apply({"params": params["model"]}, *given, key is not None, rngs=rngs)
        counted = valid(batch["target_length"] - 1, symbols.shape[1] - 1)
        return scores, weights, counted & batch["mask"][:, None] if "mask" in batch else counted

    def loss(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Any:
        """The mean over the symbols of the targets."""
        scores, _, counted = self.forced(params, batch, key)
        targets = batch["target"][:, 1:].astype(jnp.int32)
        plain = symbol_losses(scores, targets)
        losses = symbol_losses(scores, targets, self.settings.smoothing) if self.settings.smoothing else plain
        return mean(losses, counted), (variables, {"loss": mean(plain, counted)})

    def evaluate(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> tuple[Any, dict[str, Array]]:
        """The loss of the references, without smoothing."""
        scores, _, counted = self.forced(params, batch, None)
        losses = symbol_losses(scores, batch["target"][:, 1:].astype(jnp.int32))
        wrong = scores.argmax(-1) != batch["target"][:, 1:]
        return {"loss": mean(losses, counted), "symbol_error": mean(wrong, counted)}, {
            "sentence_loss": jnp.where(counted, losses, 0).sum(-1)
        }

    def translate(self, params: Tree, source: Array, length: Array, beam: Beam) -> Found:
        """The best translations of sentences [B, S]."""
        memory, state = self.model.apply({"params": params["model"]}, source.astype(jnp.int32), length, method="encode")
        never = tuple(self.target.numbers[name] for name in (PAD, START, RARE))
        symbols = Symbols(self.target.start, self.target.stop, self.settings.longest or 2 * source.shape[1] + 10, never)
        places = valid(length, source.shape[1]).astype(jnp.float32)
        return beam_search(self.step, params["model"], memory, state, symbols, beam, places if beam.coverage else None)

    def step(self, params: Tree, memory: Tree, state: Tree, symbols: Array) -> tuple[Array, Tree, Array]:
        """One symbol more: a step of `dl.evaluation.decoding`."""
        scores, state, weights = self.model.apply({"params": params}, memory, state, symbols[:, None], method="decode")
        return jax.nn.log_softmax(scores[:, 0]), state, weights[:, 0]

    @property
    def beam(self) -> Beam:
        """That of the evaluation."""
        return Beam(self.settings.beam, self.settings.alpha, self.settings.coverage)

    def score(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> tuple[Any, dict[str, Array]]:
        """Translations for `finish`, beside what they are compared with."""
        found = self.translate(params, batch["source"], batch["source_length"], self.beam)
        ended = found.score[:, 0] > -jnp.inf
        kept = {name: batch[name] for name in ("source", "source_length", "target", "reference") if name in batch}
        return {"ended": mean(ended, batch["mask"])}, {"translation": found.symbols[:, 0], **kept}

    def finish_loss(self, sums: Any, outputs: Any) -> dict[str, float]:
        """The means, and the perplexity of a symbol."""
        found = means(sums, outputs)
        return {**found, "perplexity": float(np.exp(found["loss"]))}

    def finish_score(self, sums: Any, outputs: Any) -> dict[str, float]:
        """BLEU and chrF of the whole split."""
        return quality(*self.sentences(outputs))._asdict()

    def sentences(self, outputs: Any) -> tuple[list[str], list[str]]:
        """Translations and references as they are written."""
        made = [self.target.decode(row) for row in outputs["translation"]]
        if "reference" in outputs:
            return made, [bytes(row).rstrip(b"\0").decode(errors="ignore") for row in outputs["reference"]]
        return made, [self.target.decode(row[1:]) for row in outputs["target"]]

    def render(self, params: Tree, variables: Tree, evaluation: Evaluation, key: jax.Array) -> dict[str, Artifact]:
        """Translations beside their references, BLEU by the length of the source, and where the attention goes."""
        outputs = evaluation.outputs
        made, references = self.sentences(outputs)
        sources = [self.source.decode(row) for row in outputs["source"]]
        rows = [(sources[i], references[i], made[i]) for i in range(min(SHOWN, len(made)))]
        shown: dict[str, Artifact] = {"translations": Table(("source", "reference", "translation"), rows)}
        words = np.array([len(sentence.split()) for sentence in sources])
        length, bleu = bleu_by_length(made, references, words, LENGTHS)
        if len(length):
            shown["BLEU by length"] = Curves({"BLEU": (length, bleu)}, "words of the source", "BLEU")
        return shown | self.alignments(params, outputs["source"][:MAPS], outputs["source_length"][:MAPS], made[:MAPS])

    def alignments(self, params: Tree, source: np.ndarray, length: np.ndarray, made: list[str]) -> dict[str, Artifact]:
        """For each sentence a map: how much each symbol of its translation (rows) attends to each of the source (columns)."""
        numbers = [np.concatenate([[self.target.start], self.target.encode(text), [self.target.stop]]) for text in made]
        symbols = np.zeros((len(made), max(map(len, numbers))), np.int32)
        for row, given in zip(symbols, numbers, strict=True):
            row[: len(given)] = given
        apply = jax.jit(lambda p, s, n, t: self.model.apply({"params": p}, s, n, t)[1])
        weights = np.asarray(apply(params["model"], jnp.asarray(source, jnp.int32), jnp.asarray(length), symbols[:, :-1]))
        if not weights.shape[-1]:
            return {}
        shown: dict[str, Artifact] = {}
        for n, given in enumerate(numbers):
            rows = [self.target.names[i] for i in given[1:]]
            columns = [self.source.names[i] for i in source[n, : length[n]]]
            values = weights[n, : len(rows), : len(columns)].round(2)
            shown[f"attention {n + 1}"] = Matrix(values, rows, columns, "translation", "source")
        return shown

    def task(self, optimizer: Any, steps: int) -> Task:
        """The engine's."""
        how = signatures()
        bleu = {name: Metric("higher", format=".2f", how=getattr(how, name)) for name in how._fields}
        evaluators = {
            "likelihood": Evaluator(
                self.evaluate, {"loss": LOWER, "symbol_error": LOWER, "perplexity": LOWER}, self.finish_loss
            ),
            "quality": Evaluator(self.score, bleu, self.finish_score, self.settings.score_every),
        }
        objectives = {"translate": Objective(self.loss, ("model",), optimizer)}
        return Task(self.init, objectives, (Phase(steps, ("translate",)),), evaluators, self.render)


def build(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """The task of a configuration; `config.task` is read as `Settings`.

    Raises:
        UserError: an unknown model or setting, a beam of 0, or data that are no pairs of sentences.
    """
    learner = learner_of(config, resources)
    return learner.task(optimizers.build(config.optimizer, steps), steps)


def learner_of(config: ConfigDict, resources: Resources) -> Translation:
    """What learns, and translates; also for programs that use a trained one.

    Raises:
        UserError: as `build`.
    """
    settings = registry.read(Settings, "the task translation", config.task)
    Beam(settings.beam, settings.alpha, settings.coverage).check()
    if not 0 <= settings.smoothing < 1 or settings.longest < 0 or settings.score_every < 0:
        raise UserError("task.smoothing must be at least 0 and below 1, task.longest and task.score_every not negative.")
    features = resources.info.features
    vocabularies = [features[name].vocabulary if name in features else None for name in ("source", "target")]
    source, target = vocabularies
    if not isinstance(source, Sentences) or not isinstance(target, Sentences):
        raise UserError(
            f"translation needs pairs of sentences, and the dataset {resources.info.name} has {', '.join(features)}: take "
            "'parallel_text', 'multi30k' or 'phrases'."
        )
    model = models.build(config, symbols=(len(source), len(target)))
    return Translation(model, source, target, settings)


PUBLIC = {"translation": build}
SETTINGS = {"translation": Settings()._asdict()}
