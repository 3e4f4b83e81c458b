"""Encoder-decoder with attention after the recurrence (Luong, Pham & Manning 2015, "Effective approaches to attention-based
neural machine translation", sections 3 and 4.1; here with V = 50,000, 4 layers, E = H = 1,000, `general`, as published).

    layer             operation                                            output of a step   parameters
    source_embedding  a vector for each symbol                                        1,000   50,000,000   V E
    encoder           4 LSTM layers                                                   1,000   32,016,000   4 (E + H + 1) 4 H
    alignment         h W m                                                           1,000    1,000,000   H H
    target_embedding  a vector for each symbol                                        1,000   50,000,000   V E
    decoder           4 LSTM layers, the first also given a; a = tanh([c; h] W)       1,000   38,016,000   (8 H + 4) 4 H + 6 H H
    output            dense                                                          50,000   50,050,000   (H + 1) V
                                                                                             221,082,000

Deviations: none in the architecture; a gate has one bias. The paper draws parameters from U(-0.1, 0.1); here each layer has
its own initialisation.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from dl.layers.attention import Attention, first_weights
from dl.layers.attentive import InputFeedingLSTM
from dl.layers.recurrent import RecurrentStack, reversed_sequences


class Luong(nn.Module):
    """A translator, as `dl.tasks.translation` takes them: `encode`, `decode`, and both in one call.

    Attributes:
        symbols: how many there are of the source and of the target.
        embedding: E.
        hidden: H.
        layers: of the encoder and of the decoder.
        attention: a name of `dl.layers.attention.KINDS`.
        window: of local attention.
        reverse: the encoder reads the source from its end (Sutskever et al. 2014, section 3.3).
        dropout: of embeddings, between the encoder's layers, of what the encoder gives, and of the attentional vector before
            the output.
    """

    symbols: tuple[int, int]
    embedding: int = 1000
    hidden: int = 1000
    layers: int = 4
    attention: str = "general"
    window: int = 10
    reverse: bool = False
    dropout: float = 0.0
    dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        draw = nn.initializers.normal(self.embedding**-0.5)
        self.source_embedding, self.target_embedding = (
            nn.Embed(count, self.embedding, dtype=self.dtype, embedding_init=draw) for count in self.symbols
        )
        self.encoder = RecurrentStack("lstm", self.hidden, self.layers, dropout=self.dropout, dtype=self.dtype)
        self.alignment = Attention(self.attention, self.hidden, self.window, dtype=self.dtype)
        self.decoder = InputFeedingLSTM(self.hidden, self.layers, self.attention, self.window, dtype=self.dtype)
        self.output = nn.Dense(self.symbols[1], dtype=self.dtype)
        self.drop = nn.Dropout(self.dropout)

    def encode(self, source: Int[Array, "b s"], length: Int[Array, " b"], train: bool = False) -> tuple[Any, Any]:
        """What the decoder attends to, and its state before the first symbol; all arrays have the batch as first axis."""
        read = reversed_sequences(source.T, length).T if self.reverse else source
        values, states = self.encoder(self.source_embedding(read), (), length, train)
        if self.reverse:  # the attention's places are those of the source as it is written
            values = reversed_sequences(values.swapaxes(0, 1), length).swapaxes(0, 1)
        memory = self.alignment.memory(self.drop(values, deterministic=not train), length, self.hidden)
        first = jnp.concatenate([jnp.zeros_like(states[0][0]), first_weights(memory)], axis=-1)
        return memory, (first, *(array for state in states for array in state))

    def decode(
        self, memory: Any, state: Any, symbols: Int[Array, "b t"], train: bool = False
    ) -> tuple[Float[Array, "b t v"], Any, Float[Array, "b t s"]]:
        """Scores of what follows each of these symbols, the state after them, and the weights of the attention."""
        embedded = self.drop(self.target_embedding(symbols), deterministic=not train)
        given, state = self.decoder(embedded, state, memory, self.alignment.parameters(self.hidden, self.hidden))
        attentional, weights = given[..., : self.hidden], given[..., self.hidden :]
        attentional = self.drop(attentional, deterministic=not train)
        scores = self.output(attentional.reshape(-1, self.hidden)).astype(jnp.float32)
        return scores.reshape(*symbols.shape, -1), state, weights

    def __call__(
        self, source: Int[Array, "b s"], length: Int[Array, " b"], symbols: Int[Array, "b t"], train: bool = False
    ) -> tuple[Float[Array, "b t v"], Float[Array, "b t s"]]:
        """Scores float32 of what follows each symbol of the target, and the weights of the attention."""
        memory, state = self.encode(source, length, train)
        scores, _, weights = self.decode(memory, state, symbols, train)
        return scores, weights


PUBLIC = {"luong": Luong}
