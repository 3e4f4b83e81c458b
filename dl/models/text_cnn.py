"""Convolutions over a sentence (Kim 2014, "Convolutional neural networks for sentence classification", section 2).

    layer        operation                                         output      parameters, V words of E = 300, 5 classes
    embedding    a vector for each word                            T x 300       300 V
    width3       windows of 3 words, ReLU, the largest of each map     100    90,100
    width4       windows of 4 words, likewise                          100   120,100
    width5       windows of 5 words, likewise                          100   150,100
    output       dropout, scores (softmax in the loss)                   5     1,505
                                                                             361,805, and the words

This is CNN-rand: all words are learned. A window may hang over either end of the sentence, as in the published program.
Deviation: the weights of a class are scaled down to a norm of 3 where they are used, not once after every update.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from dl.layers.initializers import initializer
from dl.task import valid


class TextCNN(nn.Module):
    """Texts int [B, T] of so many symbols (`length` int [B]) to scores float32 [B, num_classes].

    Attributes:
        symbols: V.
        embedding: E.
        widths: of the windows, in words.
        maps: of each width.
        dropout: of what is pooled.
        max_norm: of the weights of each class; 0 is no limit.
        word_scale: deviation of the words' vectors at first.
    """

    num_classes: int
    symbols: int
    embedding: int = 300
    widths: tuple[int, ...] = (3, 4, 5)
    maps: int = 100
    dropout: float = 0.5
    max_norm: float = 3.0
    word_scale: float = 0.15  # U(-0.25, 0.25) has this deviation
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, text: Int[Array, "b t"], length: Int[Array, " b"], train: bool = False) -> Float[Array, "b classes"]:
        words = nn.initializers.normal(self.word_scale)
        x = nn.Embed(self.symbols, self.embedding, dtype=self.dtype, embedding_init=words, name="embedding")(text)
        x = x * valid(length, text.shape[1])[:, :, None]
        pooled = [Windows(width, self.maps, self.dtype, name=f"width{width}")(x, length) for width in self.widths]
        x = nn.Dropout(self.dropout, deterministic=not train)(jnp.concatenate(pooled, axis=-1))
        kernel = self.param("output_kernel", initializer("glorot"), (x.shape[-1], self.num_classes))
        bias = self.param("output_bias", nn.initializers.zeros, (self.num_classes,))
        return (x @ limited(kernel, self.max_norm).astype(self.dtype) + bias.astype(self.dtype)).astype(jnp.float32)


class Windows(nn.Module):
    """Maps over windows of `width` words, as patches times a matrix; of each the largest: [B, T, E] to [B, maps].

    Only windows that hold a word of the text count.
    """

    width: int
    maps: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b t e"], length: Int[Array, " b"]) -> Float[Array, "b m"]:
        beyond, size = self.width - 1, x.shape[1]
        padded = jnp.pad(x, ((0, 0), (beyond, beyond), (0, 0)))
        windows = jnp.concatenate([padded[:, i : i + size + beyond] for i in range(self.width)], axis=-1)
        maps = nn.Dense(self.maps, dtype=self.dtype, name="dense")(windows.reshape(-1, windows.shape[-1]))
        maps = nn.relu(maps).reshape(*windows.shape[:2], -1)
        return jnp.where(valid(length + beyond, size + beyond)[:, :, None], maps, 0).max(1)  # 0 is the least after ReLU


def limited(kernel: Float[Array, "n k"], most: float) -> Float[Array, "n k"]:
    """Columns scaled down to a norm of `most`, those that are longer; 0 is no limit."""
    if not most:
        return kernel
    norm = jnp.sqrt(jnp.maximum(jnp.square(kernel).sum(0), jnp.finfo(kernel.dtype).tiny))
    return kernel * jnp.minimum(1.0, most / norm)


PUBLIC = {"text_cnn": TextCNN}
