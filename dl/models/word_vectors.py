"""Two vectors for each word, one where it is in the middle of a window and one where it stands beside another.

    word2vec (Mikolov, Sutskever, Chen, Corrado & Dean 2013)                 parameters
    input    vector of a word                                                     V x D
    output   vector of a word beside it (negative sampling),                      V x D
             or of an inner node of the Huffman tree (hierarchical softmax)   (V - 1) x D

    GloVe (Pennington, Socher & Manning 2014)
    input    vector and bias of a word                                      V x D,    V
    output   vector and bias of a word beside it                            V x D,    V

As in the authors' programs: word2vec's input vectors from U(-1/2D, 1/2D), its output vectors 0; all of GloVe's
from U(-1/2D, 1/2D). Deviations: none.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int


def uniform(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32, size: int = 0) -> jax.Array:
    """From U(-1/2D, 1/2D), D = `size` or the last axis."""
    width = size or shape[-1]
    return jax.random.uniform(key, shape, dtype, -0.5 / width, 0.5 / width)


class WordVectors(nn.Module):
    """word2vec's tables. Called with rows of `input` and of `output`, it gives their vectors.

    Attributes:
        num_classes: V, words.
        dimensions: D.
        nodes: rows of `output`, where they are not words; 0 is V.
    """

    num_classes: int
    dimensions: int = 100
    nodes: int = 0
    dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        self.input = self.param("input", uniform, (self.num_classes, self.dimensions))
        self.output = self.param("output", nn.initializers.zeros, (self.nodes or self.num_classes, self.dimensions))

    def __call__(
        self, inputs: Int[Array, "..."], outputs: Int[Array, "*rest"]
    ) -> tuple[Float[Array, "... d"], Float[Array, "*rest d"]]:
        return self.input[inputs].astype(self.dtype), self.output[outputs].astype(self.dtype)


class GloVe(nn.Module):
    """GloVe's tables. Called with pairs of words [B], it gives w_i . w~_j + b_i + b~_j, float32 [B].

    Attributes:
        num_classes: V, words.
        dimensions: D.
    """

    num_classes: int
    dimensions: int = 100
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, first: Int[Array, " b"], second: Int[Array, " b"]) -> Float[Array, " b"]:
        size, width = (self.num_classes, self.dimensions), self.dimensions

        def narrow(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
            return uniform(key, shape, size=width)

        inputs, outputs = self.param("input", uniform, size), self.param("output", uniform, size)
        of_input = self.param("input_bias", narrow, size[:1])
        of_output = self.param("output_bias", narrow, size[:1])
        products = (inputs[first].astype(self.dtype) * outputs[second].astype(self.dtype)).sum(-1)
        return products.astype(jnp.float32) + of_input[first] + of_output[second]


PUBLIC = {"word_vectors": WordVectors, "glove": GloVe}
