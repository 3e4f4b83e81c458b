"""R-CNN's network (Girshick, Donahue, Darrell & Malik 2014, section 2): a region of an image, warped to a square, described.

    part        what it is                                                       output, of regions of 96 x 96
    backbone    SqueezeNet 1.0 to fire9 (`dl.models.squeezenet`)                 5 x 5 x 512
    features    averages over `grid` x `grid` parts of it, brought to length 20  2,048
    head        dense, with dropout before it; used while the network is         K + 1, class 0 the background
                fine-tuned, and gone after that

With `features` "hog" there is no network: the description is a histogram of oriented gradients (`dl.layers.hog`). "plain" is a
small network, three 3x3 / 2 to 8, for trials.

Deviations: SqueezeNet where the paper has AlexNet, and its last convolutions' averages where it has fc7.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dl.errors import UserError, unknown
from dl.layers.hog import CELL, hog
from dl.models.faster_rcnn import Plain
from dl.models.squeezenet import SqueezeNet

LENGTH = 20.0  # of a description, as in the authors' code
DESCRIBED = {"squeezenet": "fire9", "plain": "conv3", "hog": ""}  # and the layer that is looked at
SMALL = 8  # channels of "plain"


class RCNN(nn.Module):
    """Regions float [N, side, side, C], standardised, to descriptions and scores.

    Attributes:
        num_classes: K, without the background.
        features: "squeezenet", "plain" or "hog".
        side: of a warped region, in pixels.
        grid: parts on each side of the last map.
        dropout: of the features, in training.

    Raises:
        UserError: unknown features, or sides that they cannot take.
    """

    num_classes: int
    features: str = "squeezenet"
    side: int = 96
    grid: int = 2
    dropout: float = 0.5
    dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        if self.features not in DESCRIBED:
            raise unknown("features of rcnn", self.features, DESCRIBED)
        if self.features == "hog" and (self.side % CELL or self.side < 2 * CELL):
            raise UserError(f"model.side={self.side}: histograms of gradients take a multiple of {CELL}, {2 * CELL} at least.")
        if self.learned and (self.side < 32 or self.grid < 1):
            raise UserError(f"model.side={self.side} must be 32 at least, and model.grid={self.grid} at least 1.")
        if self.learned:
            squeezenet = self.features == "squeezenet"
            self.backbone = SqueezeNet(num_classes=1, dtype=self.dtype) if squeezenet else Plain(SMALL, dtype=self.dtype)
            self.head = nn.Dense(self.num_classes + 1, dtype=self.dtype, kernel_init=nn.initializers.normal(0.01))
            self.drop = nn.Dropout(self.dropout)

    @property
    def learned(self) -> bool:
        """Whether there is a network that can be fine-tuned."""
        return self.features != "hog"

    def __call__(self, x: Float[Array, "n s s c"], train: bool = False) -> Float[Array, "n _"]:
        """Scores of the background and of each class, [N, K + 1]; of histograms their description."""
        described = self.describe(x)
        if not self.learned:
            return described
        return self.head(self.drop(described, deterministic=not train)).astype(jnp.float32)

    def describe(self, x: Float[Array, "n s s c"]) -> Float[Array, "n d"]:
        """Vectors of length 20."""
        if not self.learned:
            found = hog(x.astype(jnp.float32))
        else:
            layer = DESCRIBED[self.features]
            maps = self.backbone.features(x, (layer,))[layer].astype(jnp.float32)
            found = _parts(maps, min(self.grid, *maps.shape[1:3]))
        return LENGTH * found / jnp.maximum(jnp.linalg.norm(found, axis=-1, keepdims=True), 1e-6)


def _parts(maps: Float[Array, "n h w c"], grid: int) -> Float[Array, "n d"]:
    """Averages over grid x grid parts, which share a row and a column where the sides do not divide, [N, grid^2 C]."""
    ends = [[(i * side // grid, -(-(i + 1) * side // grid)) for i in range(grid)] for side in maps.shape[1:3]]
    means = [maps[:, a:b, c:d].mean((1, 2)) for a, b in ends[0] for c, d in ends[1]]
    return jnp.concatenate(means, axis=-1)


PUBLIC = {"rcnn": RCNN}
