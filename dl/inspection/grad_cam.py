"""Where the evidence for a class lies: Grad-CAM (Selvaraju et al. 2017, section 3)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from dl.errors import UserError
from dl.inspection.programs import cut


def grad_cam(
    look: Callable[[Array], tuple[Array, Array]], images: Float[Array, "b h w c"], labels: Int[Array, " b"]
) -> Float[Array, "b y x"]:
    """ReLU(sum_k alpha_k A_k), alpha_k the mean over the map A_k of the derivative of the class's score (eq. 1 and 2).

    Args:
        look: images -> (scores [B, K], the maps A of a layer [B, y, x, D] that the scores are computed from).
        images: pixels.
        labels: the classes.

    Raises:
        UserError: the layer gives no maps.
    """
    _, maps, rest = cut(look, images)
    if maps.ndim != 4:
        raise UserError("Grad-CAM needs a layer that gives maps, and this one gives vectors: name another.")
    gradient = jax.grad(lambda maps: jnp.take_along_axis(rest(maps), labels[:, None], axis=1).sum())(maps)
    return jnp.maximum(jnp.einsum("byxd,bd->byx", maps, gradient.mean(axis=(1, 2))), 0)
