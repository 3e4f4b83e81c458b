"""Convolutional recurrent network (Shi, Bai & Yao 2015, table 1), which reads a word from left to right.

    layer                                                output of 32 x 100    parameters, 36 symbols and the blank
    conv1        3x3, 64                                  32 x 100 x 64                640
    maxpool1     2x2                                      16 x  50 x 64
    conv2        3x3, 128                                 16 x  50 x 128            73,856
    maxpool2     2x2                                       8 x  25 x 128
    conv3        3x3, 256                                  8 x  25 x 256           295,168
    conv4        3x3, 256                                  8 x  25 x 256           590,080
    maxpool4     2 high, 1 wide                            4 x  25 x 256
    conv5        3x3, 512, BatchNorm                       4 x  25 x 512         1,180,672
    conv6        3x3, 512, BatchNorm                       4 x  25 x 512         2,360,320
    maxpool6     2 high, 1 wide                            2 x  25 x 512
    conv7        2x2 without padding, 512                  1 x  24 x 512         1,049,088
    recurrent1   LSTM of 256 units forth and back, then        24 x 256          1,574,912 + 131,328
                 a dense layer of 256
    recurrent2   the same, without a dense layer               24 x 512          1,050,624
    output       fully connected, the last is the blank        24 x 37              18,981
                                                                                 8,325,669

ReLU after every convolution (after its BatchNorm). The paper gives 8.3 million parameters, which is with the dense layer
between the two LSTM that its text leaves out and public code of it has.

`crnn_attention` is the same up to `recurrent2`, with a speller that looks at these columns in place of the output (section 3.2
of Chan et al. 2016; Lee & Osindero 2016 read words so).

Deviations: no bias before BatchNorm. The second and third pooling windows of "1x2" in the table are 2 high and 1 wide, as the
text has it.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from dl.errors import UserError
from dl.layers.attention import Attention
from dl.layers.convolution import Conv
from dl.layers.pooling import max_pool
from dl.layers.recurrent import RecurrentStack
from dl.layers.residual import batch_norm
from dl.layers.spelling import SpellingLSTM

CHANNELS = (64, 128, 256, 256, 512, 512, 512)
POOLED = {1: (2, 2), 2: (2, 2), 4: (2, 1), 6: (2, 1)}  # after which convolution, by which window
HEIGHT = 32


class Columns(nn.Module):
    """The convolutions: images [B, 32, W, 1] to one vector for each of their columns [B, W / 4 - 1, C].

    Attributes:
        channels: of the seven convolutions.
        normalised: which of them BatchNorm follows, counted from 1.
    """

    channels: tuple[int, ...] = CHANNELS
    normalised: tuple[int, ...] = (5, 6)
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b t d"]:
        if x.shape[1] != HEIGHT or x.shape[2] < 8:
            raise UserError(
                f"the model crnn reads images {HEIGHT} pixels high and 8 or more wide, not {x.shape[1]}x{x.shape[2]}."
            )
        if len(self.channels) != len(CHANNELS):
            raise UserError(f"model.channels={self.channels}: crnn has {len(CHANNELS)} convolutions.")
        x = x.astype(self.dtype)
        for number, channels in enumerate(self.channels, 1):
            last, normal = number == len(self.channels), number in self.normalised
            size, padding = ((2, 2), "VALID") if last else ((3, 3), "SAME")
            init = nn.initializers.variance_scaling(2.0, "fan_in", "normal")
            options: dict[str, Any] = {"padding": padding, "use_bias": not normal, "dtype": self.dtype, "kernel_init": init}
            x = Conv(channels, size, name=f"conv{number}", **options)(x)
            x = nn.relu(batch_norm(train, self.dtype, f"norm{number}")(x) if normal else x)
            x = max_pool(x, POOLED[number]) if number in POOLED else x
        return x[:, 0]


class Encoder(nn.Module):
    """Columns and the two recurrent layers: images [B, 32, W, 1] to [B, W / 4 - 1, 2 H].

    Attributes:
        channels: see `Columns`.
        normalised: see `Columns`.
        hidden: H, units of an LSTM in each direction.
        dropout: of what each LSTM is given.
    """

    channels: tuple[int, ...] = CHANNELS
    normalised: tuple[int, ...] = (5, 6)
    hidden: int = 256
    dropout: float = 0.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b t d"]:
        x = Columns(self.channels, self.normalised, self.dtype, name="columns")(x, train)
        for number in (1, 2):
            stack = RecurrentStack("lstm", self.hidden, 1, True, self.dropout, dtype=self.dtype, name=f"recurrent{number}")
            x, _ = stack(x, (), None, train)
            if number == 1:
                between = nn.Dense(self.hidden, dtype=self.dtype, name="between")
                x = between(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:2], -1)
        return nn.Dropout(self.dropout, deterministic=not train)(x)


class CRNN(nn.Module):
    """Scores of each symbol at each column. Images [B, 32, W, 1] to float32 [B, W / 4 - 1, num_classes], the blank last.

    Attributes:
        num_classes: symbols and the blank.
        channels: see `Columns`.
        normalised: see `Columns`.
        hidden: units of an LSTM in each direction.
        dropout: of what each LSTM and the output are given.
    """

    num_classes: int
    channels: tuple[int, ...] = CHANNELS
    normalised: tuple[int, ...] = (5, 6)
    hidden: int = 256
    dropout: float = 0.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b t k"]:
        x = Encoder(self.channels, self.normalised, self.hidden, self.dropout, self.dtype, name="encoder")(x, train)
        scores = nn.Dense(self.num_classes, dtype=self.dtype, name="output")(x.reshape(-1, x.shape[-1]))
        return scores.astype(jnp.float32).reshape(*x.shape[:2], self.num_classes)


class CRNNAttention(nn.Module):
    """Images [B, 32, W, 1] to scores of the symbols one after another; symbol num_classes - 1 begins and ends a word.

    Attributes:
        num_classes: symbols and the end.
        channels: see `Columns`.
        normalised: see `Columns`.
        hidden: units of an LSTM of the encoder in each direction.
        speller: units of the speller's LSTM and of the embedding.
        dropout: of what each LSTM, the embedding and the output are given.
    """

    num_classes: int
    channels: tuple[int, ...] = CHANNELS
    normalised: tuple[int, ...] = (5, 6)
    hidden: int = 256
    speller: int = 256
    dropout: float = 0.0
    dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        self.encoder = Encoder(self.channels, self.normalised, self.hidden, self.dropout, self.dtype)
        self.embedding = nn.Embed(self.num_classes, self.speller, dtype=self.dtype)
        self.alignment = Attention("additive", self.speller, dtype=self.dtype)
        self.decoder = SpellingLSTM(self.speller, 1, "additive", self.dtype)
        self.output = nn.Dense(self.num_classes, dtype=self.dtype)
        self.drop = nn.Dropout(self.dropout)

    def encode(self, x: Float[Array, "b h w c"], train: bool = False) -> tuple[Any, Any]:
        """What the speller attends to, and its state before the first symbol."""
        values = self.encoder(x, train)
        places = jnp.full(len(values), values.shape[1], jnp.int32)
        memory = self.alignment.memory(values, places, self.speller)
        return memory, self.decoder.first_state(memory)

    def decode(
        self, memory: Any, state: Any, symbols: Int[Array, "b u"], train: bool = False
    ) -> tuple[Float[Array, "b u k"], Any, Float[Array, "b u t"]]:
        """Scores of what follows each of these symbols, the state after them, and the weights of the attention."""
        embedded = self.drop(self.embedding(symbols), deterministic=not train)
        parameters = self.alignment.parameters(self.speller, memory.values.shape[-1])
        given, state = self.decoder(embedded, state, memory, parameters)
        size = self.speller + memory.values.shape[-1]
        said = self.drop(given[..., :size], deterministic=not train)
        scores = self.output(said.reshape(-1, size)).astype(jnp.float32)
        return scores.reshape(*symbols.shape, -1), state, given[..., size:]

    def __call__(
        self, x: Float[Array, "b h w c"], symbols: Int[Array, "b u"], train: bool = False
    ) -> tuple[Float[Array, "b u k"], Float[Array, "b u t"]]:
        """Scores of what follows each symbol, and the attention's weights."""
        memory, state = self.encode(x, train)
        scores, _, weights = self.decode(memory, state, symbols, train)
        return scores, weights


PUBLIC = {"crnn": CRNN, "crnn_attention": CRNNAttention}
