"""Losses that compare images by what a network makes of them (Gatys, Ecker & Bethge 2016, section 2), and smoothness.

`relative` losses are divided by the square of their target, so that 1 means "as far as nothing at all" in every layer of every
network, and one set of weights serves all. The others are the paper's.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

SMALL = 1e-8


def content_loss(features: Float[Array, "... c"], target: Float[Array, "... c"], relative: bool) -> Float[Array, ""]:
    """Eq. 1: half the squared distance; relative: the squared distance over the target's square."""
    squared = jnp.square(features - target).sum()
    return squared / (jnp.square(target).sum() + SMALL) if relative else squared / 2


def gram(features: Float[Array, "h w c"], shares: Float[Array, "k h w"]) -> Float[Array, "k c c"]:
    """Eq. 3 over the number of positions, G_ij = sum_p F_pi F_pj / M, of each of K regions.

    `shares` say how much of each position a region covers; for the whole image they are one region of ones. (Guided Gram
    matrices: Gatys et al. 2017, "Controlling perceptual factors in neural style transfer", section 4.)
    """
    flat, weights = features.reshape(-1, features.shape[-1]), shares.reshape(len(shares), -1)
    sums = jnp.stack([(flat * weight[:, None]).T @ flat for weight in weights])
    return sums / jnp.maximum(weights.sum(axis=1), SMALL)[:, None, None]


def style_loss(
    grams: Float[Array, "k c c"], targets: Float[Array, "s k c c"], weights: Float[Array, "s k"], relative: bool
) -> Float[Array, ""]:
    """Eq. 4, 1 / (4 N^2) sum (G - A)^2 with Gram matrices over M, each style's and region's times its weight.

    Where image and style have as many positions, this is the paper's 1 / (4 N^2 M^2) of Gram matrices that are sums.
    """
    squared = jnp.square(grams - targets).sum(axis=(2, 3))
    scale = jnp.square(targets).sum(axis=(2, 3)) + SMALL if relative else 4.0 * grams.shape[-1] ** 2
    return (weights * squared / scale).sum()


def total_variation(pixels: Float[Array, "h w c"]) -> Float[Array, ""]:
    """The squares of the differences between neighbours, down and right, added up, over the number of values."""
    down, right = jnp.diff(pixels, axis=0), jnp.diff(pixels, axis=1)
    return (jnp.square(down).sum() + jnp.square(right).sum()) / pixels.size
