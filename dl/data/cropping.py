"""Images of many sizes brought to one by cropping, on the host, as they are read.

For evaluation the shorter side is resized to `size` / 0.875 (256 for 224) and the centre is taken (Krizhevsky, Sutskever &
Hinton 2012, section 2; Goyal et al. 2017, section 5.1). For training with `dataset.random_crop` a random window of the original
is resized to `size` (Szegedy et al. 2015, section 6). Which window is a pure function of the seed and of the position in the
run, so it depends neither on processes nor on threads, and a run that is taken up again sees the same ones.
"""

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from dl import registry
from dl.dataset import Source, column_of, stored_of
from dl.errors import UserError

CENTRE = 0.875  # of the shorter side that is kept for evaluation
DRAWS = 10  # of a window, until one fits
NUMBERS = 2 * DRAWS + 2  # random ones for an image
THREADS = 8

Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels


class RandomCrop(NamedTuple):
    """`dataset.random_crop`: the window's part of the area, and its width over its height."""

    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)


def random_crop(settings: Mapping[str, Any]) -> RandomCrop:
    """`dataset.random_crop`, checked.

    Raises:
        UserError: an unknown setting, or bounds that are none.
    """
    crop = registry.call(RandomCrop, "dataset.random_crop", dict(settings))
    for name, bounds, top in (("scale", crop.scale, 1.0), ("ratio", crop.ratio, math.inf)):
        if not isinstance(bounds, tuple | list) or len(bounds) != 2 or not 0 < bounds[0] <= bounds[1] <= top:
            raise UserError(f"dataset.random_crop.{name} must be (low, high), above 0 and low first, not {bounds!r}.")
    return crop


def random_window(shape: tuple[int, int], crop: RandomCrop, numbers: np.ndarray) -> Box:
    """A window of an image of `shape` (height, width), on whole pixels, from `NUMBERS` uniform 64-bit numbers.

    Area and logarithm of the ratio are uniform. The first of ten draws that fits is taken, or else the largest central window
    of an allowed ratio.
    """
    height, width = shape
    uniform = (numbers >> np.uint64(11)).astype(np.float64) / 2**53
    areas = height * width * (crop.scale[0] + (crop.scale[1] - crop.scale[0]) * uniform[:DRAWS])
    low, high = map(math.log, crop.ratio)
    ratios = np.exp(low + (high - low) * uniform[DRAWS : 2 * DRAWS])
    for area, ratio in zip(areas, ratios, strict=True):
        h, w = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
        if 0 < h <= height and 0 < w <= width:
            top, left = (int(u * (room + 1)) for u, room in zip(uniform[-2:], (height - h, width - w), strict=True))
            return left, top, left + w, top + h
    nearest = min(max(width / height, crop.ratio[0]), crop.ratio[1])
    h, w = min(height, round(width / nearest)), min(width, round(height * nearest))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def central_window(shape: tuple[int, int], size: tuple[int, int]) -> Box:
    """The window that becomes `size` (height, width): the shorter side resized to `size` / 0.875, then the centre."""
    height, width = shape
    scale = CENTRE * min(height / size[0], width / size[1])  # pixels of the image for one of the crop
    h, w = scale * size[0], scale * size[1]
    left, top = (width - w) / 2, (height - h) / 2
    return left, top, left + w, top + h


def resized(image: np.ndarray, box: Box, size: tuple[int, int]) -> np.ndarray:
    """The window `box` of uint8 [h, w, C] as [*size, C], by Pillow's antialiased bilinear filter."""
    from PIL import Image

    def plane(values: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(values).resize((size[1], size[0]), Image.Resampling.BILINEAR, box=box))

    if image.shape[-1] == 3:
        return plane(image)
    return np.stack([plane(np.ascontiguousarray(image[..., c])) for c in range(image.shape[-1])], axis=-1)


class Cropped:
    """A source whose images, each of its own size where one is asked for at a time, are cropped to one size.

    `gather` takes the centre. `draw` takes random windows, for training, where `crop` says which.
    """

    resident = False

    def __init__(self, source: Source, size: tuple[int, int], crop: RandomCrop | None = None):
        self.source, self.size, self.crop = source, size, crop

    def __len__(self) -> int:
        return len(self.source)

    def gather(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        return _stacked([(index, None) for index in indices.tolist()], self._read)

    def column(self, name: str) -> np.ndarray | None:
        return column_of(self.source, name)

    def stored(self, indices: np.ndarray) -> list[bytes]:
        return stored_of(self.source, indices)

    def draw(self, indices: np.ndarray, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """As `gather`, for training, with `NUMBERS` uniform 64-bit numbers for each image: [N, NUMBERS]."""
        return _stacked(list(zip(indices.tolist(), numbers, strict=True)), self._read)

    def _read(self, wanted: tuple[int, np.ndarray | None]) -> dict[str, np.ndarray]:
        index, numbers = wanted
        example = {name: values[0] for name, values in self.source.gather(np.array([index])).items()}
        image = example["image"]
        shape = (image.shape[0], image.shape[1])
        if numbers is None or self.crop is None:
            box = central_window(shape, self.size)
        else:
            box = random_window(shape, self.crop, numbers)
        return {**example, "image": resized(image, box, self.size)}


def _stacked(wanted: list[Any], read: Any) -> dict[str, np.ndarray]:
    if len(wanted) < THREADS:
        rows = [read(one) for one in wanted]
    else:
        with ThreadPoolExecutor(THREADS) as pool:  # Pillow decodes and resizes without the interpreter's lock
            rows = list(pool.map(read, wanted))
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}
