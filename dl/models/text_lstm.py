"""Bidirectional recurrent net over a text (Graves & Schmidhuber 2005; for sentiment Tai, Socher & Manning 2015, section 4).

    layer      operation                                              parameters, V words of E = 300, H = 168, 5 classes
    embedding  a vector for each word                                    300 V
    recurrent  LSTM from the start, and one from the end             630,336   2 x 4 (E H + H^2 + H)
    pooled     the states after each one's last word, side by side         0
    output     dropout, scores (softmax in the loss)                   1,685   5 x 2 H + 5

Deviations from Tai et al.: a gate has one bias, where their code adds up two, which learn in step; their two directions share
their parameters.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from dl.errors import unknown
from dl.layers.recurrent import RecurrentStack
from dl.task import valid

POOLINGS = ("last", "mean", "max")


class TextLSTM(nn.Module):
    """Texts int [B, T] of so many symbols (`length` int [B]) to scores float32 [B, num_classes].

    Attributes:
        symbols: V.
        cell: a name of `dl.layers.cells.CELLS`.
        embedding: E.
        hidden: H, of a direction.
        layers: how many.
        bidirectional: whether there are two directions.
        pooling: `last` state of each direction, or the `mean` or `max` of what the last layer gives at the words.
        dropout: of the words' vectors, between layers, and of what is pooled.
        word_scale: deviation of the words' vectors at first; 0 is one over the root of their length.

    Raises:
        UserError: an unknown cell or pooling.
    """

    num_classes: int
    symbols: int
    cell: str = "lstm"
    embedding: int = 300
    hidden: int = 168
    layers: int = 1
    bidirectional: bool = True
    pooling: str = "last"
    dropout: float = 0.5
    word_scale: float = 0.0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, text: Int[Array, "b t"], length: Int[Array, " b"], train: bool = False) -> Float[Array, "b classes"]:
        if self.pooling not in POOLINGS:
            raise unknown("pooling", self.pooling, POOLINGS)
        words = nn.initializers.normal(self.word_scale or self.embedding**-0.5)
        x = nn.Embed(self.symbols, self.embedding, dtype=self.dtype, embedding_init=words, name="embedding")(text)
        stack = RecurrentStack(
            self.cell, self.hidden, self.layers, self.bidirectional, self.dropout, dtype=self.dtype, name="recurrent"
        )
        outputs, states = stack(x, (), length, train)
        there = valid(length, text.shape[1])[:, :, None]
        if self.pooling == "last":
            directions = 2 if self.bidirectional else 1
            x = jnp.concatenate([state[0] for state in states[-directions:]], axis=-1)
        elif self.pooling == "mean":
            x = jnp.where(there, outputs, 0).sum(1) / jnp.maximum(length, 1)[:, None].astype(self.dtype)
        else:
            x = jnp.where(there, outputs, jnp.finfo(self.dtype).min).max(1)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.num_classes, dtype=self.dtype, name="output")(x).astype(jnp.float32)


PUBLIC = {"text_lstm": TextLSTM}
