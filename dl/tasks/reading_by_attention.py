"""Reading words in images by attention: a speller that looks at the columns of an image, symbol by symbol.

After Lee & Osindero 2016 (section 3.2, recursive recurrent nets with attention modelling) and Shi et al. 2016 (RARE, section
3.2). Batches are those of `dl.tasks.reading`. The loss of a word is -sum_u log p(y_u | y_<u, image), its end among the y (Shi
et al. 2016, eq. 9), and the metrics are those of reading by CTC, with a beam search over texts at the end.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from dl.artifacts import Artifact, Matrix
from dl.dataset import Resources, Source
from dl.errors import UserError
from dl.evaluation import ctc
from dl.evaluation.decoding import Beam, Symbols, beam_search, greedy
from dl.models import build as models
from dl.task import Batch, Measurement, Outcome, Task, Tree, mean
from dl.tasks.attend_and_spell import spelling_losses, with_ends
from dl.tasks.reading import Reader, Settings, read_settings, together, words_of
from dl.tasks.transcription import heard_and_said
from dl.training import optimizers


@dataclass(frozen=True)
class AttentiveReader(Reader):
    """A network that encodes an image and spells; its parameters are the group `model`."""

    @property
    def end(self) -> int:
        """The symbol that begins and ends a word."""
        return len(self.vocabulary)

    def init(self, key: jax.Array) -> tuple[Tree, Tree]:
        """Parameters, and running statistics."""
        variables = dict(self.model.init(key, jnp.zeros((1, *self.shape)), jnp.zeros((1, 2), jnp.int32)))
        return {"model": variables.pop("params")}, variables

    def losses(
        self, params: Tree, variables: Tree, batch: Batch, key: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array, Tree]:
        """The loss of each word [B], the weights of the attention [B, U, T], and the variables afterwards."""
        given, targets = with_ends(batch["text"], batch["text_length"], self.end)
        (scores, weights), variables = self.apply(params, variables, batch["image"], given, key=key)
        return spelling_losses(scores, targets, batch["text_length"] + 1)[0], weights, variables

    def loss(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Outcome:
        """The mean over the words."""
        losses, _, variables = self.losses(params, variables, together(batch, self.settings.rendered), key)
        return mean(losses), (variables, {"loss": mean(losses)})

    def start(self, params: Tree, variables: Tree, images: jax.Array) -> tuple[Tree, Tree]:
        """What the speller attends to, and its state before the first symbol."""
        memory, state = self.model.apply({"params": params["model"], **variables}, images, method="encode")
        return memory, state

    def follow(self, params: Tree, memory: Tree, state: Tree, symbols: jax.Array) -> tuple[jax.Array, Tree, jax.Array]:
        """One symbol further: the `Step` of `dl.evaluation.decoding`."""
        scores, state, weights = self.model.apply({"params": params["model"]}, memory, state, symbols[:, None], method="decode")
        return jax.nn.log_softmax(scores[:, 0]), state, weights[:, 0]

    def without_end(self, tokens: jax.Array, length: jax.Array) -> jax.Array:
        """How many symbols words have, their ends not counted."""
        last = jnp.take_along_axis(tokens, jnp.maximum(length - 1, 0)[..., None], axis=-1)[..., 0]
        return length - ((last == self.end) & (length > 0))

    def evaluate(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Measurement:
        """The loss, and what greedy spelling reads."""
        losses, _, _ = self.losses(params, variables, batch)
        memory, state = self.start(params, variables, batch["image"])
        symbols = Symbols(self.end, self.end, batch["text"].shape[1] + 1)
        tokens, length = greedy(self.follow, params, memory, state, symbols)
        found = ctc.Spelled(tokens, self.without_end(tokens, length), -losses)
        return {"loss": mean(losses, batch["mask"])}, {"loss": losses, **heard_and_said(found, batch)}

    def search(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Measurement:
        """What beam search reads."""
        memory, state = self.start(params, variables, batch["image"])
        symbols = Symbols(self.end, self.end, batch["text"].shape[1] + 1)
        found = beam_search(self.follow, params, memory, state, symbols, Beam(self.settings.beam))
        tokens, score = found.symbols[:, 0], jnp.where(jnp.isfinite(found.score[:, 0]), found.score[:, 0], ctc.NEVER)
        best = ctc.Spelled(tokens, self.without_end(tokens, found.length[:, 0]), score)
        return {}, {f"{name}_beam": values for name, values in heard_and_said(best, batch).items()}

    def explain(self, params: Tree, variables: Tree, batch: Batch) -> dict[str, Artifact]:
        """At which columns the speller looked for each symbol of the first word."""
        _, weights, _ = self.losses(params, variables, batch)
        text = np.asarray(batch["text"][0][: int(batch["text_length"][0])])
        names = [*(self.vocabulary.names[i] for i in text), "end"]
        seen = np.asarray(weights[0, : len(names)])
        return {"attention": Matrix(seen, names, [str(i) for i in range(seen.shape[1])], "symbol", "column")}

    def check(self, split: str, source: Source) -> None:
        """Nothing: a word may have more symbols than the image has columns."""


def build(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """The task of a configuration.

    Raises:
        UserError: an unknown model or setting, data that are no images of words, or a number out of range.
    """
    settings: Settings = read_settings(Settings, "the task reading_by_attention", config)
    shape, vocabulary = words_of(resources.info, "reading_by_attention")
    model = models.build(config, num_classes=len(vocabulary) + 1)
    if not hasattr(model, "decode"):
        raise UserError(f"the model {config.model.name!r} does not spell: take 'crnn_attention'.")
    reader = AttentiveReader(model, vocabulary, shape, settings)
    return reader.task(optimizers.build(config.optimizer, steps), steps)


PUBLIC = {"reading_by_attention": build}
SETTINGS = {"reading_by_attention": Settings()._asdict()}
