"""Two networks that answer questions about an image without a layout. With 30 x 30 images, 15 words, C = 64, E = H = 64:

    LSTM and CNN (the baseline of Andreas et al. 2016, table 1)      relation network (Santoro et al. 2017, eq. 2)
    question   LSTM over the words               64      33,984      question and cells: the same
    cells      convolution 10x10 / 10, ReLU  3x3x64      19,264      g          3 dense layers on each pair of cells
    image      dense, of all cells, ReLU         64      36,928                 with their places and the question
    hidden     dense of both, ReLU               64       8,256      f          2 dense layers on the sum over pairs
    output     dense                              2         130

The relation network's objects are the cells of the image, each beside its row and column in -1..1.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from dl.layers.convolution import Conv
from dl.layers.recurrent import RecurrentStack


class QuestionReader(nn.Module):
    """Questions int [B, L], words padded with 0, to the state of an LSTM after the last word [B, H]."""

    symbols: int
    hidden: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, question: Int[Array, "b l"]) -> Float[Array, "b h"]:
        embedded = nn.Embed(self.symbols, self.hidden, dtype=self.dtype, name="embedding")(question)
        lengths = (question > 0).sum(1).astype(jnp.int32)
        _, states = RecurrentStack("lstm", self.hidden, 1, dtype=self.dtype, name="lstm")(embedded, (), lengths)
        last: Array = states[0][0]
        return last


class QuestionNetwork(nn.Module):
    """What both have: a model for `dl.tasks.visual_questions` that takes no notice of the layout.

    Attributes:
        num_classes: answers.
        symbols: words and the padding.
        channels: C.
        hidden: H.
        cell: pixels to a side of what the convolution sees, and of its step.
    """

    num_classes: int = 2
    symbols: int = 15
    channels: int = 64
    hidden: int = 64
    cell: int = 10
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, image: Float[Array, "b h w c"], question: Int[Array, "b l"], layout: Int[Array, "b m 2"], train: bool = False
    ) -> tuple[Float[Array, "b k"], Float[Array, "b 0 1 1"]]:
        """Scores of the answers; no maps."""
        asked = QuestionReader(self.symbols, self.hidden, self.dtype, name="question")(question)
        size = (self.cell, self.cell)
        x = nn.relu(Conv(self.channels, size, self.cell, padding="VALID", dtype=self.dtype, name="cells")(image))
        scores = self.dense(self.num_classes, "output")(self.joined(x, asked)).astype(jnp.float32)
        return scores, jnp.zeros((len(image), 0, 1, 1))

    def dense(self, features: int, name: str) -> Any:
        """A layer in the data type of the computation."""
        return nn.Dense(features, dtype=self.dtype, name=name)

    def joined(self, x: Float[Array, "b y x c"], asked: Float[Array, "b h"]) -> Float[Array, "b f"]:
        """What the output layer is given."""
        raise NotImplementedError


class LSTMAndCNN(QuestionNetwork):
    """Image and question side by side."""

    def joined(self, x: Float[Array, "b y x c"], asked: Float[Array, "b h"]) -> Float[Array, "b f"]:
        image = nn.relu(self.dense(self.hidden, "image")(x.reshape(len(x), -1)))
        return nn.relu(self.dense(self.hidden, "hidden")(jnp.concatenate([image, asked], axis=-1)))


class RelationNetwork(QuestionNetwork):
    """f(sum over pairs of g(o_i, o_j, q))."""

    def joined(self, x: Float[Array, "b y x c"], asked: Float[Array, "b h"]) -> Float[Array, "b f"]:
        batch, height, width = x.shape[:3]
        rows, columns = (jnp.linspace(-1, 1, size, dtype=self.dtype) for size in (height, width))
        place = jnp.stack(jnp.meshgrid(rows, columns, indexing="ij"), axis=-1)
        objects = jnp.concatenate([x, jnp.broadcast_to(place, (batch, height, width, 2))], axis=-1)
        objects = objects.reshape(batch, height * width, -1)
        # The first layer of g is linear in its parts, so that each is multiplied once and not in every pair.
        one, other = (self.dense(self.hidden, f"g1_{name}")(objects) for name in ("one", "other"))
        pairs = one[:, :, None] + other[:, None] + self.dense(self.hidden, "g1_question")(asked)[:, None, None]
        pairs = nn.relu(pairs).reshape(batch, -1, self.hidden)
        for number in (2, 3):
            pairs = nn.relu(self.dense(self.hidden, f"g{number}")(pairs))
        hidden = nn.relu(self.dense(self.hidden, "f1")(pairs.mean(1)))
        return nn.relu(self.dense(self.hidden, "f2")(hidden))


PUBLIC = {"lstm_cnn": LSTMAndCNN, "relation_network": RelationNetwork}
