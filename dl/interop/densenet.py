"""Densely connected nets' weights as torchvision publishes them.

`features.conv0.weight`, `features.norm0.weight`, `features.denseblock1.denselayer1.norm1.weight`, ...,
`features.transition1.conv.weight`, `features.norm5.weight`, `classifier.weight`. The first files that it published have
`norm.1` and `conv.1` in place of `norm1` and `conv1`. The CIFAR nets, which it has not, take names in the same manner.
"""

import re
from typing import Any

import numpy as np

from dl.interop.published import CIFAR, Published
from dl.interop.torchvision import Arrays, Layout
from dl.models.densenet import BLOCKS


def layout(model: Any) -> Layout:
    """The last BatchNorm's number is that of the blocks and one more."""
    modules = {"conv1": "features.conv0", "norm1": "features.norm0", "fc": "classifier"}
    modules["norm"] = f"features.norm{len(model.blocks) + 1}"

    def module(path: str) -> str:
        if path in modules:
            return modules[path]
        part, inner = path.split("/")
        layer = re.sub(r"block(\d+)_(\d+)", r"denseblock\1.denselayer\2", part)
        return f"features.{layer}.{inner}"

    return Layout(module)


def renamed(arrays: Arrays) -> dict[str, np.ndarray]:
    """The first published files' names as they are now."""
    return {re.sub(r"(denselayer\d+\.(?:norm|conv))\.(\d)\.", r"\1\2.", name): array for name, array in arrays.items()}


IMAGENET = Published(layout, renamed=renamed)


def published(arrays: Arrays) -> Published:
    """Torchvision's."""
    return IMAGENET


def published_cifar(arrays: Arrays) -> Published:
    """Nobody's in particular: PyTorch's nets for CIFAR-10 that name their layers as torchvision's do."""
    return Published(layout, **CIFAR, renamed=renamed)


WEIGHTS = {**{name: published for name in BLOCKS}, "densenet_cifar": published_cifar}
