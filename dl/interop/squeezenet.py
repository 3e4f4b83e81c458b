"""SqueezeNet's published weights, of two sources.

- torchvision's `squeezenet1_0` and `squeezenet1_1`: `features.3.squeeze.weight`, `features.3.expand1x1.weight`, ...,
  `classifier.1.weight`. No padding of the last convolution.
- The authors' first Caffe model (version 1.0, also as pruned and quantised by Han et al.), as arrays `fire2/conv1x1_1/weight`
  [O, I, h, w] and `.../bias`. That network takes BGR in 0..255 less the mean (104, 117, 123), and pads the last convolution by
  1. Its first kernel is turned to RGB here, so that all networks take the same images.
"""

from typing import Any

import numpy as np

from dl.interop.published import Published
from dl.interop.torchvision import Arrays, Layout

FIRES = {"1.0": (3, 4, 5, 7, 8, 9, 10, 12), "1.1": (3, 4, 6, 7, 9, 10, 11, 12)}  # fire2 ... in torchvision's `features`
PARTS = {"squeeze": "squeeze", "expand1": "expand1x1", "expand3": "expand3x3"}
CAFFE_PARTS = {"conv1x1_1": "squeeze", "conv1x1_2": "expand1x1", "conv3x3_2": "expand3x3"}
FIRST, LAST = "features.0", "classifier.1"


def layout(model: Any) -> Layout:
    """Of the model's version."""
    modules = {"conv1": FIRST, "conv10": LAST}
    for number, place in enumerate(FIRES[model.version], 2):
        modules |= {f"fire{number}/{ours}": f"features.{place}.{theirs}" for ours, theirs in PARTS.items()}
    return Layout(modules.__getitem__)


def from_caffe(arrays: Arrays) -> dict[str, np.ndarray]:
    """Caffe's names to torchvision's; BGR to RGB. Other names stay, to be told as unexpected."""
    modules = {"conv1": FIRST, "conv_final": LAST}
    for number, place in enumerate(FIRES["1.0"], 2):
        modules |= {f"fire{number}/{theirs}": f"features.{place}.{part}" for theirs, part in CAFFE_PARTS.items()}
    out = {}
    for name, array in arrays.items():
        module, _, kind = name.rpartition("/")
        out[f"{modules[module]}.{kind}" if module in modules else name] = array
    if out.get(f"{FIRST}.weight", np.empty(0)).ndim == 4:
        out[f"{FIRST}.weight"] = out[f"{FIRST}.weight"][:, ::-1]
    return out


CAFFE = Published(
    layout,
    mean=(123 / 255, 117 / 255, 104 / 255),
    std=(1 / 255, 1 / 255, 1 / 255),
    settings={"version": "1.0", "padding": 1},
    side=227,
    renamed=from_caffe,
)
TORCHVISION = {version: Published(layout, settings={"version": version}) for version in FIRES}


def published(arrays: Arrays) -> Published:
    """Which of the sources these arrays are of; torchvision's versions differ in the size of the first kernel."""
    if "conv1/weight" in arrays:
        return CAFFE
    first = arrays.get(f"{FIRST}.weight")
    return TORCHVISION["1.1" if first is not None and first.shape[-1] == 3 else "1.0"]


WEIGHTS = {"squeezenet": published}
