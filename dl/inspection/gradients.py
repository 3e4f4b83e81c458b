"""The gradient of a class's score by the pixels, and guided backpropagation, which is that with another rule for ReLUs."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from dl.inspection.programs import with_rule

Pixels = Float[Array, "b h w c"]
Scores = Callable[[Array], Array]  # pixels [B, H, W, C] in 0..1 -> scores [B, K], each image's its own


def input_gradient(scores: Scores, images: Pixels, labels: Int[Array, " b"], rule: str = "gradient") -> Pixels:
    """The derivative of each image's score of its label by its pixels (Simonyan, Vedaldi & Zisserman 2014, section 3).

    Args:
        scores: the network.
        images: pixels.
        labels: the classes.
        rule: for ReLUs, of `dl.inspection.programs`; "guided" is guided backpropagation (Springenberg et al. 2015).

    Raises:
        UserError: an unknown rule.
    """

    def total(images: Array) -> Array:
        return jnp.take_along_axis(scores(images), labels[:, None], axis=1).sum()

    return jax.grad(with_rule(total, rule))(images)


def scores_and_gradient(
    scores: Scores, images: Pixels, labels: Int[Array, " b"], of_loss: Bool[Array, ""] | bool
) -> tuple[Float[Array, "b k"], Pixels]:
    """The scores, and a derivative by the pixels: of the label's score, or, `of_loss`, of the cross-entropy over 1 - p.

    p is the probability of the label. The division changes no sign, and signs are what attacks follow; without it the
    derivative is lost to rounding where the network is sure (p = 1 in float32), and the attack changes nothing there.

    Both in one function, so that it is compiled once for all the methods that follow a gradient step by step.
    """
    values, back = jax.vjp(scores, images)
    own = jax.nn.one_hot(labels, values.shape[1], dtype=values.dtype)
    others = jax.nn.softmax(jnp.where(own > 0, -jnp.inf, values))
    return values, back(jnp.where(of_loss, others - own, own))[0]


def saliency(gradient: Pixels) -> Float[Array, "b h w"]:
    """The largest magnitude over the channels (Simonyan et al. 2014, section 3.1)."""
    return jnp.abs(gradient).max(axis=-1)
