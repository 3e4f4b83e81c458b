"""Deep averaging network (Iyyer, Manjunatha, Boyd-Graber & Daume 2015, "Deep unordered composition rivals syntactic methods for
text classification", section 3): the mean of the words' vectors, and layers above it.

    layer      operation                                    parameters, V words of E = 300, H = 300, 5 classes
    embedding  a vector for each word, words dropped           300 V
    average    the mean over the words that are left           0
    hidden1    dense, tanh                                90,300
    hidden2    dense, tanh                                90,300
    hidden3    dense, tanh                                90,300
    output     scores (softmax in the loss)                1,505
                                                         272,405, and the words

Without hidden layers it is the neural bag of words of the paper. Deviations: none.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from dl.task import valid


class DeepAveraging(nn.Module):
    """Texts int [B, T] of so many symbols (`length` int [B]) to scores float32 [B, num_classes].

    Attributes:
        symbols: V.
        embedding: E.
        hidden: units of each layer.
        word_dropout: the part of a text's words that are left out in training, each with all of its vector (section 3.2); the
            mean of a text of which nothing is left is 0.
        dropout: of each hidden layer.
        word_scale: deviation of the words' vectors at first; 0 is one over the root of their length.
    """

    num_classes: int
    symbols: int
    embedding: int = 300
    hidden: tuple[int, ...] = (300, 300, 300)
    word_dropout: float = 0.3
    dropout: float = 0.0
    word_scale: float = 0.0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, text: Int[Array, "b t"], length: Int[Array, " b"], train: bool = False) -> Float[Array, "b classes"]:
        words = nn.initializers.normal(self.word_scale or self.embedding**-0.5)
        x = nn.Embed(self.symbols, self.embedding, dtype=self.dtype, embedding_init=words, name="embedding")(text)
        kept = valid(length, text.shape[1])
        if train and self.word_dropout:
            kept &= jax.random.bernoulli(self.make_rng("dropout"), 1 - self.word_dropout, kept.shape)
        weight = kept.astype(self.dtype)
        x = jnp.einsum("bte,bt->be", x, weight) / jnp.maximum(weight.sum(1, keepdims=True), 1)  # eq. 7
        for number, units in enumerate(self.hidden, start=1):
            x = jnp.tanh(nn.Dense(units, dtype=self.dtype, name=f"hidden{number}")(x))
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.num_classes, dtype=self.dtype, name="output")(x).astype(jnp.float32)


PUBLIC = {"deep_averaging": DeepAveraging}
