"""The model that a configuration names: the one way in which tasks and programs build one."""

import math
from typing import Any

import jax.numpy as jnp
from ml_collections import ConfigDict

from dl import registry
from dl.errors import UserError

LAYERS, MOST_LAYERS = ("depth", "layers", "blocks"), 10_000  # each is traced
MOST_UNITS = 2**31 - 1


def find(config: ConfigDict) -> Any:
    """What builds the model `config.model.name`: a Linen module's class, or a function that makes one.

    Raises:
        UserError: no such model; the message lists the choices.
    """
    return registry.find("dl.models", "model", config.model.name)


def build(config: ConfigDict, **given: Any) -> Any:
    """The model of `config.model`, computing in `config.dtype`.

    Args:
        config: whose section `model` holds the name and the settings.
        given: what the data decide: `num_classes` (of scores, symbols or an embedding's dimensions), or `shape` (of an image).

    Raises:
        UserError: no such model, or one that does not take these settings.
    """
    settings = {key: value for key, value in config.model.to_dict().items() if key != "name"}
    _check(config.model.name, settings)
    return registry.call(find(config), f"the model {config.model.name}", settings, dtype=jnp.dtype(config.dtype), **given)


def _check(name: str, settings: dict[str, Any]) -> None:
    """What is true of every model: sizes are not negative, numbers are finite, what is dropped is a share."""
    for key, value in settings.items():
        for number in value if isinstance(value, tuple | list) else (value,):
            if isinstance(number, int) and number < 0:
                raise UserError(f"config.model.{key}={value!r}: a size of the model {name} cannot be negative.")
            most = MOST_LAYERS if key in LAYERS else MOST_UNITS
            if isinstance(number, int) and number > most:
                raise UserError(f"config.model.{key}={value!r}: the model {name} can have {most:,} at most.")
            if isinstance(number, float) and not math.isfinite(number):
                raise UserError(f"config.model.{key}={value!r}: a setting of the model {name} must be a finite number.")
            if "dropout" in key and isinstance(number, int | float) and not 0 <= number < 1:
                raise UserError(f"config.model.{key}={value!r}: what is dropped must be at least 0 and below 1.")
