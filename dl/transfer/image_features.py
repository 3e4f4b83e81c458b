"""The features of whole images by a frozen network that was trained on others: maps of places, each with a vector.

The network is that of `dl.transfer.feature_network`: with published weights, or untrained from a fixed seed.
"""

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float16, UInt8
from ml_collections import ConfigDict

from dl.errors import UserError
from dl.task import Tree
from dl.transfer import feature_network
from dl.transfer.feature_network import Network

ROWS = 32  # images at a time
LEAST = 25  # pixels to a side that SqueezeNet takes


@dataclass(frozen=True)
class Extractor:
    """A network as far as one layer, whose places are averaged to a grid.

    network: the network.
    name: what it is, for `fingerprint`.
    side: to which an image is resized, in pixels.
    grid: places to a side that are given; 0: as many as the layer has.
    trained: whether it has published weights.
    """

    network: Network
    name: str
    side: int
    grid: int
    trained: bool

    def maps(self, params: Tree, pixels: Float[Array, "b h w 3"]) -> Float[Array, "b y x c"]:
        """Features float32 of images in 0..1, by the network's parameters or others in their place."""
        rgb = jax.image.resize(pixels, (len(pixels), self.side, self.side, 3), "bilinear")
        inputs = (rgb - self.network.mean) / self.network.std
        layer = self.network.layers[-1]
        found: Array = self.network.model.apply({"params": params}, inputs, (layer,), method="features")[layer]
        found = found.astype(jnp.float32)
        if not self.grid:
            return found
        rows, columns = (jnp.asarray(averaging(size, self.grid)) for size in found.shape[1:3])
        return jnp.einsum("pi,qj,bijc->bpqc", rows, columns, found)

    def of_images(self, images: UInt8[np.ndarray, "n h w c"]) -> Float16[np.ndarray, "n y x d"]:
        """The features of all images, in half precision; a grey image counts as RGB."""
        made = []
        for start in range(0, len(images), ROWS):
            part = np.broadcast_to(images[start : start + ROWS], (*images[start : start + ROWS].shape[:3], 3))
            rows = min(ROWS, len(images))
            filled = np.concatenate([part, np.zeros((rows - len(part), *part.shape[1:]), np.uint8)])
            made.append(np.asarray(self._run(self.network.params, filled))[: len(part)])
        return np.concatenate(made)

    @functools.cached_property
    def _run(self) -> Callable[[Tree, np.ndarray], Array]:
        """Compiled once for all splits."""
        return jax.jit(lambda params, part: self.maps(params, part.astype(jnp.float32) / 255).astype(jnp.float16))

    def fingerprint(self) -> str:
        """Of all that the features depend on besides the images."""
        digest = hashlib.sha256(f"{self.name} {self.network.layers} {self.side} {self.grid}".encode())
        for leaf in jax.tree.leaves(self.network.params):
            digest.update(np.asarray(leaf).tobytes())
        return digest.hexdigest()


def averaging(size: int, grid: int) -> Float[np.ndarray, "g n"]:
    """The weights of an adaptive average pool: place i averages those from floor(i n / g) to ceil((i + 1) n / g)."""
    place, cell = np.arange(size), np.arange(grid)[:, None]
    inside = (place >= cell * size // grid) & (place < -(-(cell + 1) * size // grid))
    return (inside / inside.sum(1, keepdims=True)).astype(np.float32)


def squeezenet(weights: str, layer: str, side: int, grid: int, manual_dir: str | None) -> Extractor:
    """SqueezeNet (Iandola et al. 2016).

    Raises:
        UserError: no such file or layer, or a size out of range.
    """
    if side < LEAST or grid < 0:
        raise UserError(f"dataset.network_side={side} must be at least {LEAST}, and dataset.network_grid={grid} not negative.")
    config = ConfigDict({"model": {"name": "squeezenet"}, "dtype": "float32"})
    network = feature_network.build(config, weights, (layer,), manual_dir)
    return Extractor(network, "squeezenet", side, grid, bool(weights))


IMAGE_FEATURES = {"squeezenet": squeezenet}
