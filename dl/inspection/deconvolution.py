"""What in an image excites a feature: deconvolutional projection (Zeiler & Fergus 2014, section 2.1).

All activations of a layer but one are set to zero, and that one is passed back to the pixels: unpooled to the places where the
maxima were (the "switches"), rectified at each ReLU, filtered by the transposed filters. That is the backward pass of the
network with the rule "deconvnet" for its ReLUs, since max-pooling's gradient goes to the switches, and a convolution's is the
transposed one. Local response normalisation and batch normalisation pass signals back by their gradients.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from dl.inspection.programs import with_rule


class Projections(NamedTuple):
    """Of the strongest activation of each of a layer's strongest channels, the strongest first.

    images: what it sees, signed, in no unit. channels: which. peaks: how strong. places: (row, column) in the layer's maps.
    """

    images: Float[Array, "n h w c"]
    channels: Int[Array, " n"]
    peaks: Float[Array, " n"]
    places: Int[Array, "n 2"]


def projections(
    layer: Callable[[Array], Array], image: Float[Array, "h w c"], count: int = 9, rule: str = "deconvnet"
) -> Projections:
    """Projects a layer's strongest activations, one of a channel, down to the pixels.

    Args:
        layer: images [B, H, W, C] -> what the layer gives, [B, h, w, D] or [B, D].
        image: one image.
        count: how many; fewer where the layer has fewer channels.
        rule: for ReLUs, of `dl.inspection.programs`.
    """
    values = layer(image[None])
    flat = values.reshape(-1, values.shape[-1])
    peaks, channels = jax.lax.top_k(flat.max(axis=0), min(count, flat.shape[1]))
    at = flat.argmax(axis=0)[channels]
    number = jnp.arange(len(channels))
    # A batch of copies, each with a signal of its own: a backward pass under `vmap` is slower on the CPU.
    copies, back = jax.vjp(with_rule(layer, rule), jnp.repeat(image[None], len(channels), axis=0))
    seeds = jnp.zeros((len(channels), *flat.shape), values.dtype).at[number, at, channels].set(peaks)
    width = values.shape[2] if values.ndim == 4 else 1
    places = jnp.stack([at // width, at % width], axis=1)
    return Projections(back(seeds.reshape(copies.shape))[0], channels, peaks, places)
