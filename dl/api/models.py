"""Models by their names, with or without weights."""

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dl import registry
from dl.errors import UserError
from dl.generation.predictions import Predictions, named, pixels
from dl.models.build import MOST_UNITS


def _names(package: str, pattern: str) -> list[str]:
    return sorted(name for name in registry.public(package) if fnmatch(name, pattern or "*"))


def list_models(pattern: str = "") -> list[str]:
    """The names of the models, all or those that fit a pattern such as `"resnet*"`."""
    return _names("dl.models", pattern)


def list_tasks(pattern: str = "") -> list[str]:
    """The names of the kinds of learning."""
    return _names("dl.tasks", pattern)


def list_datasets(pattern: str = "") -> list[str]:
    """The names of the sources of data; whatever TFDS has prepared goes by its TFDS name besides."""
    return _names("dl.data.sources", pattern)


@dataclass(frozen=True, eq=False)
class Model:
    """A network, and its variables where it has some.

    name: of `list_models`.
    module: the Linen module, for all that Flax can do with it.
    variables: `{"params": ..., "batch_stats": ...}`, or None before `init`.
    classifier: the images and the classes that published weights were made for (`dl.interop.classifier`), or None.
    """

    name: str
    module: nn.Module
    variables: Any = None
    classifier: Any = None

    def init(self, *inputs: Any, seed: int = 0) -> "Model":
        """The same network with initial parameters for such inputs, of which only shapes and dtypes matter."""
        inputs = tuple(jnp.asarray(x) for x in inputs)
        rngs = dict(zip(("params", "dropout"), jax.random.split(jax.random.key(seed)), strict=True))
        return Model(self.name, self.module, dict(jax.jit(self.module.init)(rngs, *inputs)), None)

    def __call__(self, *inputs: Any, **settings: Any) -> Any:
        """What the network gives; images are standardised already.

        Raises:
            UserError: it has no parameters yet.
        """
        if self.variables is None:
            raise UserError(f"{self.name} has no parameters yet: take model.init(inputs), or weights=... in create_model.")
        return self._apply(self.variables, *inputs, **settings)

    @cached_property
    def _apply(self) -> Callable[..., Any]:
        return jax.jit(self.module.apply, static_argnames=("train",))

    @property
    def parameters(self) -> int:
        """How many parameters it has.

        Raises:
            UserError: it has none yet.
        """
        if self.variables is None:
            raise UserError(f"{self.name} has no parameters yet: take model.init(inputs).")
        return sum(leaf.size for leaf in jax.tree.leaves(self.variables["params"]))

    def predict(self, images: Any) -> Predictions:
        """What the weights say of images: the shorter side is scaled and the middle cut out, as in published evaluations.

        Args:
            images: one or several; names of files, `PIL.Image`s, or arrays [H, W, C] or [N, H, W, C], uint8 or in 0..1.

        Raises:
            UserError: it was made without published weights, or an image can't be read.
        """
        from dl.data import image_files
        from dl.generation.predictions import in_unit, with_channels

        found = self.classifier
        if found is None:
            raise UserError(
                f"{self.name} was made without weights=..., so it knows neither classes nor how images are shown it."
            )
        rows = []
        for image in pixels(images):
            shown = image_files.central(in_unit(with_channels(image, 3)), found.shape, found.resize)
            rows.append(np.asarray(jax.nn.softmax(self((shown[None] - found.mean) / found.std, train=False)))[0])
        made = np.stack(rows) if rows else np.zeros((0, found.num_classes), np.float32)
        return Predictions(made, named(found.class_names, found.num_classes))


def create_model(name: str = "", weights: str | Path | None = None, dtype: str = "float32", **settings: Any) -> Model:
    """A model by its name.

    Args:
        name: of `list_models`; may be left out where `weights` know it.
        weights: file of published weights (`.pth`, `.safetensors`, `.npz`), folder of `experiments.convert`, or workdir of a
            run that trained a classifier; without, the model has no parameters before `init`.
        dtype: of the computation, "float32" or "bfloat16".
        settings: of the model, such as `num_classes=10, depth=20`; `experiments.explain --help` and the model's file say which.

    Raises:
        UserError: an unknown model or setting, or weights that do not fit.
    """
    if weights is not None:
        from dl.interop import classifier

        found = classifier.load(weights, name, settings, jnp.dtype(dtype))
        return Model(found.name, found.model, found.variables, found)
    for key, value in settings.items():
        if isinstance(value, int) and not 0 <= value <= MOST_UNITS:
            raise UserError(f"{key}={value!r}: a size of the model {name} must not be negative nor above {MOST_UNITS:,}.")
    make = registry.find("dl.models", "model", name)
    return Model(name, registry.call(make, f"the model {name}", settings, dtype=jnp.dtype(dtype)))
