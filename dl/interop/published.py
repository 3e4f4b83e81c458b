"""What is published for a model: where its weights are in a file, and what images it takes.

A module of this package offers, in `WEIGHTS`, for each model that it knows published weights of, a function from the arrays of
a file (none where weights are to be written) to a `Published`.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from dl import registry
from dl.errors import unknown
from dl.interop import own, torchvision
from dl.interop.torchvision import Arrays, Layout

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pixels in 0..1: torchvision's
CIFAR: dict[str, Any] = {"mean": (0.4914, 0.4822, 0.4465), "std": (0.2470, 0.2435, 0.2616), "side": 32, "resize": 32}


class Published(NamedTuple):
    """What is published for a model.

    layout: the model -> where torchvision keeps its layers.
    mean, std: mean and deviation of the network's input: it takes (rgb - mean) / std of RGB in 0..1, one number a channel.
    settings: settings of the model that the weights were made for.
    side: side of the square that it takes; 0 where nothing is published, so that a record must say it.
    resize: the shorter side of an image before that square is cut out of its middle.
    renamed: arrays by other published names -> by torchvision's, in PyTorch's layout.
    """

    layout: Callable[[Any], Layout]
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD
    settings: Mapping[str, Any] = {}
    side: int = 224
    resize: int = 256
    renamed: Callable[[Arrays], dict[str, np.ndarray]] = dict


OWN = Published(own.layout, side=0, resize=0)


def published(name: str, arrays: Arrays) -> Published:
    """What is published for the model `name`, told by the arrays of a file where there are several versions; else `OWN`.

    Raises:
        UserError: there is no such model.
    """
    known, models = registry.public("dl.interop", "WEIGHTS"), registry.public("dl.models")
    if name not in known and name not in models:
        raise unknown("model", name, {**models, **known})
    return known[name](arrays) if name in known else OWN


def build(name: str, settings: Mapping[str, Any], num_classes: int, dtype: DTypeLike = jnp.float32) -> nn.Module:
    """The model `name` with settings that come from the user.

    Raises:
        UserError: unknown names.
    """
    make = registry.find("dl.models", "model", name)
    return registry.call(make, f"the model {name}", settings, num_classes=num_classes, dtype=jnp.dtype(dtype))


def shapes(model: nn.Module, shape: tuple[int, int, int]) -> Any:
    """The shapes of a model's variables for images [H, W, C]."""
    return jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct((1, *shape), jnp.float32))


def classes(layout: Layout, model: Any, state: Arrays, otherwise: int) -> int:
    """How many classes a state dict is for: the rows of the last layer's weights; `otherwise` where it lacks them."""
    last = state.get(f"{layout.module(model.layers[-1])}.weight")
    return otherwise if last is None else len(last)


def part(found: Published, model: nn.Module, template: Any, arrays: Arrays, source: str, name: str) -> Any:
    """The variables of `template`, a part of the model's, from the arrays of a file; see `torchvision.from_state`."""
    return torchvision.from_state(found.layout(model), template, found.renamed(arrays), source, name, whole=False)
