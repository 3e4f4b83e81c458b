"""Local response normalisation: each map divided by the activity of its neighbours.

Krizhevsky, Sutskever & Hinton 2012, section 3.3:

    b_i = a_i / (k + alpha * sum of a_j^2 over j = max(0, i - n/2) ... min(N - 1, i + n/2)) ^ beta

N is the number of all maps of the layer. PyTorch's `LocalResponseNorm` and Caffe's divide alpha by n first.
"""

import functools

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from dl.errors import UserError


def local_response_norm(
    x: Float[Array, "*n c"], size: int = 5, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75
) -> Float[Array, "*n c"]:
    """The formula above over the last axis, in float32; the result has the dtype of x. `size` is n.

    Raises:
        UserError: an even or negative size.
    """
    if size < 1 or size % 2 == 0:
        raise UserError(f"local response normalisation is over an odd number of maps, not {size}.")
    channels, reach = x.shape[-1], size // 2
    squares = jnp.square(x.astype(jnp.float32))
    padded = jnp.pad(squares, [(0, 0)] * (x.ndim - 1) + [(reach, reach)])
    activity = functools.reduce(jnp.add, [padded[..., j : j + channels] for j in range(size)])
    return (x * (k + alpha * activity) ** -beta).astype(x.dtype)


class LocalResponseNorm(nn.Module):
    """`local_response_norm` as a layer with a name; no parameters."""

    size: int = 5
    k: float = 2.0
    alpha: float = 1e-4
    beta: float = 0.75

    @nn.compact
    def __call__(self, x: Float[Array, "*n c"]) -> Float[Array, "*n c"]:
        return local_response_norm(x, self.size, self.k, self.alpha, self.beta)
