"""The one abstraction: an experiment is a handful of pure functions, and one engine trains them all.

A classifier, a GAN, a Siamese pair and a painted image are each a `Task`. The engine (`dl.training.step`, `dl.training.loop`)
knows nothing but these types.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dl.artifacts import Artifact
from dl.dataset import Source
from dl.metric import Metric

Tree = Any  # a pytree of arrays
Batch = Mapping[str, jax.Array]  # arrays whose leading axis is the example
Pair = tuple[jax.Array, jax.Array]  # (sum, count): a mean that adds up exactly over batches, microbatches and steps
Metrics = dict[str, Pair]
Outcome = tuple[Pair, tuple[Tree, Metrics]]  # what a loss gives: (sum, count), the variables after the step, metrics
Measurement = tuple[Tree, dict[str, jax.Array]]  # what the step of an evaluator gives: sums, outputs of each example


def divided(pair: Pair) -> jax.Array:
    """Sum / count; 0 where nothing was counted, as in a batch whose rows are all masked."""
    total, count = pair
    return total / jnp.maximum(count, jnp.finfo(jnp.float32).tiny)


class Objective(NamedTuple):
    """One way of moving some parameters downhill.

    loss: `(params, variables, batch, key) -> ((sum, count), (variables, metrics))`. What is minimised is sum / count; the
        engine divides once, after the microbatches, so that a masked loss is the same however the batch is cut. The count
        must not depend on the parameters. Metrics are (sum, count) pairs.
    groups: the names of the top-level parameter groups that it moves; the others are constants to it.
    optimizer: applied to the sub-dictionary of those groups.
    whole_batch: the loss compares the examples of a batch with each other (triplets, in-batch negatives), so that it must not
        be cut into microbatches.
    """

    loss: Callable[[Tree, Tree, Batch, jax.Array], Outcome]
    groups: tuple[str, ...]
    optimizer: optax.GradientTransformation
    whole_batch: bool = False

    def value(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> tuple[jax.Array, tuple[Tree, Metrics]]:
        """What is minimised, sum / count, a scalar, with (variables, metrics)."""
        pair, rest = self.loss(params, variables, batch, key)
        return divided(pair), rest


class Phase(NamedTuple):
    """So many steps, each taking these objectives in this order (a name may repeat), fed by a stream of batches.

    Each stream of `beside` gives a batch of its own for the same step: its features are named `STREAM/FEATURE`.
    """

    steps: int
    objectives: tuple[str, ...]
    stream: str = "train"
    beside: tuple[str, ...] = ()

    @property
    def streams(self) -> tuple[str, ...]:
        """All that feed it."""
        return (self.stream, *self.beside)


class Evaluation(NamedTuple):
    """What `render` may look at after an evaluation.

    outputs: name -> array [N, ...], the per-example outputs of all evaluators for the whole split, in the split's order.
    examples: indices into the split -> the batch of those examples, as an evaluator saw them, on the host.
    sums: evaluator -> its summed pytree, on the host.
    """

    outputs: Mapping[str, np.ndarray]
    examples: Callable[[np.ndarray], Mapping[str, np.ndarray]]
    sums: Mapping[str, Tree] = {}


def means(sums: Mapping[str, Any], outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Of (sum, count) pairs the means. One of nothing at all, as of the pixels of a class that never occurs, is left out."""
    return {name: float(total / count) for name, (total, count) in sums.items() if count}


class Evaluator(NamedTuple):
    """What is measured of a split, where and how often.

    step: `(params, variables, batch, key) -> (sums, outputs)`. `batch["mask"]` [B] bool is False on the rows that pad a ragged
        last batch. `sums` is a pytree that adds up over batches: (sum, count) pairs over the true rows, a confusion matrix.
        `outputs` are name -> [B, ...], for numbers that need the whole split; they go to the host batch by batch.
    metrics: name -> Metric, all that `finish` may give; best checkpoint, early stopping and reports read here what is better.
    finish: `(sums, outputs) -> name -> number`, on the host; sums in float64 and int64, outputs name -> [N, ...].
    every: at every so many evaluations (`config.eval_every`) and at the end; 0 is only at the end.
    splits: where; () is every split that no phase trains on.
    """

    step: Callable[[Tree, Tree, Batch, jax.Array], Measurement]
    metrics: Mapping[str, Metric]
    finish: Callable[[Any, Mapping[str, np.ndarray]], Mapping[str, float]] = means
    every: int = 1
    splits: tuple[str, ...] = ()


class Task(NamedTuple):
    """An experiment, as pure functions.

    init: `key -> (params, variables)`; both dictionaries, the keys of `params` are the parameter groups.
    objectives: name -> Objective.
    phases: taken in order; which one a step is in is a pure function of the step.
    evaluators: name -> Evaluator; the names of their metrics and of their outputs differ.
    render: `(params, variables, evaluation, key) -> name -> Artifact`, for the report; parameters are on the host, or on the
        mesh where they are split over it (`dl.mesh.first_replica`).
    check: (name of a split, its source) -> None; raises UserError where the split cannot be evaluated, before any training.
    """

    init: Callable[[jax.Array], tuple[Tree, Tree]]
    objectives: Mapping[str, Objective]
    phases: tuple[Phase, ...]
    evaluators: Mapping[str, Evaluator] = {}
    render: Callable[[Tree, Tree, Evaluation, jax.Array], dict[str, Artifact]] = lambda *_: {}
    check: Callable[[str, Source], None] = lambda split, source: None

    def metrics(self, split: str) -> dict[str, Metric]:
        """What is measured on a split that no phase trains on."""
        found = (e.metrics for e in self.evaluators.values() if not e.splits or split in e.splits)
        return {name: metric for metrics in found for name, metric in metrics.items()}


def mean(values: jax.Array, mask: jax.Array | None = None) -> Pair:
    """The (sum, count) pair of `values`, over the elements where `mask` (same shape, or a prefix of it) is True.

    Both are float32 scalars. Masked-out values may be NaN.
    """
    values = values.astype(jnp.float32)
    if mask is None:
        return values.sum(), jnp.float32(values.size)
    mask = jnp.broadcast_to(mask.reshape(mask.shape + (1,) * (values.ndim - mask.ndim)), values.shape)
    return jnp.where(mask, values, 0.0).sum(), mask.sum().astype(jnp.float32)


def valid(length: jax.Array, size: int) -> jax.Array:
    """Which places of padded sequences are not padding: bool [B, size], for the mask of `mean`. `length` is int32 [B]."""
    return jnp.arange(size) < length[:, None]
