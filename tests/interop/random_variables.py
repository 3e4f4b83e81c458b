"""Variables of a network drawn at random, running statistics too, without compiling its initialisation."""

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from dl.interop import published


def random_variables(model, side, channels=3, seed=0):
    """Kernels by He et al. 2015, so that signals neither die nor grow; every scale, bias, mean and variance is its own."""
    rng = np.random.default_rng(seed)

    def draw(path, shape):
        if path.endswith("kernel"):
            return rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape)
        if path.endswith(("scale", "var")):
            return rng.uniform(0.5, 1.5, shape)
        return rng.normal(0, 0.1, shape)

    leaves = flatten_dict(published.shapes(model, (side, side, channels)), sep="/")
    return jax.tree.map(np.float32, unflatten_dict({path: draw(path, leaf.shape) for path, leaf in leaves.items()}, sep="/"))
