"""Encoders that read many frames and give few: a pyramid of recurrent layers, and convolutions before recurrent layers."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from dl.layers.convolution import Conv
from dl.layers.pooling import max_pool
from dl.layers.recurrent import RecurrentStack
from dl.task import valid


def joined(x: Float[Array, "b t d"], count: int) -> Float[Array, "b s e"]:
    """So many neighbouring frames side by side, the last filled up with zeros."""
    if count == 1:
        return x
    x = jnp.pad(x, ((0, 0), (0, -x.shape[1] % count), (0, 0)))
    return x.reshape(len(x), -1, count * x.shape[2])


def without_padding(x: Float[Array, "b t ..."], length: Int[Array, " b"]) -> Float[Array, "b t ..."]:
    """The same with zeros past each sequence's end."""
    return jnp.where(valid(length, x.shape[1]).reshape(*x.shape[:2], *(1,) * (x.ndim - 2)), x, 0)


class Pyramid(nn.Module):
    """Bidirectional LSTM layers, each but the first on pairs of what is below it (Chan et al. 2016, section 3.1, eq. 5).

    Attributes:
        features: H, in each direction.
        halvings: how many layers there are above the first; time is 2^halvings times shorter.
        dropout: of the input of each layer but the first.
    """

    features: int
    halvings: int = 3
    dropout: float = 0.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b t d"], length: Int[Array, " b"], train: bool = False
    ) -> tuple[Float[Array, "b s h"], Int[Array, " b"]]:
        x = without_padding(x, length)
        for number in range(self.halvings + 1):
            if number:
                x, length = joined(x, 2), -(-length // 2)
                x = nn.Dropout(self.dropout, deterministic=not train)(x)
            layer = RecurrentStack("lstm", self.features, 1, True, dtype=self.dtype, name=f"layer{number + 1}")
            x, _ = layer(x, (), length, train)
        return x, length


class ConvolutionalListener(nn.Module):
    """Two blocks of two 3x3 convolutions and a 2x2 pooling over time and frequency, then bidirectional LSTM layers (Hori,
    Watanabe, Zhang & Chan 2017, section 3.3: the first layers of VGG). Time is four times shorter.

    Attributes:
        features: H of the LSTM, in each direction.
        layers: of the LSTM.
        channels: of the two blocks (published: 64 and 128).
        dropout: of the input of each layer of the LSTM.
    """

    features: int
    layers: int = 2
    channels: tuple[int, int] = (64, 128)
    dropout: float = 0.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b t d"], length: Int[Array, " b"], train: bool = False
    ) -> tuple[Float[Array, "b s h"], Int[Array, " b"]]:
        x = without_padding(x, length)[..., None].astype(self.dtype)
        for block, channels in enumerate(self.channels, 1):
            for number in (1, 2):
                x = nn.relu(Conv(channels, (3, 3), dtype=self.dtype, name=f"conv{block}_{number}")(x))
                x = without_padding(x, length)
            x = max_pool(jnp.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0))), (2, 2))
            length = -(-length // 2)
        x = x.reshape(*x.shape[:2], -1)
        stack = RecurrentStack("lstm", self.features, self.layers, True, self.dropout, dtype=self.dtype, name="recurrent")
        return stack(x, (), length, train)[0], length
