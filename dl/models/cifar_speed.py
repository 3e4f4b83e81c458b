"""A net made to be trained to 94 % on CIFAR-10 in seconds (Jordan 2024, arXiv:2404.00498, section 3: airbench94).

    of 32 x 32 x 3                                    output     parameters
    whiten   2x2 valid, 24, frozen; GELU     31 x 31 x  24           312
    block1   3x3, 64; max-pooling 2x2; BatchNorm, GELU;
             3x3, 64; BatchNorm, GELU        15 x 15 x  64        50,816
    block2   the same with 256                 7 x 7 x 256       737,792
    block3   the same with 256                 3 x 3 x 256     1,180,160
             max-pooling 3x3                           256
    fc       without bias, divided by 9                 10         2,560
                                                               1,971,640

BatchNorm has biases but no scales. `whiten` is started from the data (`dl.transfer.whitening`) and frozen, but for its bias, by
the configuration. The first filters of each 3x3 convolution start as the identity: filter i passes channel i on.

Deviations: the bias of `whiten` starts at 0; the running variance of BatchNorm is the mean of biased ones.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dl.errors import UserError
from dl.layers.convolution import Conv
from dl.layers.pooling import max_pool

SMALLEST = 25  # leaves 3 x 3 after three poolings
HEAD_SCALE = 1 / 9
MOMENTUM, EPSILON = 0.6, 1e-12  # of BatchNorm

uniform = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")  # U(-a, a), a = 1 / sqrt(fan-in)


def partial_identity(key: Array, shape: Sequence[int], dtype: Any = jnp.float32, out_sharding: Any = None) -> Array:
    """Kernel [m, n, i, o], m and n odd: the first min(i, o) filters pass a channel on, the others are uniform."""
    kernel = uniform(key, shape, dtype)
    count = min(shape[2], shape[3])
    passing = jnp.zeros((*shape[:3], count), dtype)
    passing = passing.at[shape[0] // 2, shape[1] // 2, jnp.arange(count), jnp.arange(count)].set(1)
    return kernel.at[..., :count].set(passing)


class CifarSpeed(nn.Module):
    """The network; x [B, H, W, C] of 25x25 at least, 32x32 as published, to scores [B, num_classes] float32.

    Attributes:
        widths: widths of the blocks.
        dtype: data type of the computation; parameters and running statistics are float32.

    Raises:
        UserError: smaller images.
    """

    num_classes: int = 10
    widths: tuple[int, ...] = (64, 256, 256)
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b k"]:
        if min(x.shape[1:3]) < SMALLEST:
            got = "x".join(map(str, x.shape[1:3]))
            raise UserError(f"cifar_speed takes images of {SMALLEST}x{SMALLEST} at least, got {got}: set dataset.size=(32,32).")
        x = Conv(8 * x.shape[-1], (2, 2), padding="VALID", dtype=self.dtype, kernel_init=uniform, name="whiten")(x)
        x = nn.gelu(x, approximate=False)
        for number, width in enumerate(self.widths, 1):
            x = max_pool(self._conv(width, f"block{number}_conv1")(x), (2, 2))
            x = self._activated(x, f"block{number}_norm1", train)
            x = self._activated(self._conv(width, f"block{number}_conv2")(x), f"block{number}_norm2", train)
        x = max_pool(x, (3, 3)).mean(axis=(1, 2))  # 1 x 1 already, of images of the published size
        dense = nn.Dense(self.num_classes, use_bias=False, dtype=self.dtype, kernel_init=uniform, name="fc")
        return dense(x).astype(jnp.float32) * HEAD_SCALE

    def _conv(self, width: int, name: str) -> Conv:
        return Conv(width, (3, 3), padding=1, use_bias=False, dtype=self.dtype, kernel_init=partial_identity, name=name)

    def _activated(self, x: Float[Array, "b h w c"], name: str, train: bool) -> jax.Array:
        norm = nn.BatchNorm(
            use_running_average=not train,
            momentum=MOMENTUM,
            epsilon=EPSILON,
            use_scale=False,
            dtype=self.dtype,
            name=name,
        )
        return nn.gelu(norm(x), approximate=False)


PUBLIC = {"cifar_speed": CifarSpeed}
