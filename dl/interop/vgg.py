"""VGG's weights as torchvision publishes them: `features.0.weight`, ..., `classifier.0.weight` [4096, 25088], ..."""

from typing import Any

from dl.interop.published import Published
from dl.interop.torchvision import Arrays, Layout
from dl.models.vgg import DEPTHS, GRID

DENSE = {"fc6": "classifier.0", "fc7": "classifier.3", "fc8": "classifier.6"}


def places(depth: int, batch_norm: bool = False) -> dict[str, str]:
    """Layer -> torchvision's: in `features` a convolution, its BatchNorm where it has one, and its ReLU take a place each."""
    out, place = dict(DENSE), 0
    for block, count in enumerate(DEPTHS[depth], 1):
        for number in range(1, count + 1):
            out[f"conv{block}_{number}"] = f"features.{place}"
            if batch_norm:
                out[f"norm{block}_{number}"] = f"features.{place + 1}"
            place += 2 + batch_norm
        place += 1  # the pooling
    return out


def layout(model: Any) -> Layout:
    """Of the model's depth, with its BatchNorm."""
    return Layout(places(model.depth, model.batch_norm).__getitem__, {"fc6": GRID})


TORCHVISION = Published(layout)


def published(arrays: Arrays) -> Published:
    """Torchvision's."""
    return TORCHVISION


WEIGHTS = {f"vgg{depth}{form}": published for depth in DEPTHS for form in ("", "_bn")}
