"""Residual nets' weights as torchvision publishes them, for the stride of version 1.5.

`conv1.weight`, `bn1.weight`, `layer1.0.conv1.weight`, `layer2.0.downsample.0.weight`, ..., `fc.weight`. The CIFAR nets, which
torchvision has not, take names in the same manner.
"""

import re
from typing import Any

from dl.interop.published import CIFAR, Published
from dl.interop.torchvision import Arrays, Layout
from dl.models.resnet import BLOCKS

SHORTCUT = {"shortcut_conv": "downsample.0", "shortcut_norm": "downsample.1"}


def module(path: str) -> str:
    """`layer1_0/norm1` -> `layer1.0.bn1`."""
    return ".".join(SHORTCUT.get(part, re.sub("^norm", "bn", part)).replace("_", ".") for part in path.split("/"))


def layout(model: Any) -> Layout:
    """The same for every depth and version."""
    return Layout(module)


CIFAR_10 = Published(layout, **CIFAR)
IMAGENET = Published(layout, settings={"version": "1.5"})


def published(arrays: Arrays) -> Published:
    """Torchvision's."""
    return IMAGENET


def published_cifar(arrays: Arrays) -> Published:
    """Nobody's in particular: PyTorch's nets for CIFAR-10 that name their layers as torchvision's do."""
    return CIFAR_10


WEIGHTS = {**{f"resnet{depth}": published for depth in BLOCKS}, "resnet_cifar": published_cifar}
