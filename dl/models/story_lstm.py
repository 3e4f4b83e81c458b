"""An LSTM that reads a story, then the question, word by word, and answers from its last state: the baseline of Weston, Bordes,
Chopra & Mikolov 2015 ("Towards AI-complete question answering", section 5), which do not state its sizes.

    embedding   a vector for each symbol             V E
    recurrent   LSTM                                 4 H (E + H + 1)
    output      scores of the answers                V (H + 1)
"""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from dl.layers.recurrent import RecurrentStack


class StoryLSTM(nn.Module):
    """Answers a question about a story; called as `dl.models.memory_network.MemoryNetwork`, without hops.

    Attributes:
        cell: a name of `dl.layers.cells.CELLS`.
        embedding: E. hidden: H. layers: how many.
        dropout: of the input of each layer and of the last state.
    """

    num_classes: int
    cell: str = "lstm"
    embedding: int = 32
    hidden: int = 64
    layers: int = 1
    dropout: float = 0.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        story: Int[Array, "b s w"],
        length: Int[Array, " b"],
        question: Int[Array, "b q"],
        age: Int[Array, "b s"],
        linear: bool = False,
        train: bool = False,
    ) -> tuple[Float[Array, "b v"], Float[Array, "b k s"]]:
        """Scores of the symbols, float32, and the attention of no hop [B, 0, S]; `age` and `linear` are not used."""
        text = jnp.where((jnp.arange(story.shape[1]) < length[:, None])[:, :, None], story, 0).reshape(len(story), -1)
        words, count = packed(jnp.concatenate([text, question], 1))
        x = nn.Embed(self.num_classes, self.embedding, dtype=self.dtype, name="embedding")(words)
        stack = RecurrentStack(self.cell, self.hidden, self.layers, dropout=self.dropout, dtype=self.dtype, name="recurrent")
        _, states = stack(x, (), count, train)
        last = nn.Dropout(self.dropout, deterministic=not train)(states[-1][0])
        scores = nn.Dense(self.num_classes, dtype=self.dtype, name="output")(last)
        return scores.astype(jnp.float32), jnp.zeros((len(story), 0, story.shape[1]), jnp.float32)


def packed(words: Int[Array, "b t"]) -> tuple[Int[Array, "b t"], Int[Array, " b"]]:
    """The words that are not 0 first, in their order, and how many there are: nothing is read between sentences."""
    order = jnp.argsort(words == 0, axis=1, stable=True)
    return jnp.take_along_axis(words, order, 1), (words != 0).sum(1, dtype=jnp.int32)


PUBLIC = {"story_lstm": StoryLSTM}
