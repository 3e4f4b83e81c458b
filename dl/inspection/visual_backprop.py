"""Which pixels a convolutional network drives by: VisualBackProp (Bojarski et al. 2017, section 3), made for PilotNet.

The maps of each convolution are averaged after their ReLU. From the deepest layer to the first, the mask so far is enlarged to
the size of the layer before it and multiplied with that layer's average: what is left lies where all layers were active.
Deviation: enlarged by bilinear interpolation, not by a deconvolution with a kernel of ones.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dl.layers.convolution import Conv


def visual_backprop(maps: Sequence[Float[Array, "b _ _ _"]], shape: tuple[int, int]) -> Float[Array, "b h w"]:
    """The mask of each image, brought to 0..1, in `shape` (height, width).

    Args:
        maps: what the convolutions give, the first layer's first; negative values count as 0.
        shape: of the image.
    """
    means = [jax.nn.relu(each).mean(-1) for each in maps]
    mask = means[-1]
    for before in means[-2::-1]:
        mask = _enlarged(mask, (before.shape[1], before.shape[2])) * before
    mask = _enlarged(mask, shape)
    low, high = mask.min((1, 2), keepdims=True), mask.max((1, 2), keepdims=True)
    return (mask - low) / jnp.maximum(high - low, 1e-12)


def convolutions(model: nn.Module, variables: Any, images: Float[Array, "b h w c"]) -> list[Array]:
    """What each convolution of a model gives [B, h, w, c], in the order in which they are called."""
    found: list[Array] = []

    def keep(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        out = call(*args, **kwargs)
        if isinstance(context.module, (Conv, nn.Conv)) and context.method_name == "__call__":
            found.append(out)
        return out

    with nn.intercept_methods(keep):
        model.apply(variables, images, train=False)
    return found


def _enlarged(mask: Array, shape: tuple[int, int]) -> Array:
    return jax.image.resize(mask, (len(mask), *shape), "bilinear")
