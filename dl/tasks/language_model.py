"""Language model: the next symbol of a text from all before it, by truncated backpropagation through time.

Training batches hold `tokens` [B, T + 1], the window of each row of the text and the symbol after it, `row` [B] and `reset`
[B] (`dl.data.batches.windows`). The state of the recurrence after one window is where the next begins: it lies in
`variables["carry"]`, a row of it for each row of the text, and no gradient passes through it.
"""

import itertools
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int
from ml_collections import ConfigDict

from dl import registry
from dl.artifacts import Artifact, Curves, Table, Text
from dl.dataset import Resources
from dl.errors import UserError
from dl.evaluation import gradient_flow
from dl.evaluation.sampling import continue_text
from dl.metric import LOWER
from dl.models import build as models
from dl.models.recurrent_lm import RecurrentLM
from dl.task import Batch, Evaluation, Evaluator, Measurement, Objective, Outcome, Phase, Task, Tree, mean, means
from dl.training import optimizers
from dl.vocabulary import Vocabulary

NAT = 1 / np.log(2)  # bits in a nat
CHUNK = 128  # predictions whose logits are kept at a time in evaluation
SAMPLES, SAMPLE_LENGTH, SAMPLE_TEMPERATURE = 3, 400, 0.8
FLOW_STEPS, FLOW_WIDTH = 100, 32  # of the gradient plots


class Settings(NamedTuple):
    """`config.task`.

    summed: whether the loss is summed over a window and averaged over the rows (Zaremba, Sutskever & Vinyals 2014), so that
        gradients are as many times larger as a window has symbols; otherwise it is averaged over both.
    compare_cells: whether the report shows how far the gradient reaches through each kind of cell before training.
    """

    summed: bool = False
    compare_cells: bool = False


def symbol_losses(logits: Float[Array, "b t v"], targets: Int[Array, "b t"]) -> Float[Array, "b t"]:
    """-log softmax(logits)[target], in nats."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, targets)


def pick_rows(carry: Tree, row: Int[Array, " b"]) -> Tree:
    """The states of some rows of the text; all of them, in order, where there are as many as rows (no microbatches)."""
    return jax.tree.map(lambda s: s if len(s) == len(row) else s[row], carry)


def put_rows(carry: Tree, row: Int[Array, " b"], new: Tree) -> Tree:
    """The states of the whole text with those of some rows replaced."""
    return jax.tree.map(lambda s, n: n if len(s) == len(row) else s.at[row].set(n), carry, new)


@dataclass(frozen=True)
class LanguageModel:
    """A language model, whose parameters are the group `model`.

    model: tokens and carry -> logits and carry.
    vocabulary: symbols of the text.
    batch_size: number of rows of the text.
    settings: the loss and the report.
    """

    model: RecurrentLM
    vocabulary: Vocabulary
    batch_size: int
    settings: Settings

    def init(self, key: jax.Array) -> tuple[Tree, Tree]:
        """Parameters, and the state of the recurrence before the text."""
        return {"model": self.model.start(key)}, {"carry": self.model.initial_carry(self.batch_size)}

    def predict(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Outcome:
        """The loss of a window of each row, which goes on from the state after the window before."""
        tokens = batch["tokens"].astype(jnp.int32)
        carry = pick_rows(variables["carry"], batch["row"])
        carry = jax.tree.map(lambda s: jnp.where(batch["reset"][:, None], 0, s), carry)
        logits, new = self.model.apply({"params": params["model"]}, tokens[:, :-1], carry, True, rngs={"dropout": key})
        losses = symbol_losses(logits, tokens[:, 1:])
        value = (losses.sum(), jnp.float32(len(losses))) if self.settings.summed else mean(losses)
        carry = put_rows(variables["carry"], batch["row"], jax.lax.stop_gradient(new))
        return value, ({**variables, "carry": carry}, {"loss": mean(losses), "bits": mean(losses * NAT)})

    def evaluate(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Measurement:
        """The loss of each symbol, given all before it in its row."""
        losses = row_losses(self.model, params["model"], batch["tokens"].astype(jnp.int32))
        times = jnp.arange(losses.shape[1])
        counted = (times >= batch["first"][:, None]) & (times < batch["end"][:, None]) & batch["mask"][:, None]
        metrics = {"loss": mean(losses, counted), "bits": mean(losses * NAT, counted)}
        return metrics, {"loss": losses, "counted": counted, "tokens": batch["tokens"]}

    def finish(self, sums: Any, outputs: Any) -> dict[str, float]:
        """The means, and the perplexity exp(mean loss)."""
        perplexity = float(np.exp(outputs["loss"][outputs["counted"]].astype(np.float64).mean()))
        return {**means(sums, outputs), "perplexity": perplexity}

    def render(self, params: Tree, variables: Tree, evaluation: Evaluation, key: jax.Array) -> dict[str, Artifact]:
        """See `artifacts`."""
        return artifacts(self.model, self.vocabulary, params["model"], evaluation, key, self.settings.compare_cells)

    def task(self, optimizer: optax.GradientTransformation, steps: int) -> Task:
        """The task: so many `steps` of the `optimizer`."""
        objectives = {"predict": Objective(self.predict, ("model",), optimizer)}
        described = {"loss": LOWER, "bits": LOWER, "perplexity": LOWER}
        evaluators = {"likelihood": Evaluator(self.evaluate, described, self.finish)}
        return Task(self.init, objectives, (Phase(steps, ("predict",)),), evaluators, self.render)


def row_losses(model: RecurrentLM, params: Tree, tokens: Int[Array, "b t"]) -> Float[Array, "b u"]:
    """The loss of each prediction of some rows, `tokens[:, 1:]`, the state carried through the whole row; u = t - 1."""
    rows, length = tokens.shape[0], tokens.shape[1] - 1
    chunk = min(CHUNK, length)
    count = -(-length // chunk)
    padded = jnp.pad(tokens, ((0, 0), (0, count * chunk - length)))

    def part(carry: Tree, start: Array) -> Any:
        window = jax.lax.dynamic_slice_in_dim(padded, start, chunk + 1, axis=1)
        logits, carry = model.apply({"params": params}, window[:, :-1], carry)
        return carry, symbol_losses(logits, window[:, 1:])

    _, losses = jax.lax.scan(part, model.initial_carry(rows), jnp.arange(count) * chunk)
    return losses.swapaxes(0, 1).reshape(rows, -1)[:, :length]


def sample(
    model: RecurrentLM,
    params: Tree,
    prompt: np.ndarray,
    key: jax.Array,
    samples: int,
    length: int,
    temperature: float,
    top_k: int,
) -> np.ndarray:
    """`length` symbols after the prompt [P], `samples` times: int32 [samples, length]. Sample n depends on the key and n
    alone.
    """

    def advance(params: Tree, tokens: Array, carry: Tree) -> Any:
        return model.apply({"params": params}, tokens, carry)

    prompts = jnp.tile(jnp.asarray(prompt, jnp.int32), (samples, 1))
    keys = jax.vmap(lambda n: jax.random.fold_in(key, n))(jnp.arange(samples))
    state, heat = model.initial_carry(samples), jnp.float32(temperature)
    return np.asarray(continue_text(advance, params, state, prompts, keys, length, heat, top_k))


def artifacts(
    model: RecurrentLM, vocabulary: Vocabulary, params: Tree, evaluation: Evaluation, key: jax.Array, compare_cells: bool
) -> dict[str, Artifact]:
    """Samples, the loss by the place in a row and by symbol, and how far back the gradient reaches, here and in other cells."""
    length = SAMPLE_LENGTH if not vocabulary.words else SAMPLE_LENGTH // 4
    start = np.array([vocabulary.start])
    texts = sample(model, params, start, key, SAMPLES, length, SAMPLE_TEMPERATURE, 0)
    shown: dict[str, Artifact] = {
        f"sample {n}, temperature {SAMPLE_TEMPERATURE}": Text(vocabulary.decode(text)) for n, text in enumerate(texts, 1)
    }
    loss, counted = evaluation.outputs["loss"], evaluation.outputs["counted"]
    shown["loss by place"] = loss_by_place(loss, counted)
    shown["symbols"] = loss_by_symbol(loss, counted, evaluation.outputs["tokens"][:, 1:], vocabulary)
    tokens = evaluation.outputs["tokens"]
    distances = {"after training": reach(model, params, tokens)}
    if compare_cells:
        distances["before"] = reach(model, jax.jit(model.start)(key), tokens)
    shown["gradient of the last prediction"] = gradient_flow.curves(distances)
    if compare_cells:
        shown["gradient through each cell before training"] = gradient_flow.curves(
            gradient_flow.of_all_cells(FLOW_WIDTH, FLOW_STEPS, key)
        )
    return shown


def loss_by_place(loss: np.ndarray, counted: np.ndarray) -> Curves:
    """Mean loss of the predictions number 2^n to 2^(n + 1) - 1 of the rows, against n: what the state's past is worth."""
    edges = [e for e in 2 ** np.arange(32) if e <= loss.shape[1]] + [loss.shape[1] + 1]
    parts = [slice(a - 1, b - 1) for a, b in itertools.pairwise(edges)]
    means = [(n, loss[:, p][counted[:, p]].mean()) for n, p in enumerate(parts) if counted[:, p].any()]
    x, y = np.array(means).T
    return Curves({"loss": (x, y)}, "log2 of the place in the row", "nats")


def loss_by_symbol(loss: np.ndarray, counted: np.ndarray, symbols: np.ndarray, vocabulary: Vocabulary, most: int = 40) -> Table:
    """The symbols that cost most in all: how often they come, their mean loss, and their share of the whole loss."""
    symbols, loss = symbols[counted].astype(np.int64), loss[counted].astype(np.float64)
    count, total = np.bincount(symbols, minlength=len(vocabulary)), np.bincount(symbols, loss, minlength=len(vocabulary))
    order = np.argsort(-total, kind="stable")[:most]
    rows = [
        (repr(vocabulary.names[s]), int(count[s]), round(total[s] / count[s], 3), f"{total[s] / loss.sum():.1%}")
        for s in order
        if count[s]
    ]
    return Table(("symbol", "count", "nats each", "share of the loss"), rows)


def reach(model: RecurrentLM, params: Tree, tokens: np.ndarray) -> np.ndarray:
    """The gradient of the last prediction's loss with respect to the embedded symbols, by distance, over pieces of the first
    row.
    """
    steps = min(FLOW_STEPS, tokens.shape[1] - 1)
    pieces = min((tokens.shape[1] - 1) // steps, 16)
    windows = np.stack([tokens[0, p * steps : (p + 1) * steps + 1] for p in range(pieces)]).astype(np.int32)
    width = model.embedding or model.hidden
    return np.asarray(_reach(model, params, jnp.zeros((pieces, steps, width)), windows))


@partial(jax.jit, static_argnums=0)
def _reach(model: RecurrentLM, params: Tree, nothing: Array, windows: Array) -> Array:
    def last_loss(added: Array) -> Array:
        given = {"params": params, "perturbations": {"embedded": added}}
        return symbol_losses(model.apply(given, windows[:, :-1])[0][:, -1:], windows[:, -1:]).sum()

    return gradient_flow.norms_by_distance(jax.grad(last_loss)(nothing))


def build(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """The task of a configuration; `config.task` holds what `Settings` lists.

    Raises:
        UserError: an unknown model or setting, or data that are no text.
    """
    info = resources.info
    vocabulary = info.features["token"].vocabulary if "token" in info.features else None
    if vocabulary is None or config.dataset.batches != "windows":
        raise UserError(
            f"a language model needs a text in windows: the dataset {info.name} has {', '.join(info.shapes)}, and "
            f"dataset.batches is {config.dataset.batches!r}; take a dataset such as 'text', and dataset.batches='windows'."
        )
    settings = registry.read(Settings, "the task language_model", config.task)
    model = models.build(config, num_classes=len(vocabulary))
    return LanguageModel(model, vocabulary, config.batch_size, settings).task(optimizers.build(config.optimizer, steps), steps)


PUBLIC = {"language_model": build}
SETTINGS = {"language_model": Settings()._asdict()}
