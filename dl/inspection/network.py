"""A trained classifier, ready to be looked into: its scores and its layers, of pixels in 0..1."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dl.errors import unknown
from dl.layers import backend


class Network(NamedTuple):
    """A classifier.

    model: called with standardised images [B, H, W, C]; variables: "params" and the rest, of one replica.
    mean, std: [C], of the pixels that it was trained on. shape: (H, W, C) of the images that it takes.
    """

    name: str
    model: nn.Module
    variables: Mapping[str, Any]
    mean: Float[np.ndarray, " c"]
    std: Float[np.ndarray, " c"]
    shape: tuple[int, int, int]
    class_names: tuple[str, ...]

    def scores(self, variables: Mapping[str, Any], pixels: Float[Array, "b h w c"]) -> Float[Array, "b k"]:
        """The scores of images in 0..1."""
        return self.look(variables, (), pixels)[0]

    def look(
        self, variables: Mapping[str, Any], wanted: Sequence[str], pixels: Float[Array, "b h w c"]
    ) -> tuple[Float[Array, "b k"], dict[str, Array]]:
        """The scores, and what the layers `wanted` give on the way to them."""
        found: dict[str, Array] = {}
        keep = partial(_from_features if _names_layers(self.model) else _from_modules, wanted, found)
        with nn.intercept_methods(keep):
            scores: Any = self.model.apply(variables, (pixels - self.mean) / self.std, train=False)
        return scores.astype(jnp.float32), found

    def at(
        self, variables: Mapping[str, Any], layer: str, pixels: Float[Array, "b h w c"]
    ) -> tuple[Float[Array, "b k"], Array]:
        """The scores, and what one layer gives on the way to them."""
        scores, found = self.look(variables, (layer,), pixels)
        return scores, found[layer]

    def compiled(self, method: Callable[..., Any], layer: str = "") -> Callable[..., Any]:
        """`method(forward, *args)` as a compiled function of `args`.

        `forward` goes from pixels to scores, or, with a `layer`, to (scores, what the layer gives). It is traced with the stock
        operations: their max-pooling has one place a window to pass a signal back to.
        """

        @jax.jit
        def run(variables: Any, *args: Any) -> Any:
            with backend.stock_operations():
                return method(partial(self.at, variables, layer) if layer else partial(self.scores, variables), *args)

        return partial(run, self.variables)

    def layers(self) -> dict[str, tuple[int, ...]]:
        """The layers in their order, each with the shape of what it gives for one image.

        They are those that the model names itself, after their ReLU, or else the modules that it calls, by their paths.

        Raises:
            UserError: the network can't take images of this shape.
        """
        names = tuple(self.model.layers) if _names_layers(self.model) else ()
        pixels = jax.ShapeDtypeStruct((1, *self.shape), jnp.float32)
        _, found = jax.eval_shape(lambda variables, x: self.look(variables, names, x), self.variables, pixels)
        return {name: found[name].shape[1:] for name in names or self._called(pixels)}

    def _called(self, pixels: jax.ShapeDtypeStruct) -> list[str]:
        order: list[str] = []

        def trace(variables: Any, pixels: Array) -> Any:
            found: dict[str, Array] = {}
            with nn.intercept_methods(partial(_from_modules, (), found)):
                self.model.apply(variables, pixels, train=False)
            order.extend(found)  # a dictionary that goes through JAX comes back sorted
            return ()

        jax.eval_shape(trace, self.variables, pixels)
        return order

    def named(self, label: int) -> str:
        """The name of a class."""
        return self.class_names[label] if label < len(self.class_names) else f"class {label}"


def check_layers(network: Network, given: Sequence[str]) -> None:
    """Checks the names of layers.

    Raises:
        UserError: one that the network has not; the message lists its layers.
    """
    layers = network.layers()
    for name in given:
        if name not in layers:
            raise unknown(f"layer of {network.name}", name, layers)


def _names_layers(model: nn.Module) -> bool:
    return hasattr(type(model), "layers") and hasattr(type(model), "features")


def _from_features(
    wanted: Sequence[str], found: dict[str, Array], method: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext
) -> Any:
    """The model's own call of its `features` is asked for the layers as well: one pass gives them and the scores."""
    if context.method_name != "features" or context.module.path != ():
        return method(*args, **kwargs)
    x, asked, *rest = args
    result = method(x, (*asked, *(name for name in wanted if name not in asked)), *rest, **kwargs)
    found.update({name: result[name] for name in wanted})
    return {name: result[name] for name in asked}


def _from_modules(
    wanted: Sequence[str], found: dict[str, Array], method: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext
) -> Any:
    """What each module gives when it is first called; of all modules where none are wanted by name."""
    result = method(*args, **kwargs)
    name = "/".join(context.module.path)
    if context.method_name == "__call__" and name and isinstance(result, jax.Array) and name not in found:
        found.update({name: result} if name in (wanted or (name,)) else {})
    return result
