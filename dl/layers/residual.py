"""What blocks of residual nets share: BatchNorm as they set it, and branches that are dropped in training."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dl.errors import UserError

kernel_init = nn.initializers.variance_scaling(2.0, "fan_out", "normal")  # He et al. 2015, eq. 14


def batch_norm(train: bool, dtype: DTypeLike, name: str, scale_init: Initializer = nn.initializers.ones) -> nn.BatchNorm:
    """BatchNorm as PyTorch has it: epsilon 1e-5, and a batch counts 0.1 in the running statistics, which are float32.

    The running variance takes the batch's biased variance (Ioffe & Szegedy 2015 and PyTorch take the unbiased one there); what
    normalises the batch itself is the same.
    """
    return nn.BatchNorm(
        use_running_average=not train, momentum=0.9, epsilon=1e-5, dtype=dtype, scale_init=scale_init, name=name
    )


def survival(block: int, blocks: int, drop: float) -> float:
    """The probability that block `block` of `blocks`, counted from 1, survives: 1 - block / blocks * drop.

    The linear decay of Huang et al. 2016, eq. 4, where `drop` = 1 - p_L is the last block's.

    Raises:
        UserError: `drop` is not in 0..1.
    """
    if not 0 <= drop < 1:
        raise UserError(f"stochastic_depth {drop} must be at least 0 and below 1: it is the drop rate of the last block.")
    return 1 - block / blocks * drop


def dropped(
    branch: Float[Array, "b h w c"], survival: float, key: jax.Array | None, per_example: bool = False
) -> Float[Array, "b h w c"]:
    """Stochastic depth (Huang, Sun, Liu, Sedra & Weinberger 2016, eq. 2 and 5).

    In training, with a `key`, the branch survives or is zero, by one draw for the whole batch as in the paper or one for each
    example; otherwise it is multiplied by its probability of survival.
    """
    if survival == 1:
        return branch
    if key is None:
        return branch * jnp.asarray(survival, branch.dtype)
    draw = jax.random.bernoulli(key, survival, (len(branch) if per_example else 1, 1, 1, 1))
    return jnp.where(draw, branch, jnp.zeros((), branch.dtype))
