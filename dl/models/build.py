"""The model that a configuration names: the one way in which tasks and programs build one."""

from typing import Any

import jax.numpy as jnp
from ml_collections import ConfigDict

from dl import registry


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
    return registry.call(find(config), f"the model {config.model.name}", settings, dtype=jnp.dtype(config.dtype), **given)
