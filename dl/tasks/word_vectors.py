"""Word vectors from the words around them: skip-gram and continuous bag of words (word2vec).

    architecture  what is predicted                      from
    skip_gram     each word of a window                  the word in its middle        v = v_w
    cbow          the word in the middle of a window     the mean of those around it   v = mean of v_w
                  (Mikolov, Chen, Corrado & Dean 2013, sections 3.1 and 3.2)

    loss                   of the word o predicted from v
    negative_sampling      -log s(v'_o . v) - sum of k words i of noise: log s(-v'_i . v)
    hierarchical_softmax   -sum over the nodes n on the way to o: log s(+-v'_n . v)
                  (Mikolov, Sutskever, Chen, Corrado & Dean 2013, equations 4 and 3; s is the logistic function)

Batches hold `tokens`, `left`, `right` [B, C] and `noise` [B, C / P, S] (`dl.data.batches.contexts`): a row is cut into blocks
of P words. What stands beside the words of a block is within `window` words of it, its span, so all products of a block are
one product of matrices, of which those inside the windows count. The S words of noise of a block are for all of its words, each
standing for k / S of those that a pair would draw.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, Integer, Shaped
from ml_collections import ConfigDict

from dl import registry
from dl.data.batches.contexts import read_settings
from dl.data.word_similarity import Benchmarks, benchmarks
from dl.dataset import Resources
from dl.errors import UserError, unknown
from dl.evaluation import word_vector_measures as measures
from dl.evaluation.huffman import Tree, huffman
from dl.models import build as models
from dl.models.word_vectors import WordVectors
from dl.task import Batch, Objective, Pair, Phase, Task
from dl.task import Tree as Parameters
from dl.training import optimizers
from dl.vocabulary import Vocabulary

ARCHITECTURES = ("skip_gram", "cbow")
LOSSES = ("negative_sampling", "hierarchical_softmax")


class Settings(NamedTuple):
    """`config.task`.

    architecture, loss: see the module. negatives: k. benchmarks: names of `dl.data.word_similarity`.
    shown: words whose neighbours the report shows; (): frequent ones. mapped: how many words are on the report's map.
    """

    architecture: str = "skip_gram"
    loss: str = "negative_sampling"
    negatives: int = 5
    benchmarks: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    mapped: int = 300


def blocks(values: Shaped[Array, "b c *d"], size: int) -> Shaped[Array, "b n p *d"]:
    """Rows of C words as n blocks of `size` words."""
    return values.reshape(values.shape[0], -1, size, *values.shape[2:])


def spans(values: Shaped[Array, "b c *d"], size: int, window: int) -> Shaped[Array, "b n s *d"]:
    """Each block with the `window` words before and after it, s = size + 2 window; zeros where the row has none."""
    inside = blocks(values, size)
    nothing = jnp.zeros_like(inside[:, :1])
    before = jnp.concatenate([nothing, inside[:, :-1]], axis=1)[:, :, size - window :]
    after = jnp.concatenate([inside[:, 1:], nothing], axis=1)[:, :, :window]
    return jnp.concatenate([before, inside, after], axis=2)


def beside(left: Integer[Array, "b c"], right: Integer[Array, "b c"], size: int, window: int) -> Bool[Array, "b n p s"]:
    """Which words of a block's span are in the window of each of its words; no word is in its own."""
    offset = jnp.arange(size + 2 * window) - window - jnp.arange(size)[:, None]
    before, after = (blocks(reach.astype(jnp.int32), size)[..., None] for reach in (left, right))
    return ((offset < 0) & (-offset <= before)) | ((offset > 0) & (offset <= after))


def negative_sampling(
    true: Float[Array, "b n p q"],
    noise: Float[Array, "b n p s"],
    counted: Bool[Array, "b n p q"],
    weight: Float[Array, "b n p 1"],
) -> Float[Array, ""]:
    """The sum of -log s(v'_o . v) over the pairs that count, and of -weight log s(-v'_i . v) over noise (equation 4).

    Args:
        true: products of the vectors of pairs.
        noise: products with the vectors of noise.
        counted: which pairs count.
        weight: what each product with noise counts.
    """
    return jnp.where(counted, jax.nn.softplus(-true), 0.0).sum() + (weight * jax.nn.softplus(noise)).sum()


def hierarchical_softmax(
    products: Float[Array, "*n l"], turns: Bool[Array, "*n l"], on_the_way: Bool[Array, "*n l"]
) -> Float[Array, ""]:
    """The sum of -log s(v'_n . v) over nodes whose first child follows, of -log s(-v'_n . v) where it is the second
    (equation 3).
    """
    return jnp.where(on_the_way, jax.nn.softplus(jnp.where(turns, products, -products)), 0.0).sum()


@dataclass(frozen=True, eq=False)
class Learner:
    """word2vec of a vocabulary. `tree`: of the hierarchical softmax."""

    model: WordVectors
    vocabulary: Vocabulary
    settings: Settings
    size: int  # of a block, in words
    window: int
    sets: Benchmarks
    tree: Tree | None = None

    def init(self, key: jax.Array) -> tuple[Parameters, Parameters]:
        """The tables."""
        nothing = jnp.zeros((1,), jnp.int32)
        return {"model": self.model.init(key, nothing, nothing)["params"]}, {}

    def loss(self, params: Parameters, variables: Parameters, batch: Batch, key: jax.Array) -> Any:
        """The mean loss of a pair (skip-gram) or of a word in the middle (cbow)."""
        pair = self.by_tree(params, batch) if self.tree else self.by_noise(params, batch)
        return pair, (variables, {"loss": pair})

    def by_noise(self, params: Parameters, batch: Batch) -> Pair:
        """Negative sampling."""
        inputs: Any
        found: Any
        tokens, noise = batch["tokens"], batch["noise"]
        looked_up = jnp.concatenate([tokens, noise.reshape(len(noise), -1)], axis=1)  # one gradient of the table, not two
        inputs, found = self.model.apply({"params": params["model"]}, tokens, looked_up)
        outputs, drawn = found[:, : tokens.shape[1]], found[:, tokens.shape[1] :].reshape(*noise.shape, -1)
        near = beside(batch["left"], batch["right"], self.size, self.window)
        count = near.sum(-1, keepdims=True).astype(jnp.float32)
        if self.settings.architecture == "skip_gram":
            middle, counted = blocks(inputs, self.size), near
            true = products(middle, spans(outputs, self.size, self.window))
        else:
            middle, counted = self.mean_around(inputs, near, count)
            true = (middle * blocks(outputs, self.size)).sum(-1, keepdims=True)
        pairs = counted.sum(-1, keepdims=True).astype(jnp.float32)
        weight = pairs * (self.settings.negatives / noise.shape[2])
        return negative_sampling(true, products(middle, drawn), counted, weight), pairs.sum()

    def by_tree(self, params: Parameters, batch: Batch) -> Pair:
        """Hierarchical softmax."""
        assert self.tree is not None
        nodes, turns, depth = (jnp.asarray(values)[batch["tokens"]] for values in self.tree)
        inputs: Any
        ways: Any
        inputs, ways = self.model.apply({"params": params["model"]}, batch["tokens"], nodes)
        on = jnp.arange(nodes.shape[-1]) < depth[..., None]
        near = beside(batch["left"], batch["right"], self.size, self.window)
        count = near.sum(-1, keepdims=True).astype(jnp.float32)
        if self.settings.architecture == "skip_gram":
            ways, turns, on = (spans(values, self.size, self.window) for values in (ways, turns, on))
            found = jnp.einsum("bnpd,bnsld->bnpsl", blocks(inputs, self.size), ways)
            on, turns = jnp.broadcast_to(on[:, :, None], found.shape), jnp.broadcast_to(turns[:, :, None], found.shape)
            return hierarchical_softmax(found, turns, on & near[..., None]), count.sum()
        middle, some = self.mean_around(inputs, near, count)
        found = jnp.einsum("bnpd,bnpld->bnpl", middle, blocks(ways, self.size))
        on, turns = blocks(on, self.size) & some, blocks(turns, self.size)
        return hierarchical_softmax(found, turns, on), some.sum().astype(jnp.float32)

    def mean_around(self, inputs: Array, near: Array, count: Array) -> tuple[Array, Array]:
        """The mean vector of the words around each word, and whether there are any."""
        around = jnp.einsum("bnps,bnsd->bnpd", near.astype(inputs.dtype), spans(inputs, self.size, self.window))
        return around / jnp.maximum(count, 1.0), count > 0

    def vectors(self, params: Parameters, tokens: Int[Array, " b"]) -> Float[Array, "b d"]:
        """What stands for words: their input vectors."""
        return params["model"]["input"][tokens]

    def task(self, optimizer: optax.GradientTransformation, steps: int) -> Task:
        """The task: one objective, measured on the vectors of all words."""
        measured = measures.Measured(self.vectors, self.vocabulary, self.sets, self.settings.shown, self.settings.mapped)
        objectives = {"predict": Objective(self.loss, ("model",), optimizer)}
        phases = (Phase(steps, ("predict",)),)
        return Task(self.init, objectives, phases, {"vectors": measured.evaluator()}, measured.render)


def products(one: Float[Array, "b n p d"], other: Float[Array, "b n s d"]) -> Float[Array, "b n p s"]:
    """Of all pairs within each block."""
    return jnp.einsum("bnpd,bnsd->bnps", one, other)


def build(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """The task of a configuration; `config.task` holds what `Settings` lists.

    Raises:
        UserError: an unknown model or setting, or data that are no text in contexts.
    """
    settings = registry.read(Settings, "the task word_vectors", config.task)
    vocabulary = check(settings, config, resources)
    tree = None
    if settings.loss == "hierarchical_softmax":
        assert resources.first is not None
        counts = np.bincount(resources.first(1 << 62)["token"], minlength=len(vocabulary))
        tree = huffman(counts)
    nodes = len(vocabulary) - 1 if tree else 0
    model = models.build(config, num_classes=len(vocabulary), nodes=nodes)
    row = read_settings(config.dataset.to_dict())
    sets = benchmarks(settings.benchmarks, resources.manual_dir)
    learner = Learner(model, vocabulary, settings, row.block, row.window, sets, tree)
    return learner.task(optimizers.build(config.optimizer, steps), steps)


def check(settings: Settings, config: ConfigDict, resources: Resources) -> Vocabulary:
    """The vocabulary of the text.

    Raises:
        UserError: a setting out of range, or data that are no text in contexts.
    """
    for kind, name, choices in (("architecture", settings.architecture, ARCHITECTURES), ("loss", settings.loss, LOSSES)):
        if name not in choices:
            raise unknown(kind, name, choices)
    if settings.negatives < 1:
        raise UserError(f"task.negatives={settings.negatives} must be at least 1.")
    return measures.vocabulary_of(config, resources, "contexts")


PUBLIC = {"word_vectors": build}
SETTINGS = {"word_vectors": Settings()._asdict()}
WITHOUT_FILES = {"word_vectors": lambda: {"benchmarks": ()}}
