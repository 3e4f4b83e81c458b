"""Images and sentences in one space (Kiros, Salakhutdinov & Zemel 2014, section 2.1, "visual-semantic embeddings"; the loss is
that of Karpathy & Fei-Fei 2015). Of V words and D features of the image; with V = 2,540, D = 512, E = 256, S = 512:

    layer      operation                                            output   parameters
    image      dense, of the mean of the places                        512      262,656   D S + S
    embedding  a vector for each word                                  256      650,240   V E
    sentence   GRU; its state after the last word                      512    1,181,184   3 (E + S + 1) S
    both       divided by their length                                 512
                                                                              2,094,080

Deviations: a GRU in place of an LSTM, as in Faghri et al. 2018; the image's features are SqueezeNet's.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from dl.layers.recurrent import RecurrentStack


class VisualSemantic(nn.Module):
    """A model for `dl.tasks.image_text_retrieval`: `image` and `sentence` give unit vectors float32.

    Attributes:
        num_classes: V.
        embedding: E.
        space: S.
        dropout: of words and of the image's features.
    """

    num_classes: int
    embedding: int = 256
    space: int = 512
    dropout: float = 0.0
    dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        self.of_image = nn.Dense(self.space, dtype=self.dtype)
        self.word_embedding = nn.Embed(self.num_classes, self.embedding, dtype=self.dtype)
        self.reader = RecurrentStack("gru", self.space, 1, dtype=self.dtype)
        self.drop = nn.Dropout(self.dropout)

    def image(self, features: Float[Array, "b y x d"], train: bool = False) -> Float[Array, "b s"]:
        """Of the features of images."""
        mean = self.drop(features.astype(self.dtype).mean((1, 2)), deterministic=not train)
        return unit(self.of_image(mean))

    def sentence(self, symbols: Int[Array, "n t"], length: Int[Array, " n"], train: bool = False) -> Float[Array, "n s"]:
        """Of sentences, padded; `length` counts their words."""
        embedded = self.drop(self.word_embedding(symbols), deterministic=not train)
        _, states = self.reader(embedded, (), length)
        return unit(states[0][0])

    def __call__(
        self, features: Float[Array, "b y x d"], symbols: Int[Array, "n t"], length: Int[Array, " n"]
    ) -> tuple[Float[Array, "b s"], Float[Array, "n s"]]:
        """Both."""
        return self.image(features), self.sentence(symbols, length)


def unit(x: Float[Array, "n s"]) -> Float[Array, "n s"]:
    """Vectors of length 1, float32."""
    x = x.astype(jnp.float32)
    return x / jnp.sqrt(jnp.maximum(jnp.square(x).sum(-1, keepdims=True), 1e-12))


PUBLIC = {"visual_semantic": VisualSemantic}
