"""Decoders that attend to a memory at every step, and the output layer of Bahdanau et al.

The loop is `dl.layers.cells.recur`: inputs are projected before it, all gradients of recurrent weights are products after it,
and what each step gives lies side by side in the first array of the state: [the layer's output; context or nothing; weights].
A single step is a sequence of length 1.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dl.layers.attention import Memory, attend
from dl.layers.cells import Product, State, recur
from dl.layers.initializers import initializer
from dl.layers.recurrent import by_block, project

Parameters = Mapping[str, Array]  # of `dl.layers.attention.Attention.parameters`


class AttentiveGRU(nn.Module):
    """The decoder of Bahdanau, Cho & Bengio 2015 (appendix A.2.2): s_i = f(s_{i-1}, y_{i-1}, c_i), a GRU.

        c = attention of s_{i-1};  r, z = sigmoid(x W + s U + c C);  n = tanh(x W + (r s) U + c C);  s' = z s + (1 - z) n

    (z and 1 - z change places there.) Parameters: `kernel` [E, 3H] (W), `recurrent_kernel` [H, 3H] (U), `context_kernel`
    [D, 3H] (C), `bias` [3H].

    Attributes:
        features: H.
        kind: of the attention.
        window: see `dl.layers.attention.attend`.
    """

    features: int
    kind: str = "additive"
    window: int = 10
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b t e"], state: State, memory: Memory, parameters: Parameters
    ) -> tuple[Float[Array, "b t o"], State]:
        """What each step gives, [s; c; weights], and the last state. `state` is ([s; c; weights],), as is the one returned."""
        size, width = self.features, memory.values.shape[-1]
        blocks = by_block(initializer("glorot"), 3)
        kernel = self.param("kernel", blocks, (x.shape[-1], 3 * size)).astype(self.dtype)
        context = self.param("context_kernel", blocks, (width, 3 * size)).astype(self.dtype)
        recurrent = self.param("recurrent_kernel", by_block(initializer("orthogonal"), 3), (size, 3 * size)).astype(self.dtype)
        bias = self.param("bias", nn.initializers.zeros, (3 * size,)).astype(self.dtype)
        x = project(x.swapaxes(0, 1).astype(self.dtype), kernel) + bias
        query = parameters.get("query_kernel", jnp.zeros((size, 0), self.dtype))
        kernels = (jnp.concatenate([query, recurrent[:, : 2 * size]], 1), context, recurrent[:, 2 * size :])
        nothing = [jnp.zeros((*x.shape[:2], k.shape[1]), self.dtype) for k in (kernels[0], kernels[2])]
        step = partial(_gru_step, self.kind, self.window, size, width, query.shape[1])
        given = {"memory": memory, "attention": dict(parameters)}
        outputs, last = recur(step, kernels, given, (nothing[0], x, nothing[1]), {}, state)
        return outputs.swapaxes(0, 1), last


def _gru_step(
    kind: str, window: int, size: int, width: int, queries: int, given: Any, state: State, product: Product, rest: Any
) -> State:
    h, before = state[0][:, :size], state[0][:, size + width :]
    first = product(0, h)
    projected, gates = first[:, :queries], first[:, queries:]
    context, weights = attend(kind, window, given["attention"], given["memory"], h, projected, before)
    added = product(1, context)
    r, z = jnp.split(nn.sigmoid(gates + added[:, : 2 * size]), 2, axis=-1)
    n = jnp.tanh(added[:, 2 * size :] + product(2, r * h))
    return (jnp.concatenate([z * h + (1 - z) * n, context, weights], axis=-1),)


class InputFeedingLSTM(nn.Module):
    """The decoder of Luong, Pham & Manning 2015 (sections 3.1 and 3.3): LSTM layers, then attention, then one tanh layer.

    h_t, of the top layer, asks; the attentional vector a_t = tanh([c_t; h_t] W_c) is what the step gives, and the first layer
    is given [x_t; a_{t-1}] ("input feeding"). Parameters: `kernel` [E, 4H], `bias1` [4H], `recurrent_kernel1` [2H, 4H] of
    [h; a], of further layers `recurrent_kernelN` [2H, 4H] of [h of the layer below; h] and `biasN`, `output_kernel` [D + H, H]
    (W_c).

    Attributes:
        features: H.
        layers: of the LSTM.
        kind: of the attention.
        window: see `dl.layers.attention.attend`.
    """

    features: int
    layers: int = 1
    kind: str = "general"
    window: int = 10
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b t e"], state: State, memory: Memory, parameters: Parameters
    ) -> tuple[Float[Array, "b t o"], State]:
        """What each step gives, [a; weights], and the last state. `state`: [a; weights], then h and c of each layer."""
        size, width = self.features, memory.values.shape[-1]
        blocks = by_block(initializer("glorot"), 4)
        kernel = self.param("kernel", blocks, (x.shape[-1], 4 * size)).astype(self.dtype)
        x = project(x.swapaxes(0, 1).astype(self.dtype), kernel)
        kernels, taps = [], []
        for number in range(self.layers):
            kernels.append(self.param(f"recurrent_kernel{number + 1}", blocks, (2 * size, 4 * size)).astype(self.dtype))
            bias = self.param(f"bias{number + 1}", lambda key: jnp.zeros(4 * size).at[size : 2 * size].set(1.0))
            taps.append((0 if number else x) + jnp.broadcast_to(bias.astype(self.dtype), (*x.shape[:2], 4 * size)))
        if "query_kernel" in parameters:  # kernels stand in the order in which a step takes their products
            kernels.append(parameters["query_kernel"])
        kernels.append(self.param("output_kernel", initializer("glorot"), (width + size, size)).astype(self.dtype))
        taps += [jnp.zeros((*x.shape[:2], k.shape[1]), self.dtype) for k in kernels[self.layers :]]
        step = partial(_input_feeding_step, self.kind, self.window, size)
        given = {"memory": memory, "attention": dict(parameters)}
        outputs, last = recur(step, tuple(kernels), given, tuple(taps), {}, state)
        return outputs.swapaxes(0, 1), last


def _input_feeding_step(kind: str, window: int, size: int, given: Any, state: State, product: Product, rest: Any) -> State:
    attentional, before, layers = state[0][:, :size], state[0][:, size:], state[1:]
    below, new = attentional, []
    for number in range(len(layers) // 2):
        h, c = layers[2 * number : 2 * number + 2]
        pair = [h, below] if number == 0 else [below, h]
        i, f, g, o = jnp.split(product(number, jnp.concatenate(pair, axis=-1)), 4, axis=-1)
        c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
        below = nn.sigmoid(o) * jnp.tanh(c)
        new += [below, c]
    number, projected = len(layers) // 2, None
    if "query_kernel" in given["attention"]:
        number, projected = number + 1, product(number, below)
    context, weights = attend(kind, window, given["attention"], given["memory"], below, projected, before)
    attentional = jnp.tanh(product(number, jnp.concatenate([context, below], axis=-1)))
    return (jnp.concatenate([attentional, weights], axis=-1), *new)


class DeepOutput(nn.Module):
    """The scores of the symbols, by a layer of maxout units (Bahdanau, Cho & Bengio 2015, appendix A.2.2).

    `hidden/kernel` [inputs, 2L] and its bias, the larger of each pair, then `output_kernel` [L, V] and `output_bias` [V]. Tied,
    the output takes the target embedding's vectors [V, L] for its weights.

    Attributes:
        symbols: V.
        features: L.
        dropout: of the units after the maxout.
    """

    symbols: int
    features: int
    dropout: float = 0.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, inputs: Sequence[Float[Array, "b t _"]], embedding: Float[Array, "v l"] | None = None, train: bool = False
    ) -> Float[Array, "b t v"]:
        """Scores float32. `embedding`: the weights where they are tied."""
        x = jnp.concatenate([part.astype(self.dtype) for part in inputs], axis=-1)
        batch, length = x.shape[:2]
        x = nn.Dense(2 * self.features, dtype=self.dtype, name="hidden")(x.reshape(batch * length, -1))
        x = x.reshape(-1, self.features, 2).max(-1)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        if embedding is None:
            kernel = self.param("output_kernel", initializer("glorot"), (self.features, self.symbols)).astype(self.dtype)
        else:
            kernel = embedding.astype(self.dtype).T
        bias = self.param("output_bias", nn.initializers.zeros, (self.symbols,))
        return (x @ kernel + bias).astype(jnp.float32).reshape(batch, length, -1)
