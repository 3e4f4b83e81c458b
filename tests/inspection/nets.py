"""Small networks whose insides are known."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dl.inspection.network import Network


class Linear(nn.Module):
    """Scores are a matrix times the pixels."""

    num_classes: int = 3

    @nn.compact
    def __call__(self, x, train=False):
        return nn.Dense(self.num_classes, name="dense")(x.reshape(len(x), -1))


class Pooled(nn.Module):
    """Convolution, ReLU, global average pooling, dense: the network of Zhou et al. 2016. Names its layers."""

    num_classes: int = 3

    layers = ("conv", "scores")

    def __call__(self, x, train=False):
        return self.features(x, ("scores",), train)["scores"]

    @nn.compact
    def features(self, x, wanted: Sequence[str], train=False):
        maps = nn.relu(nn.Conv(8, (3, 3), name="conv")(x))
        found = {"conv": maps, "scores": nn.Dense(self.num_classes, use_bias=False, name="dense")(maps.mean((1, 2)))}
        return {name: found[name] for name in wanted}


class Deep(nn.Module):
    """Two convolutions, with what is given between and after them; names no layers."""

    middle: tuple = ()

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Conv(4, (3, 3), name="conv1")(x)
        for function in self.middle:
            x = function(x)
        return nn.Dense(3, name="dense")(nn.Conv(5, (3, 3), name="conv2")(x).mean((1, 2)))


def network(model, shape=(8, 8, 3), seed=0, mean=0.0, std=1.0):
    """With drawn weights."""
    variables = model.init(jax.random.key(seed), jnp.zeros((1, *shape)))
    every = np.ones(shape[-1], np.float32)
    return Network(type(model).__name__.lower(), model, variables, mean * every, std * every, shape, ("one", "two", "three"))


def images(count=2, shape=(8, 8, 3), seed=1):
    return jax.random.uniform(jax.random.key(seed), (count, *shape))
