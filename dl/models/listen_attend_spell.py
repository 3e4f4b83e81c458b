"""Listen, Attend and Spell (Chan, Jaitly, Le & Vinyals 2016, section 3), with a head for CTC beside it (Kim, Hori & Watanabe
2017, section 3). H = 256, S = 512, 40 features, 30 symbols, as published:

    layer      operation                                                      output of a step   parameters
    listener   BLSTM, then 3 on pairs of what is below: 8 times fewer steps                512   8,478,720
               4 (40 + H + 1) 2 H + 3 x 4 (4 H + H + 1) 2 H
    embedding  a vector for each symbol, and for the one before the first                  512      15,872
    alignment  v . tanh(q W + m U)                                                         512     524,800
    speller    2 LSTM layers, the first also given the context                     512   5,246,976
    output     fully connected of state and context; the last symbol is the end     31      31,775

Deviations: scores of the attention come from one hidden layer (Bahdanau et al. 2015; "location": Chorowski et al. 2015), not
from products of two; no symbols are sampled in training.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from dl.errors import unknown
from dl.layers.attention import Attention
from dl.layers.listening import ConvolutionalListener, Pyramid
from dl.layers.spelling import SpellingLSTM

ENCODERS = ("pyramid", "convolutional")


class ListenAttendSpell(nn.Module):
    """Frames [B, T, D] to scores of the symbols one after another.

    Symbol V = num_classes - 1 stands for the start and the end of a text, and in the head for CTC for the blank.

    Attributes:
        num_classes: V + 1.
        encoder: "pyramid" or "convolutional".
        hidden: H, units of a layer of the listener in each direction.
        halvings: of the pyramid; convolutions halve twice.
        layers: of the LSTM over the convolutions.
        channels: of the convolutions.
        speller: S, units of its layers and of the embedding.
        speller_layers: how many.
        attention: a name of `dl.layers.attention.KINDS`.
        filters: of location-aware attention.
        filter_width: of these, in places.
        dropout: of the input of each layer but the first, of embeddings, and of what the output is given.

    Raises:
        UserError: an unknown encoder or attention.
    """

    num_classes: int
    encoder: str = "pyramid"
    hidden: int = 256
    halvings: int = 3
    layers: int = 2
    channels: tuple[int, int] = (64, 128)
    speller: int = 512
    speller_layers: int = 2
    attention: str = "additive"
    filters: int = 10
    filter_width: int = 15
    dropout: float = 0.0
    dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        if self.encoder not in ENCODERS:
            raise unknown("encoder", self.encoder, ENCODERS)
        if self.encoder == "pyramid":
            self.listener: Any = Pyramid(self.hidden, self.halvings, self.dropout, self.dtype)
        else:
            self.listener = ConvolutionalListener(self.hidden, self.layers, self.channels, self.dropout, self.dtype)
        self.embedding = nn.Embed(self.num_classes, self.speller, dtype=self.dtype)
        self.alignment = Attention(
            self.attention, self.speller, filters=self.filters, filter_width=self.filter_width, dtype=self.dtype
        )
        self.decoder = SpellingLSTM(self.speller, self.speller_layers, self.attention, self.dtype)
        self.output = nn.Dense(self.num_classes, dtype=self.dtype)
        self.frame_output = nn.Dense(self.num_classes, dtype=self.dtype)
        self.drop = nn.Dropout(self.dropout)

    def output_length(self, length: Any) -> Any:
        """How many places the listener gives for so many frames."""
        for _ in range(self.halvings if self.encoder == "pyramid" else 2):
            length = -(-length // 2)
        return length

    def encode(
        self, x: Float[Array, "b t d"], length: Int[Array, " b"], train: bool = False
    ) -> tuple[Any, Any, Float[Array, "b s k"], Int[Array, " b"]]:
        """What the speller attends to, its state before the first symbol, and the scores for CTC with their lengths."""
        values, places = self.listener(x, length, train)
        values = self.drop(values, deterministic=not train)
        frames = self.frame_output(values.reshape(-1, values.shape[-1])).astype(jnp.float32)
        memory = self.alignment.memory(values, places, self.speller)
        return memory, self.decoder.first_state(memory), frames.reshape(*values.shape[:2], -1), places

    def decode(
        self, memory: Any, state: Any, symbols: Int[Array, "b u"], train: bool = False
    ) -> tuple[Float[Array, "b u k"], Any, Float[Array, "b u s"]]:
        """Scores of what follows each of these symbols, the state after them, and the weights of the attention."""
        embedded = self.drop(self.embedding(symbols), deterministic=not train)
        parameters = self.alignment.parameters(self.speller, memory.values.shape[-1])
        given, state = self.decoder(embedded, state, memory, parameters)
        size = self.speller + memory.values.shape[-1]
        said, weights = given[..., :size], given[..., size:]
        said = self.drop(said, deterministic=not train)
        scores = self.output(said.reshape(-1, size)).astype(jnp.float32)
        return scores.reshape(*symbols.shape, -1), state, weights

    def __call__(
        self, x: Float[Array, "b t d"], length: Int[Array, " b"], symbols: Int[Array, "b u"], train: bool = False
    ) -> tuple[Float[Array, "b u k"], Float[Array, "b u s"], Float[Array, "b s k"], Int[Array, " b"]]:
        """Scores of what follows each symbol, the attention's weights, and the scores for CTC with their lengths."""
        memory, state, frames, places = self.encode(x, length, train)
        scores, _, weights = self.decode(memory, state, symbols, train)
        return scores, weights, frames, places


PUBLIC = {"listen_attend_spell": ListenAttendSpell}
