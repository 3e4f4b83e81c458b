"""VGG's weights as torchvision publishes them: `features.0.weight`, ..., `classifier.0.weight` [4096, 25088], ..."""

from typing import Any

from dl.interop.published import Published
from dl.interop.torchvision import Arrays, Layout
from dl.models.vgg import DEPTHS

DENSE = {"fc6": "classifier.0", "fc7": "classifier.3", "fc8": "classifier.6"}


def places(depth: int) -> dict[str, str]:
    """Layer -> torchvision's: in `features` a convolution and its ReLU take two places, a pooling one."""
    out, place = dict(DENSE), 0
    for block, count in enumerate(DEPTHS[depth], 1):
        for number in range(1, count + 1):
            out[f"conv{block}_{number}"] = f"features.{place}"
            place += 2
        place += 1
    return out


def layout(model: Any) -> Layout:
    """Of the model's depth."""
    return Layout(places(model.depth).__getitem__, {"fc6": (7, 7)})


TORCHVISION = Published(layout)


def published(arrays: Arrays) -> Published:
    """Torchvision's."""
    return TORCHVISION


WEIGHTS = {"vgg16": published, "vgg19": published}
