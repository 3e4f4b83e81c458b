"""A small convolutional tower for 28x28 images (the embedding of Vinyals et al. 2016, section 4.1, with a linear layer on top).

    layer   operation                                            output          parameters
    conv1   convolution 3x3, same; batch normalisation; ReLU     28 x 28 x 64           704
            max-pooling 2x2                                      14 x 14 x 64
    conv2   the same                                              7 x  7 x 64        36,992
    conv3   the same                                              3 x  3 x 64        36,992
    conv4   the same                                              1 x  1 x 64        36,992
    dense   fully connected                                                64         4,160
                                                                                    115,840

Deviations: the linear layer, so that any size of embedding can be asked for; convolutions have no bias, which the normalisation
after them would take away.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dl.errors import UserError
from dl.layers.activations import Activation
from dl.layers.convolution import Conv
from dl.layers.pooling import max_pool


class SmallTower(nn.Module):
    """Convolution, batch normalisation, ReLU and pooling, `blocks` times. x [B, H, W, C]; returns [B, num_classes] float32.

    Attributes:
        num_classes: D, the size of the embedding.
        features: maps of every convolution.
        blocks: how many; each halves the sides.
        output: activation of the embedding, a name of `dl.layers.activations`.
        momentum: momentum of the running statistics.

    Raises:
        UserError: images of fewer than 2^blocks pixels on a side; an unknown activation.
    """

    num_classes: int = 64
    features: int = 64
    blocks: int = 4
    output: str = "identity"
    momentum: float = 0.9
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b d"]:
        if min(x.shape[1:3]) < 2**self.blocks:
            got, least = "x".join(map(str, x.shape[1:3])), 2**self.blocks
            raise UserError(f"small_tower with blocks={self.blocks} takes images of at least {least}x{least}, got {got}.")
        for i in range(1, self.blocks + 1):
            x = Conv(self.features, (3, 3), use_bias=False, dtype=self.dtype, name=f"conv{i}")(x)
            norm = nn.BatchNorm(not train, momentum=self.momentum, dtype=self.dtype, name=f"norm{i}")
            x = max_pool(nn.relu(norm(x)), (2, 2))
        x = nn.Dense(self.num_classes, dtype=self.dtype, name="dense")(x.reshape(len(x), -1))
        return Activation(self.output, name="output")(x.astype(jnp.float32), train)


PUBLIC = {"small_tower": SmallTower}
