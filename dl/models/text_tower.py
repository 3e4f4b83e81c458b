"""One side of a Siamese net for texts (Neculoiu, Versteegh & Rotaru 2016, "Learning text similarity with Siamese recurrent
networks", section 3.1): characters, a stack of bidirectional LSTM layers, the mean over time, a fully connected layer.

    layer       operation                   output of a step    parameters: V = 27, E = 32, H = 64, 1 layer, D = 128
    embedding   a vector for each symbol                   E       864
    recurrent   LSTM in both directions                   2H    49,664   2 x 4H (E + H + 1) of the first layer
    mean        over the text                             2H
    output      fully connected                            D    16,512

Deviations: one layer of the paper's four, unless set; no dropout unless set (0.2 to 0.4 there, on recurrent and other units).
"""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from dl.layers.recurrent import RecurrentStack
from dl.task import valid


class TextTower(nn.Module):
    """Texts int [B, T], padded, and their lengths to embeddings float32 [B, num_classes].

    Attributes:
        symbols: V, of the vocabulary.
        cell: a name of `dl.layers.cells.CELLS`.
        embedding: E. hidden: H, of each direction. layers: L.
        dropout: of the input of each layer and of the mean.
    """

    num_classes: int
    symbols: int
    cell: str = "lstm"
    embedding: int = 32
    hidden: int = 64
    layers: int = 1
    dropout: float = 0.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, text: Int[Array, "b t"], length: Int[Array, " b"], train: bool = False) -> Float[Array, "b d"]:
        x = nn.Embed(self.symbols, self.embedding, dtype=self.dtype, name="embedding")(text)
        stack = RecurrentStack(self.cell, self.hidden, self.layers, True, self.dropout, dtype=self.dtype, name="recurrent")
        outputs, _ = stack(x, (), length, train)
        within = valid(length, text.shape[1])[:, :, None]
        mean = jnp.where(within, outputs, 0).sum(1) / jnp.maximum(length, 1)[:, None]
        mean = nn.Dropout(self.dropout, deterministic=not train)(mean)
        return nn.Dense(self.num_classes, dtype=self.dtype, name="output")(mean).astype(jnp.float32)


PUBLIC = {"text_tower": TextTower}
