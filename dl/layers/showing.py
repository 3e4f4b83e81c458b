"""The decoder of Show, Attend and Tell (Xu et al. 2015, sections 3.1.2 and 4): an LSTM that looks at an image at every word."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dl.layers.attention import Memory, attend
from dl.layers.cells import Product, State, recur
from dl.layers.initializers import initializer
from dl.layers.recurrent import by_block, project


class ShowingLSTM(nn.Module):
    """h_t = LSTM(E y_{t-1}, h_{t-1}, z_t) (eqs. 1 to 3), z_t the context that h_{t-1} asks for, times the gate b_t.

        a = attention of h_{t-1};  b = sigmoid(h_{t-1} w + w_0)
        soft: z = b sum_i a_i m_i (eq. 13);  hard: z = b m_s, s drawn from a (eq. 8)

    What each step gives is the first array of the state: [h; z; a; s], s one place or, where `expected`, a itself. A single
    step is a sequence of length 1. Parameters: `kernel` [E, 4H], `recurrent_kernel` [H, 4H], `context_kernel` [D, 4H], `bias`
    [4H], 1 in the forget gate, `gate_kernel` [H, 1] and `gate_bias` [1].

    Attributes:
        features: H.
    """

    features: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b t e"],
        state: State,
        memory: Memory,
        parameters: Mapping[str, Array],
        noise: Float[Array, "b t s"] | None = None,
        expected: Float[Array, "b t 1"] | None = None,
    ) -> tuple[Float[Array, "b t o"], State]:
        """What each step gives, and the last state ([h; z; a; s], c).

        Args:
            x: the words before.
            state: before the first step.
            memory: of the image.
            parameters: of the additive attention.
            noise: Gumbel's, with which places are drawn; None: attention is soft.
            expected: 1 where the expectation stands in place of the place drawn (section 4.1).
        """
        size, width = self.features, memory.values.shape[-1]
        blocks = by_block(initializer("glorot"), 4)
        kernel = self.param("kernel", blocks, (x.shape[-1], 4 * size)).astype(self.dtype)
        recurrent = self.param("recurrent_kernel", by_block(initializer("orthogonal"), 4), (size, 4 * size)).astype(self.dtype)
        context = self.param("context_kernel", blocks, (width, 4 * size)).astype(self.dtype)
        bias = self.param("bias", lambda key: jnp.zeros(4 * size).at[size : 2 * size].set(1.0)).astype(self.dtype)
        gate = self.param("gate_kernel", initializer("glorot"), (size, 1)).astype(self.dtype)
        gate_bias = self.param("gate_bias", nn.initializers.zeros, (1,)).astype(self.dtype)
        query = parameters["query_kernel"]
        projected = project(x.swapaxes(0, 1).astype(self.dtype), kernel) + bias
        asked = jnp.zeros((*projected.shape[:2], query.shape[1]), self.dtype)
        opened = jnp.broadcast_to(gate_bias, (*projected.shape[:2], 1))
        taps = jnp.concatenate([asked, opened, projected], axis=-1), jnp.zeros_like(projected)
        kernels = jnp.concatenate([query, gate, recurrent], axis=1), context
        rest = {}
        if noise is not None:
            whole = jnp.zeros((*noise.shape[:2], 1)) if expected is None else expected
            rest = {"noise": noise.swapaxes(0, 1), "expected": whole.swapaxes(0, 1)}
        given = {"memory": memory, "attention": dict(parameters)}
        outputs, last = recur(partial(_step, query.shape[1], size), kernels, given, taps, rest, state)
        return outputs.swapaxes(0, 1), last


def _step(queries: int, size: int, given: Any, state: State, product: Product, rest: Any) -> State:
    h, c = state[0][:, :size], state[1]
    first = product(0, h)
    asked, gate, gates = first[:, :queries], nn.sigmoid(first[:, queries : queries + 1]), first[:, queries + 1 :]
    memory = given["memory"]
    context, weights = attend("additive", 1, given["attention"], memory, h, asked)
    seen = weights
    if rest:
        place = (jnp.log(jnp.maximum(weights, 1e-20)) + rest["noise"]).argmax(-1)
        drawn = jax.lax.stop_gradient(jax.nn.one_hot(place, weights.shape[-1], dtype=weights.dtype))
        seen = jnp.where(rest["expected"] > 0, weights, drawn)
        context = jnp.einsum("bs,bsd->bd", seen, memory.values)
    context = gate * context
    i, f, g, o = jnp.split(gates + product(1, context), 4, axis=-1)
    c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
    h = nn.sigmoid(o) * jnp.tanh(c)
    return jnp.concatenate([h, context, weights, seen], axis=-1), c
