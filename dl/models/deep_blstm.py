"""Deep bidirectional LSTM for speech (Graves, Mohamed & Hinton 2013, table 1: "CTC-3l-250h").

    layer                   operation                             output of a frame   parameters, 123 features, 61 phonemes
    layer1                  LSTM of 250 units forth and back                    500     749,500
    layer2, layer3          the same                                            500   3,007,000
    output                  fully connected, the last is the blank               62      31,062
                                                                                      3,787,562

An LSTM of H units and D inputs has 4 H (D + H + 1) weights, with peepholes 3 H more. The published table gives 3.8 million.

Deviations: `join` sets so many neighbouring frames side by side, and the network sees one in place of them (Sak et al. 2015,
section 2), where the published one reads every frame; dropout in place of the weight noise.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from dl.layers.listening import joined, without_padding
from dl.layers.recurrent import RecurrentStack


class DeepBLSTM(nn.Module):
    """Scores of each symbol at each frame. Frames [B, T, D], of which `length` count, to [B, T / join, K] and their lengths.

    Attributes:
        num_classes: K, the symbols and the blank.
        hidden: units of a layer in each direction.
        layers: how many.
        cell: a name of `dl.layers.cells.CELLS`.
        join: frames that are set side by side.
        dropout: of the input of each layer and of the output.
    """

    num_classes: int
    hidden: int = 250
    layers: int = 3
    cell: str = "lstm_peephole"
    join: int = 1
    dropout: float = 0.0
    dtype: DTypeLike = jnp.float32

    def output_length(self, length: Any) -> Any:
        """How many frames come out, where so many go in."""
        return -(-length // self.join)

    @nn.compact
    def __call__(
        self, x: Float[Array, "b t d"], length: Int[Array, " b"], train: bool = False
    ) -> tuple[Float[Array, "b s k"], Int[Array, " b"]]:
        x = joined(without_padding(x, length), self.join)
        length = self.output_length(length)
        stack = RecurrentStack(self.cell, self.hidden, self.layers, True, self.dropout, dtype=self.dtype, name="recurrent")
        x, _ = stack(x.astype(self.dtype), (), length, train)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        scores = nn.Dense(self.num_classes, dtype=self.dtype, name="output")(x.reshape(-1, x.shape[-1]))
        return scores.astype(jnp.float32).reshape(*x.shape[:2], self.num_classes), length


PUBLIC = {"deep_blstm": DeepBLSTM}
