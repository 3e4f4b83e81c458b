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

Tree = Any  # a pytree of arrays
Batch = Mapping[str, jax.Array]  # arrays whose leading axis is the example
Pair = tuple[jax.Array, jax.Array]  # (sum, count): a mean that adds up exactly over batches, microbatches and steps
Metrics = dict[str, Pair]


class Objective(NamedTuple):
    """One way of moving some parameters downhill.

    loss: `(params, variables, batch, key) -> (scalar, (variables, metrics))`; metrics are (sum, count) pairs.
    groups: the names of the top-level parameter groups that it moves; the others are constants to it.
    optimizer: applied to the sub-dictionary of those groups.
    """

    loss: Callable[[Tree, Tree, Batch, jax.Array], tuple[jax.Array, tuple[Tree, Metrics]]]
    groups: tuple[str, ...]
    optimizer: optax.GradientTransformation


class Phase(NamedTuple):
    """So many steps, each taking these objectives in this order (a name may repeat), fed by one stream of batches."""

    steps: int
    objectives: tuple[str, ...]
    stream: str = "train"


class Evaluation(NamedTuple):
    """What `render` may look at after an evaluation.

    outputs: name -> array [N, ...], the per-example outputs of the whole split, in the split's order.
    examples: indices into the split -> the batch of those examples, as `evaluate` saw them, on the host.
    """

    outputs: Mapping[str, np.ndarray]
    examples: Callable[[np.ndarray], Mapping[str, np.ndarray]]


class Task(NamedTuple):
    """An experiment, as pure functions.

    init: `key -> (params, variables)`; both dictionaries, the keys of `params` are the parameter groups.
    objectives: name -> Objective.
    phases: taken in order; which one a step is in is a pure function of the step.
    evaluate: `(params, variables, batch, key) -> (metrics, outputs)`. `batch["mask"]` [B] bool is False on the rows that pad a
        ragged last batch. Metrics are (sum, count) pairs over the true rows; outputs have a leading axis B.
    summarize: gathered outputs (name -> [N, ...], host) -> numbers that need the whole set.
    render: `(params, variables, evaluation, key) -> name -> Artifact`, for the report.
    check: (name of a split, its source) -> None; raises UserError where the split cannot be evaluated, before any training.
    """

    init: Callable[[jax.Array], tuple[Tree, Tree]]
    objectives: Mapping[str, Objective]
    phases: tuple[Phase, ...]
    evaluate: Callable[[Tree, Tree, Batch, jax.Array], tuple[Metrics, dict[str, jax.Array]]]
    summarize: Callable[[Mapping[str, np.ndarray]], dict[str, float]] = lambda outputs: {}
    render: Callable[[Tree, Tree, Evaluation, jax.Array], dict[str, Artifact]] = lambda *_: {}
    check: Callable[[str, Source], None] = lambda split, source: None


def mean(values: jax.Array, mask: jax.Array | None = None) -> Pair:
    """The (sum, count) pair of `values`, over the elements where `mask` (same shape, or a prefix of it) is True.

    Both are float32 scalars. Masked-out values may be NaN.
    """
    values = values.astype(jnp.float32)
    if mask is None:
        return values.sum(), jnp.float32(values.size)
    mask = jnp.broadcast_to(mask.reshape(mask.shape + (1,) * (values.ndim - mask.ndim)), values.shape)
    return jnp.where(mask, values, 0.0).sum(), mask.sum().astype(jnp.float32)
