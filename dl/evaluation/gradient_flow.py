"""How far back a recurrent net's gradient reaches: whether it vanishes or explodes on the way (Bengio, Simard & Frasconi 1994;
Pascanu, Mikolov & Bengio 2013).
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dl.artifacts import Curves
from dl.layers.cells import CELLS
from dl.layers.recurrent import Recurrent

FLOOR = 1e-20  # what a plot of logarithms shows of a gradient that is zero


def norms_by_distance(gradient: Float[Array, "b t d"]) -> Float[Array, " t"]:
    """The norm of the gradient, mean over the batch, 0, 1, ..., T - 1 steps before the last input."""
    return jnp.linalg.norm(gradient, axis=-1).mean(0)[::-1]


def of_cell(cell: str, features: int, length: int, key: Array, batch: int = 8, **settings: Any) -> Float[Array, " t"]:
    """|d(v . h_T) / d x_t| of a fresh layer, by the distance T - t, for random v and standard normal inputs.

    Args:
        cell: a name of `dl.layers.cells.CELLS`.
        features: its units, and the length of its input.
        length: T.
        key: random key of weights, inputs and v.
        batch: sequences over which the norms are averaged.
        settings: further attributes of `Recurrent`.
    """
    weights, inputs, direction = jax.random.split(key, 3)
    layer = Recurrent(cell, features, **settings)
    x = jax.random.normal(inputs, (length, batch, features))
    v = jax.random.normal(direction, (batch, features))
    params = layer.init(weights, x)
    gradient = jax.grad(lambda x: jnp.vdot(layer.apply(params, x)[1][0], v))(x)  # type: ignore[index]
    return norms_by_distance(gradient.swapaxes(0, 1))  # [T, B, D] to [B, T, D]


def curves(norms: Mapping[str, Any]) -> Curves:
    """Name -> norms by distance [T], drawn as decimal logarithms relative to distance 0."""
    lines = {}
    for name, values in norms.items():
        values = np.asarray(values, np.float64)
        relative = np.log10(np.maximum(values / max(values[0], FLOOR), FLOOR))
        lines[name] = (np.arange(len(values)), relative)
    return Curves(lines, "steps back", "log10 of the gradient's norm, relative")


def of_all_cells(features: int, length: int, key: Array) -> dict[str, np.ndarray]:
    """`of_cell` for every cell as it is before training."""
    measure = jax.jit(lambda key: {name: of_cell(name, features, length, key) for name in CELLS})
    return {name: np.asarray(values) for name, values in measure(key).items()}
