"""Multinomial logistic regression (softmax regression; Bishop 2006, section 4.3.4).

    layer   operation         output   parameters
    dense1  fully connected       10        7,850   for 28 x 28 images: 784 x 10 + 10

Weights start at zero, which does no harm here: the loss is convex.
Deviations: none.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dl.layers.initializers import initializer


class LogisticRegression(nn.Module):
    """One affine map of the flattened input. x [B, ...]; returns logits [B, num_classes] float32.

    Raises:
        UserError: an unknown initializer.
    """

    num_classes: int = 10
    kernel_init: str = "zeros"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b ..."], train: bool = False) -> Float[Array, "b k"]:
        dense = nn.Dense(self.num_classes, dtype=self.dtype, kernel_init=initializer(self.kernel_init), name="dense1")
        return dense(x.reshape(len(x), -1)).astype(jnp.float32)


PUBLIC = {"logistic_regression": LogisticRegression}
