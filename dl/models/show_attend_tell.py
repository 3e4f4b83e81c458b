"""Show, Attend and Tell (Xu et al. 2015): a caption, word by word, each from where the decoder looks. Of V words, L places of D
features; with V = 2,540, L = 49, D = 512, E = A = 256, H = 512:

    layer      operation                                        output of a step   parameters
    initial_h  dense, tanh, of the mean of the places (eq. 4)                512      262,656   D H + H
    initial_c  the same                                                      512      262,656   D H + H
    alignment  v . tanh(h W + m U)                                            49      262,400   H A + D A + A
    embedding  a vector for each word                                        256      650,240   V E
    decoder    LSTM, given the word before and the context, gated            512    2,624,001   4 (E + H + D + 1) H + H + 1
    from_h     dense                                                         256      131,328   H E + E
    from_z     dense, without a bias                                         256      131,072   D E
    output     dense of tanh(E y + L_h h + L_z z) (eq. 7)                  2,540      652,780   E V + V
                                                                                    4,977,133

Deviations: the places are those of SqueezeNet's layer fire9, not of VGG's conv5_3; the deep output has a tanh, as in the
authors' code; the initial state comes of one layer.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from dl.layers.attention import Attention, first_weights
from dl.layers.showing import ShowingLSTM


class ShowAttendTell(nn.Module):
    """A model for `dl.tasks.captioning`: `encode`, `decode`, and both in one call.

    Attributes:
        num_classes: V.
        embedding: E.
        hidden: H.
        attention_features: A; 0 is H.
        dropout: of embeddings and of what the output layer is given.
    """

    num_classes: int
    embedding: int = 256
    hidden: int = 512
    attention_features: int = 0
    dropout: float = 0.5
    dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        self.initial_h, self.initial_c = (nn.Dense(self.hidden, dtype=self.dtype) for _ in range(2))
        self.alignment = Attention("additive", self.attention_features, dtype=self.dtype)
        self.word_embedding = nn.Embed(self.num_classes, self.embedding, dtype=self.dtype)
        self.decoder = ShowingLSTM(self.hidden, dtype=self.dtype)
        self.from_h = nn.Dense(self.embedding, dtype=self.dtype)
        self.from_z = nn.Dense(self.embedding, use_bias=False, dtype=self.dtype)
        self.output = nn.Dense(self.num_classes, dtype=self.dtype)
        self.drop = nn.Dropout(self.dropout)

    def encode(self, features: Float[Array, "b y x d"]) -> tuple[Any, Any]:
        """What the decoder looks at, and its state before the first word; all arrays have the batch as first axis."""
        places = features.reshape(len(features), -1, features.shape[-1]).astype(self.dtype)
        memory = self.alignment.memory(places, jnp.full(len(places), places.shape[1], jnp.int32), self.hidden)
        mean, weights = places.mean(1), first_weights(memory)
        h, c = jnp.tanh(self.initial_h(mean)), jnp.tanh(self.initial_c(mean))
        return memory, (jnp.concatenate([h, jnp.zeros_like(mean), weights, weights], axis=-1), c)

    def decode(
        self,
        memory: Any,
        state: Any,
        symbols: Int[Array, "b t"],
        train: bool = False,
        noise: Float[Array, "b t s"] | None = None,
        expected: Float[Array, "b t 1"] | None = None,
    ) -> tuple[Float[Array, "b t v"], Any, Float[Array, "b t s"], Float[Array, "b t s"]]:
        """Scores of what follows each of these words, the state after them, the attention's weights, and what was seen of the
        places: one drawn by `noise`, or the weights themselves.
        """
        embedded = self.drop(self.word_embedding(symbols), deterministic=not train)
        width, places = memory.values.shape[1:][::-1]
        parameters = self.alignment.parameters(self.hidden, width)
        given, state = self.decoder(embedded, state, memory, parameters, noise, expected)
        ends = [self.hidden, self.hidden + width, self.hidden + width + places]
        h, context, weights, seen = jnp.split(given, ends, axis=-1)
        rows = self.from_h(h.reshape(-1, self.hidden)) + self.from_z(context.reshape(-1, width))
        deep = jnp.tanh(embedded.reshape(rows.shape) + rows)
        scores = self.output(self.drop(deep, deterministic=not train)).astype(jnp.float32)
        return scores.reshape(*symbols.shape, -1), state, weights, seen

    def __call__(self, features: Float[Array, "b y x d"], symbols: Int[Array, "b t"]) -> Float[Array, "b t v"]:
        """Scores float32 of what follows each word."""
        return self.decode(*self.encode(features), symbols)[0]


PUBLIC = {"show_attend_tell": ShowAttendTell}
