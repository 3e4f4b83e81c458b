"""Images of many sizes brought to one by cropping, on the host, as they are read, and what lies on them with them.

For evaluation the shorter side is resized to `size` / 0.875 (256 for 224) and the centre is taken (Krizhevsky, Sutskever &
Hinton 2012, section 2; Goyal et al. 2017, section 5.1). For training with `dataset.random_crop` a random window of the original
is resized to `size` (Szegedy et al. 2015, section 6). Which window is a pure function of the seed and of the position in the
run, so it depends neither on processes nor on threads, and a run that is taken up again sees the same ones. A JPEG whose window
is at least four times the size is decoded at a half, a quarter or an eighth of its resolution (`dl.data.decoding.cropped`), in
training alone.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, cast

import numpy as np

from dl import registry
from dl.data.decoding import Box, cropped
from dl.data.resizing import seen_through
from dl.data.slicing import located
from dl.data.streaming import stacked
from dl.dataset import ONE_IMAGE, Encoded, Features, Kind, Source, column_of, stored_of, together
from dl.errors import UserError

CENTRE = 0.875  # of the shorter side that is kept for evaluation
DRAWS = 10  # of a window, until one fits
NUMBERS = 2 * DRAWS + 2  # random ones for an image


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
    (least, most), (low, high) = crop.scale, crop.ratio
    lowest = math.log(low)
    span = math.log(high) - lowest
    # Python's own numbers, one draw after another: as a rule the first fits, and NumPy's calls cost more than all this.
    uniform = numbers.tolist()
    for draw in range(DRAWS):
        area = height * width * (least + (most - least) * _unit(uniform[draw]))
        ratio = math.exp(lowest + span * _unit(uniform[DRAWS + draw]))
        h, w = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
        if 0 < h <= height and 0 < w <= width:
            top, left = int(_unit(uniform[-2]) * (height - h + 1)), int(_unit(uniform[-1]) * (width - w + 1))
            return left, top, left + w, top + h
    nearest = min(max(width / height, low), high)
    h, w = min(height, round(width / nearest)), min(width, round(height * nearest))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def _unit(number: int) -> float:
    """A uniform 64-bit number as one in [0, 1)."""
    return (number >> 11) / (1 << 53)


def central_window(shape: tuple[int, int], size: tuple[int, int]) -> Box:
    """The window that becomes `size` (height, width): the shorter side resized to `size` / 0.875, then the centre."""
    height, width = shape
    scale = CENTRE * min(height / size[0], width / size[1])  # pixels of the image for one of the crop
    h, w = scale * size[0], scale * size[1]
    left, top = (width - w) / 2, (height - h) / 2
    return left, top, left + w, top + h


def resized(image: np.ndarray, box: Box, size: tuple[int, int]) -> np.ndarray:
    """The window `box` of [h, w, C], uint8 or float32, as [*size, C], by Pillow's antialiased bilinear filter."""
    from PIL import Image

    def plane(values: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(values).resize((size[1], size[0]), Image.Resampling.BILINEAR, box=box))

    if image.shape[-1] == 3 and image.dtype == np.uint8:
        return plane(image)
    return np.stack([plane(np.ascontiguousarray(image[..., c])) for c in range(image.shape[-1])], axis=-1)


def numbers_of(numbers: np.ndarray, group: int) -> np.ndarray:
    """The random numbers of the image `group` of an example that has several: those of the first are the example's own."""
    if not group:
        return numbers
    return np.random.Philox(key=numbers[:2], counter=np.array([0, group, 0, 0], np.uint64)).random_raw(NUMBERS)


class Cropped:
    """A source whose images, each of its own size where one is asked for at a time, are cropped to one size.

    `gather` takes the centre. `draw` takes random windows, for training, where `crop` says which. What lies on an image (label
    maps, boxes, points, images that name it) is seen through the same window; every image that moves by itself has a window
    of its own. Of a source that gives the bytes of its files (`dl.dataset.Encoded`), no more is decoded than a window needs.

    Args:
        source: its examples.
        size: height and width afterwards.
        crop: which windows are drawn; None: the centre, for training too.
        features: what the examples have; what is not named there is left alone.
    """

    resident = False

    def __init__(self, source: Source, size: tuple[int, int], crop: RandomCrop | None = None, features: Features = ONE_IMAGE):
        self.source, self.size, self.crop = source, size, crop
        self.features = dict(features)  # workers receive it pickled
        self.groups = list(together(features).items())

    def __len__(self) -> int:
        return len(self.source)

    def gather(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        return stacked(self.example(index) for index in indices.tolist())

    def column(self, name: str) -> np.ndarray | None:
        return column_of(self.source, name)

    def stored(self, indices: np.ndarray) -> list[bytes]:
        return stored_of(self.source, indices)

    def draw(self, indices: np.ndarray, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """As `gather`, for training, with `NUMBERS` uniform 64-bit numbers for each image: [N, NUMBERS]."""
        return stacked(self.example(index, row) for index, row in zip(indices.tolist(), numbers, strict=True))

    def example(self, index: int, numbers: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """One example of `draw`, or of `gather` where there are no numbers."""
        source, index = located(self.source, index)
        if not hasattr(source, "encoded"):
            example = {name: values[0] for name, values in source.gather(np.array([index])).items()}
            for group, (leader, _) in enumerate(self.groups):
                if leader in example:
                    shape = (example[leader].shape[0], example[leader].shape[1])
                    example |= self._seen(group, example, self._window(group, numbers)(shape), shape)
            return example
        files = cast(Encoded, source)
        content, name = files.encoded(index)
        windows: list[tuple[Box, tuple[int, int]]] = []

        def window(shape: tuple[int, int]) -> Box:
            windows.append((self._window(0, numbers)(shape), shape))
            return windows[0][0]

        # Evaluation is exact; a view that is random may be decoded at a fraction of the resolution.
        random = numbers is not None and self.crop is not None
        image = cropped(content, files.channels, name, self.size, window, reduce=random)
        rest = files.rest(index)
        return {**rest, **(self._seen(0, rest, *windows[0]) if rest else {}), "image": image}

    def _window(self, group: int, numbers: np.ndarray | None) -> Callable[[tuple[int, int]], Box]:
        if numbers is None or self.crop is None:
            return partial(central_window, size=self.size)
        return partial(random_window, crop=self.crop, numbers=numbers_of(numbers, group))

    def _seen(self, group: int, example: Mapping[str, np.ndarray], box: Box, shape: tuple[int, int]) -> dict[str, np.ndarray]:
        """Those features of an example that move with an image of `shape`, through the window `box`."""
        seen = {}
        for name in (name for name in self.groups[group][1] if name in example):
            feature, values = self.features[name], example[name]
            if feature.kind in (Kind.IMAGE, Kind.LABEL_MAP) and values.shape[:2] != shape:
                raise UserError(f"{name!r} is of the size {values.shape[:2]} and its image of {shape}: make them equal.")
            if feature.kind is Kind.IMAGE:
                seen[name] = resized(values, box, self.size)
            else:
                seen[name] = seen_through(feature, values, box, shape, self.size)
        return seen
