"""What a classifier sees last: the inputs of its last fully connected layer, taken from outside, whatever the model is."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dl.layers.convolution import convolve

RANDOM_WIDTHS = (16, 32, 64)


def scores_and_features(
    model: nn.Module, variables: Mapping[str, Any], images: Float[Array, "b h w c"]
) -> tuple[Float[Array, "b k"], Float[Array, "b d"]]:
    """A classifier's scores, and the inputs of the `nn.Dense` that it calls last: for LeNet-5's modern form 84 numbers.

    Raises:
        ValueError: the model has no fully connected layer.
    """
    inputs: list[Array] = []

    def intercept(method: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        if isinstance(context.module, nn.Dense) and context.method_name == "__call__":
            inputs.append(args[0])
        return method(*args, **kwargs)

    with nn.intercept_methods(intercept):
        scores: Any = model.apply(variables, images, train=False)
    if not inputs:
        raise ValueError(f"{type(model).__name__} has no fully connected layer")
    return scores, inputs[-1].reshape(len(images), -1).astype(jnp.float32)


def random_features(images: Float[Array, "b h w c"]) -> Float[Array, "b 64"]:
    """64 features of images in 0..1 from a fixed network that was never trained.

    Three convolutions of 3x3 and stride 2 with leaky rectifiers, then a projection of all that is left; weights from a fixed
    key, N(0, 2 / inputs). Distances in it tell one set of images from another of the same size, and compare with nothing else.
    """
    x = 2 * images - 1
    keys = jax.random.split(jax.random.key(0xFEA7), len(RANDOM_WIDTHS) + 1)
    for key, width in zip(keys, RANDOM_WIDTHS, strict=False):
        kernel = jax.random.normal(key, (3, 3, x.shape[-1], width)) * jnp.sqrt(2 / (9 * x.shape[-1]))
        x = nn.leaky_relu(convolve(x, kernel, (2, 2)), 0.2)
    x = x.reshape(len(x), -1)
    return x @ (jax.random.normal(keys[-1], (x.shape[1], 64)) / jnp.sqrt(x.shape[1]))
