"""AlexNet's weights: the one tower's as torchvision publishes them, the two groups' under the paper's names.

`alexnet_one_tower`: `features.0.weight`, `features.3.weight`, ..., `classifier.1.weight` [4096, 9216], ...

`alexnet`, which torchvision has not: `conv1.weight`, ..., `conv5.weight`, `fc6.weight`, ..., in PyTorch's layout.
"""

from typing import Any

from dl.interop.published import Published
from dl.interop.torchvision import Arrays, Layout
from dl.models.alexnet import GRID

PLACES = {"conv1": 0, "conv2": 3, "conv3": 6, "conv4": 8, "conv5": 10}
DENSE = {"fc6": "classifier.1", "fc7": "classifier.4", "fc8": "classifier.6"}
ONE_TOWER = {**{name: f"features.{place}" for name, place in PLACES.items()}, **DENSE}


def layout(model: Any) -> Layout:
    """The first of the dense layers that the model has reads the map."""
    first = next(name for name in model.layers if name in DENSE)
    return Layout(ONE_TOWER.__getitem__ if model.one_tower else str, {first: GRID})


TORCHVISION = Published(layout)
PAPER = Published(layout, side=227)


def published(arrays: Arrays) -> Published:
    """Torchvision's."""
    return TORCHVISION


def published_groups(arrays: Arrays) -> Published:
    """Nobody's in particular: PyTorch's nets that name their layers as the paper numbers them."""
    return PAPER


WEIGHTS = {"alexnet": published_groups, "alexnet_one_tower": published}
