"""Recursive nets over the given trees of sentences: plain and tensor (Socher et al. 2013, "Recursive deep models for semantic
compositionality over a sentiment treebank"), and the binary tree-structured LSTM (Tai, Socher & Manning 2015).

    layer       operation                             parameters, tensor: D = 25       lstm: word vectors of E = 300, D = 150
    embedding   a vector for each of V words          25 V                             300 V
    leaf        tanh; of lstm, its cell and gate       0                                90,300   2 (E D + D)
    tensor      V of x' V x, x both children          62,500   4 D^3
    compose     W x + b                                1,275   2 D^2 + D               225,750   5 (2 D^2 + D)
    output      scores of every node (softmax in        130   5 D + 5                      755   5 D + 5
                the loss), dropout before

Plain and tensor nets start as their authors' program has it (CoreNLP, `SentimentModel`): W is [I I] and U(-1, 1) / 2 sqrt(D),
V is U(-1, 1) / 4 D, words are tanh of their vectors.
Deviations: one bias a gate, where the published code of the LSTM adds up two, which learn in step (316,050 parameters in place
of 316,800, without words and output).
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from dl.errors import UserError, unknown
from dl.layers.initializers import initializer
from dl.layers.recurrent import by_block
from dl.layers.tree_cells import CELLS, State
from dl.layers.trees import compose, plan


class RecursiveNet(nn.Module):
    """Scores of all nodes of binary trees.

    Tokens int [B, L] and the trees over them, `children` [B, L, 2] and `place` [B, L] (`dl.trees`), to scores float32
    [B, 2 L, num_classes]: of the leaves, then of the nodes at each gap.

    Attributes:
        symbols: V.
        cell: a name of `dl.layers.tree_cells.CELLS`.
        hidden: D, of a node.
        embedding: E, of a word's vector in an LSTM; of the others it is D.
        dropout: of a node before its scores.
        word_dropout: of the words' vectors.
        identity: how much of [I I] is in W at first; of the plain and tensor cell.
        word_scale: deviation of the words' vectors at first; 0 is one over the root of their length.
        forget_bias: of an LSTM's forget gates at first.

    Raises:
        UserError: an unknown cell, or a length of words' vectors that is not D where it must be.
    """

    num_classes: int
    symbols: int
    cell: str = "tensor"
    hidden: int = 25
    embedding: int = 0
    dropout: float = 0.0
    word_dropout: float = 0.0
    identity: float = 1.0
    word_scale: float = 0.0
    forget_bias: float = 0.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, tokens: Int[Array, "b l"], children: Int[Array, "b l 2"], place: Int[Array, "b l"], train: bool = False
    ) -> Float[Array, "b n classes"]:
        if self.cell not in CELLS:
            raise unknown("cell of a tree", self.cell, CELLS)
        width = self.embedding or self.hidden
        if self.cell != "lstm" and width != self.hidden:
            raise UserError(
                f"words are nodes of the cell {self.cell!r}: model.embedding={width} must be model.hidden={self.hidden}, or 0."
            )
        words = nn.initializers.normal(self.word_scale or width**-0.5)
        x = nn.Embed(self.symbols, width, dtype=self.dtype, embedding_init=words, name="embedding")(tokens)
        x = nn.Dropout(self.word_dropout, deterministic=not train)(x)
        leaves = Leaf(self.hidden, self.dtype, name="leaf")(x) if self.cell == "lstm" else (jnp.tanh(x),)
        composer = Composer(self.cell, self.hidden, self.identity, self.forget_bias, self.dtype, name="compose")
        nodes = jnp.concatenate([leaves[0], composer(leaves, children, place)[0]], axis=1)
        nodes = nn.Dropout(self.dropout, deterministic=not train)(nodes)
        scores = nn.Dense(self.num_classes, dtype=self.dtype, name="output")(nodes.reshape(-1, self.hidden))
        return scores.astype(jnp.float32).reshape(*nodes.shape[:2], -1)


class Leaf(nn.Module):
    """The state of a word in an LSTM: c = W x + b, h = s(W' x + b') tanh(c)."""

    features: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b l e"]) -> tuple[Float[Array, "b l d"], Float[Array, "b l d"]]:
        both = nn.Dense(2 * self.features, dtype=self.dtype, name="cell")(x.reshape(-1, x.shape[-1]))
        c, gate = jnp.split(both.reshape(*x.shape[:2], -1), 2, axis=-1)
        return nn.sigmoid(gate) * jnp.tanh(c), c


class Composer(nn.Module):
    """The inner nodes of trees: states of leaves, each [B, L, D], to those of the node at each gap."""

    cell: str
    features: int
    identity: float
    forget_bias: float
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, leaves: State, children: Int[Array, "b l 2"], place: Int[Array, "b l"]) -> State:
        size, noise = self.features, self.features**-0.5 / 2
        params: dict[str, Array] = {}
        if self.cell == "lstm":
            kernel_init = by_block(initializer("glorot"), 5)
            start = jnp.zeros(5 * size).at[size : 3 * size].set(self.forget_bias)
            params["kernel"] = self.param("kernel", kernel_init, (2 * size, 5 * size))
            params["bias"] = self.param("bias", lambda key: start)
        else:
            params["kernel"] = self.param("kernel", partial(_blocks, self.identity, noise), (2 * size, size))
            params["bias"] = self.param("bias", nn.initializers.zeros, (size,))
        if self.cell == "tensor":
            slices = partial(_uniform, 1 / (4 * size))
            params["tensor"] = self.param("tensor", slices, (2 * size, 2 * size, size))
        params = {name: value.astype(self.dtype) for name, value in params.items()}
        return compose(CELLS[self.cell].compose, params, leaves, plan(children, place))


def _uniform(most: float, key: Array, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
    return jax.random.uniform(key, shape, dtype, -most, most)


def _blocks(identity: float, noise: float, key: Array, shape: Sequence[int]) -> Array:
    """[2 D, D]: a part of the identity for each child, and noise."""
    return _uniform(noise, key, shape) + identity * jnp.tile(jnp.eye(shape[1]), (2, 1))


PUBLIC = {"recursive_net": RecursiveNet}
