"""The decoder of Listen, Attend and Spell (Chan, Jaitly, Le & Vinyals 2016, section 3.2)."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dl.layers.attention import Memory, attend, first_weights
from dl.layers.cells import Product, State, recur
from dl.layers.initializers import initializer
from dl.layers.recurrent import by_block


class SpellingLSTM(nn.Module):
    """s_i = LSTM(s_{i-1}, y_{i-1}, c_{i-1}), layers one above the other, and c_i = attention of the topmost s_i (eqs. 6 and 7).

    The loop is `dl.layers.cells.recur`; what each step gives is the first array of the state, [s; c; weights]. A single step is
    a sequence of length 1. Parameters: `kernel` [E, 4H] and `recurrent_kernel1` [H + D, 4H] of [h; c] in the first layer, in
    further ones `recurrent_kernelN` [2H, 4H] of [h below; h]; `biasN` [4H], 1 in the forget gate.

    Attributes:
        features: H.
        layers: how many.
        kind: of the attention.
    """

    features: int
    layers: int = 2
    kind: str = "additive"
    dtype: DTypeLike = jnp.float32

    def first_state(self, memory: Memory) -> State:
        """Before the first symbol: zeros, and weights that are the same everywhere."""
        weights = first_weights(memory)
        batch, width = len(weights), memory.values.shape[-1]
        given = jnp.concatenate([jnp.zeros((batch, self.features + width), self.dtype), weights], axis=-1)
        return (given, *(jnp.zeros((batch, self.features), self.dtype),) * (2 * self.layers))

    @nn.compact
    def __call__(
        self, x: Float[Array, "b t e"], state: State, memory: Memory, parameters: Mapping[str, Array]
    ) -> tuple[Float[Array, "b t o"], State]:
        """What each step gives, [s; c; weights], and the last state; `parameters` are the attention's."""
        size, width = self.features, memory.values.shape[-1]
        blocks = by_block(initializer("glorot"), 4)
        kernel = self.param("kernel", blocks, (x.shape[-1], 4 * size)).astype(self.dtype)
        time = x.swapaxes(0, 1)
        x = (time.reshape(-1, x.shape[-1]).astype(self.dtype) @ kernel).reshape(*time.shape[:2], -1)
        kernels, taps = [], []
        for number in range(self.layers):
            inputs = (size if number else width) + size
            kernels.append(self.param(f"recurrent_kernel{number + 1}", blocks, (inputs, 4 * size)).astype(self.dtype))
            bias = self.param(f"bias{number + 1}", lambda key: jnp.zeros(4 * size).at[size : 2 * size].set(1.0))
            taps.append((0 if number else x) + jnp.broadcast_to(bias.astype(self.dtype), x.shape))
        kernels.append(parameters.get("query_kernel", jnp.zeros((size, 0), self.dtype)))
        taps.append(jnp.zeros((*x.shape[:2], kernels[-1].shape[1]), self.dtype))
        step = partial(_step, self.kind, size, width)
        given = {"memory": memory, "attention": dict(parameters)}
        outputs, last = recur(step, tuple(kernels), given, tuple(taps), {}, state)
        return outputs.swapaxes(0, 1), last


def _step(kind: str, size: int, width: int, given: Any, state: State, product: Product, rest: Any) -> State:
    context, before, layers = state[0][:, size : size + width], state[0][:, size + width :], state[1:]
    below, new = context, []
    for number in range(len(layers) // 2):
        h, c = layers[2 * number : 2 * number + 2]
        pair = [below, h] if number else [h, below]
        i, f, g, o = jnp.split(product(number, jnp.concatenate(pair, axis=-1)), 4, axis=-1)
        c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
        below = nn.sigmoid(o) * jnp.tanh(c)
        new += [below, c]
    projected = product(len(layers) // 2, below)
    context, weights = attend(kind, 1, given["attention"], given["memory"], below, projected, before)
    return (jnp.concatenate([below, context, weights], axis=-1), *new)
