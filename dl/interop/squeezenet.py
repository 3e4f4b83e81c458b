"""SqueezeNet's published weights, of two sources.

- The authors' first Caffe model (version 1.0, also as pruned and quantised by Han et al.), as arrays `fire2/conv1x1_1/weight`
  [O, I, h, w] and `.../bias`. That network takes BGR in 0..255 less the mean (104, 117, 123), and pads the last convolution by
  1. Its first kernel is turned to RGB here, so that all networks take the same pictures.
- torchvision's `squeezenet1_0` and `squeezenet1_1`, as `features.3.squeeze.weight`; no padding, and torchvision's mean.
"""

from collections.abc import Mapping

import numpy as np

from dl.interop.weights import Published

PARTS = {"conv1x1_1": "squeeze", "conv1x1_2": "expand1", "conv3x3_2": "expand3"}
FIRES = {"1.0": (3, 4, 5, 7, 8, 9, 10, 12), "1.1": (3, 4, 6, 7, 9, 10, 11, 12)}  # fire2 ... in torchvision's `features`
KINDS = {"weight": "kernel", "bias": "bias"}


def from_caffe(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Names and layout of ours; BGR to RGB."""
    out = {}
    for name, array in arrays.items():
        *layer, kind = name.replace("conv_final", "conv10").split("/")
        out["/".join([*(PARTS.get(part, part) for part in layer), KINDS.get(kind, kind)])] = _hwio(array)
    if "conv1/kernel" in out:
        out["conv1/kernel"] = out["conv1/kernel"][:, :, ::-1]
    return out


def from_torchvision(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Names and layout of ours; the version is told by the size of the first kernel."""
    version = "1.0" if arrays["features.0.weight"].shape[-1] == 7 else "1.1"
    places = {str(place): f"fire{number}" for number, place in enumerate(FIRES[version], 2)}
    parts = {"squeeze": "squeeze", "expand1x1": "expand1", "expand3x3": "expand3"}
    out = {}
    for name, array in arrays.items():
        group, place, *part, kind = name.split(".")
        layer = "conv10" if group == "classifier" else places.get(place, "conv1")
        out["/".join([layer, *(parts.get(p, p) for p in part), KINDS.get(kind, kind)])] = _hwio(array)
    return out


def _hwio(array: np.ndarray) -> np.ndarray:
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array


CAFFE = Published(from_caffe, (123 / 255, 117 / 255, 104 / 255), (1 / 255, 1 / 255, 1 / 255), {"version": "1.0", "padding": 1})
TORCHVISION = Published(from_torchvision, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def published(arrays: Mapping[str, np.ndarray]) -> Published:
    """Which of the two sources these arrays are of."""
    return TORCHVISION if "features.0.weight" in arrays else CAFFE


WEIGHTS = {"squeezenet": published}
