"""What the small ConvNets have in common: 5x5 convolutions, each with an activation and 2x2 pooling, then dense layers."""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dl.layers.activations import Activation
from dl.layers.convolution import Conv, Padding
from dl.layers.initializers import initializer
from dl.layers.pooling import pool


class ConvNet(nn.Module):
    """Images [B, H, W, C] to logits [B, num_classes] float32. The sizes are a subclass's, which calls `scores`.

    Attributes:
        num_classes: number of logits.
        activation: a name of `dl.layers.activations`.
        pooling: "max" or "average".
        kernel_init: a name of `dl.layers.initializers`, for all the weights; biases start at zero.
        dropout: share of the units of the hidden dense layers that is dropped in training.
        dtype: data type of the computation; parameters are float32.

    Raises:
        UserError: an unknown activation, pooling or initializer.
    """

    num_classes: int = 10
    activation: str = "relu"
    pooling: str = "max"
    kernel_init: str = "glorot"
    dropout: float = 0.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def scores(
        self,
        x: Float[Array, "b h w c"],
        convolutions: Sequence[tuple[int, Padding]],
        hidden: Sequence[int],
        pool_first: bool,
        train: bool,
    ) -> Float[Array, "b k"]:
        """The logits.

        Args:
            x: images.
            convolutions: number of maps and padding of each.
            hidden: number of units of each hidden dense layer.
            pool_first: whether the activation is taken after the pooling, which for a maximum gives the same for a quarter of
                the work, since activations increase.
            train: whether units are dropped.
        """
        init, reduce = initializer(self.kernel_init), pool(self.pooling)
        for i, (features, padding) in enumerate(convolutions, 1):
            x = Conv(features, (5, 5), padding=padding, dtype=self.dtype, kernel_init=init, name=f"conv{i}")(x)
            activate = Activation(self.activation, name=f"activation{i}")
            x = activate(reduce(x, (2, 2)), train) if pool_first else reduce(activate(x, train), (2, 2))
        x = x.reshape(len(x), -1)
        for i, width in enumerate(hidden, 1):
            x = nn.Dense(width, dtype=self.dtype, kernel_init=init, name=f"dense{i}")(x)
            x = Activation(self.activation, name=f"activation{len(convolutions) + i}")(x, train)
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        output = nn.Dense(self.num_classes, dtype=self.dtype, kernel_init=init, name=f"dense{len(hidden) + 1}")
        return output(x).astype(jnp.float32)
