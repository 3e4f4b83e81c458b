"""VGG's weights as torchvision publishes them: `features.0.weight` [O, I, 3, 3], ..., `classifier.0.weight` [4096, 25088], ...

The first dense layer's inputs are channels, rows, columns there, and rows, columns, channels here.
"""

from collections.abc import Mapping

import numpy as np

from dl.interop.weights import Published

DENSE = {"0": "fc6", "3": "fc7", "6": "fc8"}
BLOCKS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


def places(depth: int) -> dict[str, str]:
    """Place in torchvision's `features` -> layer: a convolution and its ReLU take two places, a pooling one."""
    out, place = {}, 0
    for block, count in enumerate(BLOCKS[depth], 1):
        for number in range(1, count + 1):
            out[str(place)] = f"conv{block}_{number}"
            place += 2
        place += 1
    return out


def from_torchvision(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Names and layout of ours; VGG-19 is told by a convolution at place 34."""
    convolutions = places(19 if "features.34.weight" in arrays else 16)
    out = {}
    for name, array in arrays.items():
        group, place, kind = name.split(".")
        layer = (convolutions if group == "features" else DENSE).get(place, name)
        if array.ndim == 4:
            array = array.transpose(2, 3, 1, 0)
        elif array.ndim == 2 and layer == "fc6":
            array = array.reshape(len(array), -1, 7, 7).transpose(2, 3, 1, 0).reshape(-1, len(array))
        elif array.ndim == 2:
            array = array.T
        out[f"{layer}/{'kernel' if kind == 'weight' else kind}"] = array
    return out


TORCHVISION = Published(from_torchvision, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def published(arrays: Mapping[str, np.ndarray]) -> Published:
    """Only torchvision's are read."""
    return TORCHVISION


WEIGHTS = {"vgg16": published, "vgg19": published}
