"""Encoder-decoder with attention (Bahdanau, Cho & Bengio 2015, "Neural machine translation by jointly learning to align and
translate", appendix A; here with V = 30,000, E = 620, H = A = 1,000, L = 500, as published).

    layer             operation                                   output of a step   parameters
    source_embedding  a vector for each symbol                                 620   18,600,000   V E
    encoder           GRU in both directions                                 2,000    9,726,000   2 (3 E H + 3 H H + 3 H)
    initial           dense, tanh, of the backward state at the start         1,000    1,001,000   H H + H
    alignment         v . tanh(s W + h U)                                    2,000    3,001,000   H A + 2 H A + A
    target_embedding  a vector for each symbol                                 620   18,600,000   V E
    decoder           GRU, given the symbol before and the context           1,000   10,863,000   3 (E H + 3 H H + H)
    output            dense, maxout of pairs, dense                         30,000   18,651,000   (3 H + E + 1) 2 L + (L + 1) V
                                                                                     80,442,000

Deviations: the output layer sees s_i, as g(y_{i-1}, s_i, c_i) in equation 4 does, where the appendix has s_{i-1}; it and the
recurrent layers have biases, which the paper leaves out of its equations.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from dl.errors import UserError
from dl.layers.attention import Attention, first_weights
from dl.layers.attentive import AttentiveGRU, DeepOutput
from dl.layers.recurrent import RecurrentStack


class Bahdanau(nn.Module):
    """A translator, as `dl.tasks.translation` takes them: `encode`, `decode`, and both in one call.

    Attributes:
        symbols: how many there are of the source and of the target.
        embedding: E.
        hidden: H, of each direction of the encoder and of the decoder.
        attention: a name of `dl.layers.attention.KINDS`.
        attention_features: A; 0 is H.
        window: of local attention.
        maxout: L.
        tied: the output takes the target embedding's vectors as its weights; L is E.
        dropout: of embeddings, of what the encoder gives, and of the maxout units.
    """

    symbols: tuple[int, int]
    embedding: int = 620
    hidden: int = 1000
    attention: str = "additive"
    attention_features: int = 0
    window: int = 10
    maxout: int = 500
    tied: bool = False
    dropout: float = 0.0
    dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        if self.tied and self.maxout != self.embedding:
            raise UserError(f"tied weights need model.maxout={self.maxout} to be model.embedding={self.embedding}.")
        draw = nn.initializers.normal(self.embedding**-0.5)
        self.source_embedding, self.target_embedding = (
            nn.Embed(count, self.embedding, dtype=self.dtype, embedding_init=draw) for count in self.symbols
        )
        self.encoder = RecurrentStack("gru", self.hidden, 1, bidirectional=True, dtype=self.dtype)
        self.initial = nn.Dense(self.hidden, dtype=self.dtype)
        self.alignment = Attention(self.attention, self.attention_features, self.window, dtype=self.dtype)
        self.decoder = AttentiveGRU(self.hidden, self.attention, self.window, dtype=self.dtype)
        self.output = DeepOutput(self.symbols[1], self.maxout, self.dropout, dtype=self.dtype)
        self.drop = nn.Dropout(self.dropout)

    def encode(self, source: Int[Array, "b s"], length: Int[Array, " b"], train: bool = False) -> tuple[Any, Any]:
        """What the decoder attends to, and its state before the first symbol; all arrays have the batch as first axis."""
        embedded = self.drop(self.source_embedding(source), deterministic=not train)
        values, states = self.encoder(embedded, (), length, train)
        values = self.drop(values, deterministic=not train)
        memory = self.alignment.memory(values, length, self.hidden)
        start = jnp.tanh(self.initial(states[-1][0]))
        nothing = jnp.zeros((len(source), values.shape[-1]), self.dtype)
        return memory, (jnp.concatenate([start, nothing, first_weights(memory)], axis=-1),)

    def decode(
        self, memory: Any, state: Any, symbols: Int[Array, "b t"], train: bool = False
    ) -> tuple[Float[Array, "b t v"], Any, Float[Array, "b t s"]]:
        """Scores of what follows each of these symbols, the state after them, and the weights of the attention."""
        embedded = self.drop(self.target_embedding(symbols), deterministic=not train)
        width = memory.values.shape[-1]
        given, state = self.decoder(embedded, state, memory, self.alignment.parameters(self.hidden, width))
        h, context, weights = jnp.split(given, [self.hidden, self.hidden + width], axis=-1)
        tied = self.target_embedding.embedding if self.tied else None
        return self.output((h, embedded, context), tied, train), state, weights

    def __call__(
        self, source: Int[Array, "b s"], length: Int[Array, " b"], symbols: Int[Array, "b t"], train: bool = False
    ) -> tuple[Float[Array, "b t v"], Float[Array, "b t s"]]:
        """Scores float32 of what follows each symbol of the target, and the weights of the attention."""
        memory, state = self.encode(source, length, train)
        scores, _, weights = self.decode(memory, state, symbols, train)
        return scores, weights


PUBLIC = {"bahdanau": Bahdanau}
