"""Encoder-decoders that give a sentence to the decoder as one vector of fixed length.

Sutskever, Vinyals & Le 2014, "Sequence to sequence learning with neural networks", section 3.4: V = 160,000 and 80,000, 4 LSTM
layers, E = H = 1,000. The source is read from its end; the decoder's layers go on where the encoder's stopped.

    layer             operation                   output of a step    parameters
    source_embedding  a vector for each symbol               1,000   160,000,000   V E
    encoder           4 LSTM layers                          1,000    32,016,000   4 (E + H + 1) 4 H
    target_embedding  a vector for each symbol               1,000    80,000,000   V E
    decoder           4 LSTM layers                          1,000    32,016,000   4 (E + H + 1) 4 H
    output            dense                                 80,000    80,080,000   (H + 1) V
                                                                     384,112,000

Cho et al. 2014, "Learning phrase representations using RNN encoder-decoder", appendix A: V = 15,000, E = 100, H = 1,000,
L = 500. The decoder is given c = tanh(V h_N) at every step, and its output layer is maxout.

    layer             operation                   output of a step    parameters
    source_embedding  a vector for each symbol                 100     1,500,000   V E
    encoder           GRU                                    1,000     3,303,000   3 (E + H + 1) H
    summary           dense, tanh: c                         1,000     1,001,000   (H + 1) H
    initial           dense, tanh, of c                      1,000     1,001,000   (H + 1) H
    target_embedding  a vector for each symbol                 100     1,500,000   V E
    decoder           GRU, given symbol and c                1,000     6,303,000   3 (E + 2 H + 1) H
    output            dense, maxout of pairs, dense         15,000     9,616,000   (2 H + E + 1) 2 L + (L + 1) V
                                                                      24,224,000

Deviations: of Sutskever et al., each gate has one bias, the forget gate's 1 at first, and each layer its own initialisation,
not U(-0.08, 0.08). Of Cho et al., the decoder's reset gate does not act on c; the last weights G [L, V] are one matrix, where
theirs is a product through 100 dimensions.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from dl.layers.attentive import DeepOutput
from dl.layers.recurrent import RecurrentStack, reversed_sequences

Nothing = Float[Array, "b t 0"]  # the weights of an attention to no place


class Sutskever(nn.Module):
    """A translator, as `dl.tasks.translation` takes them: `encode`, `decode`, and both in one call.

    Attributes:
        symbols: how many there are of the source and of the target.
        embedding: E.
        hidden: H.
        layers: of the encoder and of the decoder.
        reverse: the source is read from its end.
        dropout: of the input of each layer and of the output.
    """

    symbols: tuple[int, int]
    embedding: int = 1000
    hidden: int = 1000
    layers: int = 4
    reverse: bool = True
    dropout: float = 0.0
    dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        self.source_embedding, self.target_embedding = _embeddings(self.symbols, self.embedding, self.dtype)
        self.encoder, self.decoder = (
            RecurrentStack("lstm", self.hidden, self.layers, dropout=self.dropout, dtype=self.dtype) for _ in range(2)
        )
        self.output = nn.Dense(self.symbols[1], dtype=self.dtype)
        self.drop = nn.Dropout(self.dropout)

    def encode(self, source: Int[Array, "b s"], length: Int[Array, " b"], train: bool = False) -> tuple[Any, Any]:
        """Nothing to attend to, and the decoder's state before the first symbol, h and c of each layer."""
        source = reversed_sequences(source.T, length).T if self.reverse else source
        return (), self.encoder(self.source_embedding(source), (), length, train)[1]

    def decode(
        self, memory: Any, state: Any, symbols: Int[Array, "b t"], train: bool = False
    ) -> tuple[Float[Array, "b t v"], Any, Nothing]:
        """Scores of what follows each of these symbols, the state after them, and no weights."""
        h, state = self.decoder(self.target_embedding(symbols), state, None, train)
        h = self.drop(h, deterministic=not train).reshape(-1, self.hidden)
        scores = self.output(h).astype(jnp.float32).reshape(*symbols.shape, -1)
        return scores, state, jnp.zeros((*symbols.shape, 0))

    def __call__(
        self, source: Int[Array, "b s"], length: Int[Array, " b"], symbols: Int[Array, "b t"], train: bool = False
    ) -> tuple[Float[Array, "b t v"], Nothing]:
        """Scores float32 of what follows each symbol of the target, and no weights."""
        memory, state = self.encode(source, length, train)
        scores, _, weights = self.decode(memory, state, symbols, train)
        return scores, weights


class Cho(nn.Module):
    """A translator, as `dl.tasks.translation` takes them: `encode`, `decode`, and both in one call.

    Attributes:
        symbols: how many there are of the source and of the target.
        embedding: E.
        hidden: H.
        maxout: L.
        reverse: the source is read from its end.
        tied: the output takes the target embedding's vectors as its weights; L is E.
        dropout: of embeddings, of c and of the maxout units.
    """

    symbols: tuple[int, int]
    embedding: int = 100
    hidden: int = 1000
    maxout: int = 500
    reverse: bool = False
    tied: bool = False
    dropout: float = 0.0
    dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        self.source_embedding, self.target_embedding = _embeddings(self.symbols, self.embedding, self.dtype)
        self.encoder, self.decoder = (RecurrentStack("gru", self.hidden, dtype=self.dtype) for _ in range(2))
        self.summary, self.initial = (nn.Dense(self.hidden, dtype=self.dtype) for _ in range(2))
        self.output = DeepOutput(self.symbols[1], self.maxout, self.dropout, dtype=self.dtype)
        self.drop = nn.Dropout(self.dropout)

    def encode(self, source: Int[Array, "b s"], length: Int[Array, " b"], train: bool = False) -> tuple[Any, Any]:
        """The sentence's vector c, and the decoder's state before the first symbol."""
        source = reversed_sequences(source.T, length).T if self.reverse else source
        embedded = self.drop(self.source_embedding(source), deterministic=not train)
        summary = jnp.tanh(self.summary(self.encoder(embedded, (), length, train)[1][0][0]))
        summary = self.drop(summary, deterministic=not train)
        return summary, ((jnp.tanh(self.initial(summary)),),)

    def decode(
        self, memory: Any, state: Any, symbols: Int[Array, "b t"], train: bool = False
    ) -> tuple[Float[Array, "b t v"], Any, Nothing]:
        """Scores of what follows each of these symbols, the state after them, and no weights."""
        embedded = self.drop(self.target_embedding(symbols), deterministic=not train)
        summary = jnp.broadcast_to(memory[:, None], (*symbols.shape, self.hidden))
        h, state = self.decoder(jnp.concatenate([embedded, summary], axis=-1), state, None, train)
        tied = self.target_embedding.embedding if self.tied else None
        return self.output((h, embedded, summary), tied, train), state, jnp.zeros((*symbols.shape, 0))

    def __call__(
        self, source: Int[Array, "b s"], length: Int[Array, " b"], symbols: Int[Array, "b t"], train: bool = False
    ) -> tuple[Float[Array, "b t v"], Nothing]:
        """Scores float32 of what follows each symbol of the target, and no weights."""
        memory, state = self.encode(source, length, train)
        scores, _, weights = self.decode(memory, state, symbols, train)
        return scores, weights


def _embeddings(symbols: tuple[int, int], features: int, dtype: DTypeLike) -> list[nn.Embed]:
    draw = nn.initializers.normal(features**-0.5)
    return [nn.Embed(count, features, dtype=dtype, embedding_init=draw) for count in symbols]


PUBLIC = {"sutskever": Sutskever, "cho": Cho}
