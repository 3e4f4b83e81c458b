"""The weights of a network's first layer as images."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from dl.artifacts import Images


def first_layer_filters(params: Mapping[str, Any], image_shape: tuple[int, ...], limit: int = 64) -> Images | None:
    """The first layer's filters, each scaled so that zero is mid-grey and its largest magnitude is black or white.

    The first layer is the convolution kernel [h, w, C, n] that reads the image's channels, or else the dense kernel
    [H * W * C, n] that reads its pixels. A parameter tree has no order but its names', so of several the first by name counts
    (`conv_2` before `conv_10`).

    Args:
        params: nested dictionaries of one replica's arrays.
        image_shape: (H, W, C) of one example.
        limit: at most so many filters.

    Returns:
        Images [n, h, w, C] or [n, H, W, C], float32 0..1; None where no weight reads the image, or C is neither 1 nor 3.
    """
    if len(image_shape) != 3 or image_shape[2] not in (1, 3):
        return None
    height, width, channels = image_shape
    leaves = sorted(_leaves(params), key=lambda leaf: _natural(leaf[0]))
    kernels = [w for _, w in leaves if len(w.shape) == 4 and w.shape[2] == channels and w.shape[0] * w.shape[1] > 1]
    matrices = [w for _, w in leaves if len(w.shape) == 2 and w.shape[0] == height * width * channels]
    if kernels:
        filters = np.asarray(kernels[0], np.float32)[..., :limit]
    elif matrices:
        filters = np.asarray(matrices[0], np.float32)[:, :limit].reshape(height, width, channels, -1)
    else:
        return None
    filters = np.moveaxis(filters, -1, 0)
    largest = np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
    return Images(0.5 + 0.5 * filters / np.where(largest > 0, largest, 1.0))


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in tree.items():
        if isinstance(value, Mapping):
            found += _leaves(value, f"{prefix}{name}/")
        elif hasattr(value, "shape"):
            found.append((prefix + name, value))
    return found


def _natural(path: str) -> list[tuple[int, str]]:
    """Sorts `layer_2` before `layer_10`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path)]
