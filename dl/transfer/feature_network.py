"""A trained network as a feature extractor: the outputs of some of its layers, its parameters frozen.

With the weights that are published for it, or untrained, from a fixed seed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from dl.data import image_files
from dl.errors import UserError
from dl.interop import published as interop
from dl.interop import weights
from dl.task import Tree

CLASSES = 1000  # of ImageNet, which the networks are made for
UNTRAINED = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)  # mean and deviation of the pixels
NETWORK_SEED = 0  # of an untrained network, the same for all replicas
ANY_SIDE = 224  # of an image, large enough for every layer; convolutions have the same parameters at any size

Features = dict[str, Float[Array, "h w c"]]


@dataclass(frozen=True)
class Network:
    """A frozen network.

    model: Linen module with a method `features`.
    layers: names of the layers whose outputs are the features.
    mean, std: mean and deviation [3] by which pixels in 0..1 are standardised.
    params: its parameters, as far as the layers need them.
    """

    model: Any
    layers: tuple[str, ...]
    mean: Float[Array, " 3"]
    std: Float[Array, " 3"]
    params: Tree

    def features(self, params: Tree, pixels: Float[Array, "height width channels"]) -> Features:
        """Layer -> features [h, w, c] of an image in 0..1; one channel is a grey image."""
        return {layer: values[0] for layer, values in self.of_batch(params, pixels[None]).items()}

    def of_batch(self, params: Tree, pixels: Float[Array, "b height width channels"]) -> dict[str, Float[Array, "b h w c"]]:
        """Layer -> features [B, h, w, c] of images."""
        rgb = jnp.broadcast_to(pixels, (*pixels.shape[:3], 3))
        inputs = (rgb - self.mean) / self.std
        found: Any = self.model.apply({"params": params}, inputs, self.layers, method="features")
        return {layer: values.astype(jnp.float32) for layer, values in found.items()}


def build(config: ConfigDict, name: str, layers: tuple[str, ...], manual_dir: str | None) -> Network:
    """The network of `config.model`, as far as the layers in use.

    Args:
        config: whose sections `model` and `dtype` describe the network.
        name: file of its weights, from here or in the folder of archives; "" leaves it untrained.
        layers: names of the layers whose outputs are the features.
        manual_dir: folder of archives.

    Raises:
        UserError: a model whose layers can't be looked at, unknown layers, weights that are missing or don't fit.
    """
    settings = config.model.to_dict()
    model_name = settings.pop("name")
    if not name:
        model = _model(model_name, settings, config.dtype)
        create = _checked(model, model_name, layers)
        params = jax.jit(lambda key: create(key)[1]["params"])(jax.random.key(NETWORK_SEED))
        return Network(model, layers, jnp.asarray(UNTRAINED[0]), jnp.asarray(UNTRAINED[1]), params)
    path = image_files.find(name, manual_dir, "the file of weights")
    arrays = weights.read(path)
    published = interop.published(model_name, arrays)
    model = _model(model_name, {**published.settings, **settings}, config.dtype)
    shapes = jax.eval_shape(_checked(model, model_name, layers), jax.random.key(NETWORK_SEED))[1]
    params = interop.part(published, model, shapes, arrays, str(path), model_name)["params"]
    return Network(model, layers, jnp.asarray(published.mean), jnp.asarray(published.std), params)


def _model(name: str, settings: dict[str, Any], dtype: str) -> Any:
    model = interop.build(name, settings, CLASSES, dtype)
    if not hasattr(model, "features"):
        raise UserError(f"the model {name} can't be looked into: style transfer takes squeezenet, vgg16 or vgg19.")
    return model


def _checked(model: Any, name: str, layers: tuple[str, ...]) -> Callable[[Array], Any]:
    """Key -> (features, variables) of the untrained network, whose features are all maps of places."""

    def create(key: jax.Array) -> Any:
        return model.init_with_output(key, jnp.zeros((1, ANY_SIDE, ANY_SIDE, 3)), layers, method="features")

    maps, _ = jax.eval_shape(create, jax.random.key(NETWORK_SEED))
    for layer, values in maps.items():
        if len(values.shape) != 4:
            raise UserError(f"the layer {layer} of {name} has no places: style transfer takes convolutions and pools.")
    return create
