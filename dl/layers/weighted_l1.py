"""The weighted city-block comparison of two embeddings (Koch, Zemel & Salakhutdinov 2015, section 3.1)."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float


class WeightedL1(nn.Module):
    """sum_j alpha_j |a_j - b_j| + beta, the logit that a and b are the same; a, b [B, D], result [B] float32.

    Parameters: `kernel` [D, 1] (alpha), drawn from N(0, 0.2^2), and `bias` [1] (beta), from N(0.5, 0.01^2), as in section 3.3.
    """

    @nn.compact
    def __call__(self, a: Float[Array, "b d"], b: Float[Array, "b d"]) -> Float[Array, " b"]:
        kernel = self.param("kernel", nn.initializers.normal(0.2), (a.shape[-1], 1))
        bias = self.param("bias", shifted_normal(0.5, 0.01), (1,))
        return (jnp.abs(a - b).astype(jnp.float32) @ kernel + bias)[:, 0]


def shifted_normal(mean: float, deviation: float) -> nn.initializers.Initializer:
    """N(mean, deviation^2)."""
    draw = nn.initializers.normal(deviation)

    def init(*arguments: object, **settings: object) -> Array:
        return mean + draw(*arguments, **settings)  # type: ignore[arg-type]

    return init
