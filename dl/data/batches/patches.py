"""Windows of images and the same windows of their smaller copies (`dl.data.low_resolution`), where and how turned at random."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dl.data.batches.examples import Read
from dl.data.identities import below, random_numbers
from dl.data.order import example_indices
from dl.dataset import Arrays, Features, Source
from dl.errors import UserError
from dl.layers.bicubic import mirrored

DRAWS = 3  # numbers that a window takes: row, column, symmetry
SYMMETRIES = 8  # of the square: four quarter turns, each mirrored or not


def patches(source: Source, seed: int, batch_size: int, settings: Mapping[str, Any], on_device: bool) -> Read:
    """`image` uint8 [steps, rows, P, P, 3] and `low` [steps, rows, P / scale, P / scale, 3].

    Every image is seen exactly once an epoch, through a window that is a pure function of seed, step and row. An image smaller
    than the window goes on beyond its rim as in a mirror.

    Args:
        source: of `dl.data.low_resolution`.
        seed: of order and windows.
        batch_size: windows a step, over all processes.
        settings: `config.dataset`: `patch`, P, and `symmetries`, whether windows are turned and mirrored.
        on_device: not used.

    Raises:
        UserError: P is no positive multiple of the scale, or data that are no images with smaller copies.
    """
    if not isinstance(source, Arrays) or not {"low", "size"} <= set(source.features):
        raise UserError(
            "dataset.batches='patches' is for images beside smaller ones: dataset.name='super_resolution', or "
            "'folder_super_resolution' with a path."
        )
    images, lows, sizes = (source.features[name] for name in ("image", "low", "size"))
    scale = images.shape[1] // lows.shape[1]
    side, turned = _side(settings, scale), settings.get("symmetries", True)

    def read(start: int, count: int, rows: np.ndarray) -> dict[str, np.ndarray]:
        steps = np.arange(start, start + count, dtype=np.int64)
        chosen = example_indices(seed, steps[:, None] * batch_size + rows, len(sizes)).ravel()
        needed = (int(rows.max()) + 1) * DRAWS
        raw = np.concatenate([random_numbers(seed, int(step), needed).reshape(-1, DRAWS)[rows] for step in steps])
        first = below(raw[:, :2], np.maximum(sizes[chosen] - side + 1, 1))
        ways = below(raw[:, 2], SYMMETRIES) if turned else np.zeros(len(raw), np.int64)
        out = {"image": np.empty((len(chosen), scale * side, scale * side, 3), np.uint8)}
        out["low"] = np.empty((len(chosen), side, side, 3), np.uint8)
        for row, (example, at, way) in enumerate(zip(chosen.tolist(), first, ways.tolist(), strict=True)):
            out["low"][row] = seen(window(lows[example], at, sizes[example], side), way)
            out["image"][row] = seen(window(images[example], scale * at, scale * sizes[example], scale * side), way)
        return {name: values.reshape(count, len(rows), *values.shape[1:]) for name, values in out.items()}

    return read


def window(image: np.ndarray, first: np.ndarray, size: np.ndarray, side: int) -> np.ndarray:
    """`side` x `side` pixels from the place `first` of an image of `size`, both (row, column)."""
    (top, left), (height, width) = first.tolist(), size.tolist()
    if top + side <= height and left + side <= width:
        return image[top : top + side, left : left + side]
    rows, columns = (mirrored(at + np.arange(side), np.array(length)) for at, length in ((top, height), (left, width)))
    return image[rows[:, None], columns]


def seen(image: np.ndarray, way: int) -> np.ndarray:
    """A square image [P, P, C] in one of its `SYMMETRIES`; 0 leaves it."""
    turned = np.rot90(image, way % 4)
    return turned[:, ::-1] if way >= 4 else turned


def _side(settings: Mapping[str, Any], scale: int) -> int:
    """The window's side in the smaller images."""
    patch = settings.get("patch", 96)
    if not isinstance(patch, int) or patch < scale or patch % scale:
        raise UserError(f"dataset.patch must be a positive multiple of the scale {scale}, in pixels, not {patch!r}.")
    return patch // scale


def patch_features(features: Features, settings: Mapping[str, Any]) -> Features:
    """Those of a batch of windows."""
    scale = settings.get("scale", 4)
    side = _side(settings, scale)
    return {
        "image": features["image"]._replace(shape=(scale * side, scale * side, 3)),
        "low": features["low"]._replace(shape=(side, side, 3)),
    }


PUBLIC = {"patches": patches}
FEATURES = {"patches": patch_features}
SETTINGS = {"patches": {"patch": 96, "symmetries": True}}
