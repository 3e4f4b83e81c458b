"""Show and Tell (Vinyals, Toshev, Bengio & Erhan 2015): an LSTM that is given the image once, before the first word. Of V words
and D features of the image; with V = 2,540, D = 512, E = H = 512:

    layer      operation                                         output of a step   parameters
    image      dense, of the mean of the places: x_{-1} (eq. 10)              512      262,656   D E + E
    embedding  a vector for each word: x_t (eq. 11)                           512    1,300,480   V E
    decoder    LSTM (eqs. 4 to 8)                                             512    2,099,200   4 (E + H + 1) H
    output     dense (eq. 9)                                                2,540    1,303,020   H V + V
                                                                                     4,965,356

Deviations: the image's features are the mean over SqueezeNet's layer fire9, not GoogLeNet's last layer.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from dl.layers.recurrent import RecurrentStack


class ShowAndTell(nn.Module):
    """A model for `dl.tasks.captioning`, without attention.

    Attributes:
        num_classes: V.
        embedding: E.
        hidden: H.
        dropout: of what the LSTM and the output layer are given.
    """

    num_classes: int
    embedding: int = 512
    hidden: int = 512
    dropout: float = 0.5
    dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        self.image = nn.Dense(self.embedding, dtype=self.dtype)
        self.word_embedding = nn.Embed(self.num_classes, self.embedding, dtype=self.dtype)
        self.decoder = RecurrentStack("lstm", self.hidden, 1, dtype=self.dtype)
        self.output = nn.Dense(self.num_classes, dtype=self.dtype)
        self.drop = nn.Dropout(self.dropout)

    def encode(self, features: Float[Array, "b y x d"]) -> tuple[Any, Any]:
        """Nothing to look at, [B, 0], and the state after the image."""
        mean = features.astype(self.dtype).mean((1, 2))
        _, states = self.decoder(self.image(mean)[:, None])
        return jnp.zeros((len(features), 0), self.dtype), states

    def decode(
        self, memory: Any, state: Any, symbols: Int[Array, "b t"], train: bool = False
    ) -> tuple[Float[Array, "b t v"], Any, Float[Array, "b t 0"], Float[Array, "b t 0"]]:
        """Scores of what follows each of these words, and the state after them; twice no weights."""
        embedded = self.drop(self.word_embedding(symbols), deterministic=not train)
        h, state = self.decoder(embedded, state)
        rows = self.drop(h, deterministic=not train).reshape(-1, self.hidden)
        nothing = jnp.zeros((*symbols.shape, 0), self.dtype)
        return self.output(rows).astype(jnp.float32).reshape(*symbols.shape, -1), state, nothing, nothing

    def __call__(self, features: Float[Array, "b y x d"], symbols: Int[Array, "b t"]) -> Float[Array, "b t v"]:
        """Scores float32 of what follows each word."""
        return self.decode(*self.encode(features), symbols)[0]


PUBLIC = {"show_and_tell": ShowAndTell}
