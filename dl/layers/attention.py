"""Attention: how well a query q goes with each vector m_s of a memory, and the mean of the memory weighted by that.

    kind      score of q and m_s                                    source
    dot       q . m_s                                               Luong, Pham & Manning 2015, eq. 8
    general   q . (m_s W)                                           there
    concat    v . tanh([q; m_s] W)                                  there
    additive  v . tanh(q W + m_s U), the same with W cut in two     Bahdanau, Cho & Bengio 2015, appendix A.1.2
    location  v . tanh(q W + m_s U + f_s V + b), f = F * w          Chorowski et al. 2015, eqs. 8 and 9
    local     general's, where |s - p| <= D                         Luong, Pham & Manning 2015, eqs. 9 and 10

The weights are the softmax of the scores over the places that are no padding: of padding they are exactly 0, and nothing that
stands there has any influence. w are the weights of the query before, F filters along the memory. The centre of `local` is
p = S sigmoid(v_p . tanh(q W_p)), for a memory of S vectors counted from 0; its weights are multiplied by
exp(-(s - p)^2 / (2 (D / 2)^2)) and do not add up to 1.

`attend` is a pure function of arrays, for the loop of a decoder (`dl.layers.attentive`); `Attention` holds the parameters. What
depends on the memory alone is computed once, by `Attention.memory`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from dl.errors import UserError, unknown
from dl.layers.convolution import convolve
from dl.layers.initializers import initializer

KINDS = ("dot", "general", "concat", "additive", "location", "local")
PROJECTED = ("concat", "additive", "location", "local")  # those in which the query meets a kernel of its own
MLP = ("concat", "additive", "location")


class Memory(NamedTuple):
    """What is attended to, of a batch; it stays the same from query to query.

    values: [B, S, D], what is averaged. keys: [B, S, A], what queries are compared with. valid: [B, S], 1 or, at padding, 0.
    """

    values: Array
    keys: Array
    valid: Array


def attend(
    kind: str,
    window: int,
    parameters: Mapping[str, Array],
    memory: Memory,
    query: Float[Array, "b q"],
    projected: Float[Array, "b a"] | None = None,
    previous: Float[Array, "b s"] | None = None,
) -> tuple[Float[Array, "b d"], Float[Array, "b s"]]:
    """The context, the weighted mean of the memory's values, and the weights.

    Args:
        kind: one of `KINDS`.
        window: D of `local`.
        parameters: from `Attention.parameters`.
        memory: from `Attention.memory`.
        query: q.
        projected: q times the parameter `query_kernel`, for those kinds that have one.
        previous: of `location`, the weights of the query before; see `first_weights`.
    """
    valid = memory.valid
    if kind in MLP:
        assert projected is not None
        hidden = memory.keys + projected[:, None]
        if kind == "location":
            hidden = hidden + _located(parameters, previous)
        scores = jnp.tanh(hidden) @ parameters["v"]
    else:
        scores = (memory.keys * query[:, None]).sum(-1)
    if kind != "local":
        weights = masked_softmax(scores, valid)
    else:
        assert projected is not None
        centre = valid.sum(-1) * nn.sigmoid(jnp.tanh(projected) @ parameters["position_v"])
        distance = jnp.arange(valid.shape[-1]) - centre[:, None]
        weights = masked_softmax(scores, jnp.where(jnp.abs(distance) <= window, valid, 0))
        weights = weights * jnp.exp(-2 * jnp.square(distance / window)).astype(weights.dtype)
    return jnp.einsum("bs,bsd->bd", weights, memory.values), weights


def masked_softmax(scores: Float[Array, "... s"], valid: Float[Array, "... s"]) -> Float[Array, "... s"]:
    """The softmax over the places where `valid` is 1, and 0 elsewhere, whatever the scores are there; all 0 where none is."""
    kept = jnp.where(valid > 0, scores, -jnp.inf)
    highest = jnp.max(kept, axis=-1, keepdims=True)
    kept = kept - jnp.where(jnp.isfinite(highest), highest, 0)
    powers = jnp.where(valid > 0, jnp.exp(jnp.where(valid > 0, kept, 0)), 0)
    return powers / jnp.maximum(powers.sum(-1, keepdims=True), jnp.finfo(powers.dtype).tiny)


def first_weights(memory: Memory) -> Float[Array, "b s"]:
    """What stands for the weights before the first query: the same for every place that is no padding."""
    return memory.valid / jnp.maximum(memory.valid.sum(-1, keepdims=True), 1)


class Attention(nn.Module):
    """An attention with its parameters.

    Parameters, where the kind has them: `query_kernel` [Q, A] (W; of `local` W_p), `memory_kernel` [D, A] (U; of `general` and
    `local` [D, Q]), `v` [A], `position_v` [A]; of `location` also `bias` [A], `filters` [R, 1, 1, K] (F) and `filter_kernel`
    [K, A] (V).

    Attributes:
        kind: one of `KINDS`.
        features: A, of the hidden layer of a kind that has one; 0 is as many as the query has.
        window: D of `local`.
        filters: K of `location`.
        filter_width: R of `location`, in places of the memory.

    Raises:
        UserError: an unknown kind, a window below 1, or `dot` of vectors of different lengths.
    """

    kind: str = "additive"
    features: int = 0
    window: int = 10
    filters: int = 10
    filter_width: int = 100
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def parameters(self, query_size: int, memory_size: int) -> dict[str, Any]:
        """All parameters, for queries [B, Q] and a memory [B, S, D]."""
        if self.kind not in KINDS:
            raise unknown("attention", self.kind, KINDS)
        if self.kind == "local" and self.window < 1:
            raise UserError(f"local attention looks at a window of at least 1 place to either side, not {self.window}.")
        if self.kind == "dot" and query_size != memory_size:
            raise UserError(
                f"attention 'dot' compares vectors of one length, and here they have {query_size} and {memory_size}: "
                "take 'general'."
            )
        size = self.features or query_size
        shapes: dict[str, tuple[int, ...]] = {}
        if self.kind in PROJECTED:
            shapes["query_kernel"] = (query_size, size)
        if self.kind != "dot":
            shapes["memory_kernel"] = (memory_size, size if self.kind in MLP else query_size)
        if self.kind == "location":
            shapes |= {"filters": (self.filter_width, 1, 1, self.filters), "filter_kernel": (self.filters, size)}
        found = {name: self.param(name, initializer("glorot"), shape) for name, shape in shapes.items()}
        if self.kind == "location":
            found["bias"] = self.param("bias", nn.initializers.zeros, (size,))
        if self.kind in PROJECTED:
            name = "position_v" if self.kind == "local" else "v"
            found[name] = self.param(name, nn.initializers.normal(size**-0.5), (size,))
        return {name: values.astype(self.dtype) for name, values in found.items()}

    def memory(self, values: Float[Array, "b s d"], length: Int[Array, " b"], query_size: int) -> Memory:
        """What queries of a size will attend to. `length` counts the vectors of each memory."""
        given = self.parameters(query_size, values.shape[-1])
        values = values.astype(self.dtype)
        valid = (jnp.arange(values.shape[1]) < length[:, None]).astype(self.dtype)
        values = jnp.where(valid[:, :, None] > 0, values, 0)  # what is NaN or huge there would not vanish times 0
        keys = values
        if "memory_kernel" in given:  # one product of matrices, whose gradient is fast
            keys = (values.reshape(-1, values.shape[-1]) @ given["memory_kernel"]).reshape(*values.shape[:2], -1)
        if "bias" in given:
            keys = keys + given["bias"]
        return Memory(values, keys, valid)

    def __call__(
        self,
        query: Float[Array, "b q"],
        values: Float[Array, "b s d"],
        length: Int[Array, " b"],
        previous: Float[Array, "b s"] | None = None,
    ) -> tuple[Float[Array, "b d"], Float[Array, "b s"]]:
        """One query of each example: the context and the weights. `length` counts the vectors of each memory.

        `previous`, which `location` looks at, is uniform by default.
        """
        memory, given = self.memory(values, length, query.shape[-1]), self.parameters(query.shape[-1], values.shape[-1])
        query = query.astype(self.dtype)
        projected = query @ given["query_kernel"] if "query_kernel" in given else None
        previous = first_weights(memory) if previous is None else previous
        return attend(self.kind, self.window, given, memory, query, projected, previous)


def _located(parameters: Mapping[str, Array], previous: Any) -> Float[Array, "b s a"]:
    """f_s V: what filters find in the weights of the query before, around each place."""
    found = convolve(previous[:, :, None, None], parameters["filters"])[:, :, 0]
    return found @ parameters["filter_kernel"]
