"""Bringing images to one size: cutting margins, zero padding, antialiased bilinear resizing; cropping is `dl.data.cropping`.

What lies on the images (label maps, boxes, points) is brought along, each kind in its own way: `seen_through`.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

import numpy as np

from dl.data.ragged import Ragged, in_memory
from dl.dataset import ONE_IMAGE, Arrays, Feature, Features, Info, Kind, Source, column_of, stored_of, together
from dl.errors import UserError

FITS = ("pad", "resize", "crop")

Shape = tuple[int, int]  # height and width
Window = tuple[float, float, float, float]  # left, top, right, bottom, in pixels


def check_size(size: Sequence[int], fit: str) -> tuple[int, int]:
    """`size` as (H, W); (0, 0) leaves images as they are.

    Raises:
        UserError: a size that is not two numbers, both positive or both 0, or an unknown `fit`.
    """
    if fit not in FITS:
        raise UserError(f"dataset.fit {fit!r} is unknown. Choices: {', '.join(FITS)}.")
    if len(size) != 2 or min(size) < 0 or (0 in size and any(size)):
        raise UserError(
            f"dataset.size {tuple(size)} must be (height, width), both positive, or (0, 0) to leave images as they are."
        )
    if fit == "crop" and not any(size):
        raise UserError("dataset.fit='crop' needs the size to crop to: set dataset.size=(H,W).")
    return int(size[0]), int(size[1])


def fit_images(images: np.ndarray, size: tuple[int, int], fit: str) -> np.ndarray:
    """Images [..., h, w, C] (uint8 or float32) brought to [..., H, W, C].

    "pad" centres the image in zeros; an odd remainder goes to the bottom and the right. "resize" is Pillow's antialiased
    bilinear filter; uint8 rounds to the nearest level.

    Raises:
        UserError: "pad" to a size that is smaller than the image.
    """
    height, width = images.shape[-3:-1]
    if size in ((0, 0), (height, width)):
        return images
    if fit == "pad":
        down, right = size[0] - height, size[1] - width
        if down < 0 or right < 0:
            raise UserError(f"dataset.size {size} is smaller than the images ({height}, {width}); set dataset.fit to 'resize'.")
        margins = [(0, 0)] * (images.ndim - 3) + [(down // 2, down - down // 2), (right // 2, right - right // 2), (0, 0)]
        return np.pad(images, margins)
    flat = images.reshape(-1, height, width, images.shape[-1])
    out = np.empty((len(flat), *size, images.shape[-1]), images.dtype)
    for row, image in enumerate(flat):
        out[row] = _resize(image, size)
    return out.reshape(*images.shape[:-3], *size, images.shape[-1])


def _resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if image.dtype == np.uint8 and image.shape[-1] == 3:
        return _resize_plane(image, size)
    return np.stack([_resize_plane(np.ascontiguousarray(image[..., c]), size) for c in range(image.shape[-1])], axis=-1)


def _resize_plane(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(values).resize((size[1], size[0]), Image.Resampling.BILINEAR))


class Change(NamedTuple):
    """What is done to images as they are read, and to all that lies on them.

    image: images [..., h, w, C] -> [..., H, W, C]. window: (h, w) -> the part of the image that they show. size: their (H, W).
    """

    image: Callable[[np.ndarray], np.ndarray]
    window: Callable[[Shape], Window]
    size: Callable[[Shape], Shape]

    def __call__(self, batch: Mapping[str, Any], features: Features) -> dict[str, Any]:
        """The features of examples, each changed as its kind wants it; `batch` has arrays [N, ...] or ragged features."""
        out = dict(batch)
        for leader, names in together(features).items():
            if leader not in batch:
                continue
            shape = batch[leader].shape[-3:-1]
            for name in (name for name in names if name in batch):
                if features[name].kind is Kind.IMAGE:
                    out[name] = self.image(batch[name])
                else:
                    window, size = self.window(shape), self.size(shape)
                    out[name] = _each(batch[name], partial(seen_through, features[name], window=window, shape=shape, size=size))
        return out

    def described(self, info: Info) -> Info:
        """What is known of the data afterwards."""
        for name, feature in info.features.items():
            if feature.kind in (Kind.IMAGE, Kind.LABEL_MAP) and None not in feature.shape[:2]:
                info = info.changed(name, shape=(*self.size(cast(Shape, feature.shape[:2])), *feature.shape[2:]))
        return info


def seen_through(feature: Feature, values: np.ndarray, window: Window, shape: Shape, size: Shape) -> np.ndarray:
    """What lies on an image of `shape`, where the image shows its `window` at `size` instead.

    A label map [..., h, w] takes the nearest pixel, and `void` beyond the image; boxes [..., 4] and points [..., 2] are moved.
    Boxes are clipped, and are zeros where nothing is left; a point that is outside is (-1, -1). Other kinds stay.

    Args:
        feature: says the kind.
        values: values of one example, or of several whose images have the same shape.
        window: left, top, right, bottom of what is shown, in pixels; it may reach beyond the image.
        shape: height and width of the image before.
        size: height and width after.
    """
    left, top, right, bottom = window
    if feature.kind is Kind.LABEL_MAP:
        starts, extents = (top, left), (bottom - top, right - left)
        places = [np.floor(s + (np.arange(n) + 0.5) * e / n).astype(int) for s, e, n in zip(starts, extents, size, strict=True)]
        inside = [(place >= 0) & (place < n) for place, n in zip(places, shape, strict=True)]
        rows, columns = (place.clip(0, n - 1) for place, n in zip(places, shape, strict=True))
        found = values[..., rows[:, None], columns]
        return np.where(inside[0][:, None] & inside[1], found, values.dtype.type(feature.void))
    if feature.kind not in (Kind.BOXES, Kind.POINTS):
        return values
    pairs = values.reshape(*values.shape[:-1], values.shape[-1] // 2, 2) * shape - (top, left)
    moved = (pairs / (bottom - top, right - left)).astype(values.dtype)
    if feature.kind is Kind.POINTS:
        within = np.all((values >= 0) & (values <= 1), axis=-1) & np.all((moved >= 0) & (moved <= 1), axis=(-1, -2))
        return np.where(np.expand_dims(within, -1), moved.reshape(values.shape), values.dtype.type(-1))
    moved = moved.clip(0, 1)
    left_over = np.all(moved[..., 1, :] > moved[..., 0, :], axis=-1)
    return np.where(np.expand_dims(left_over, -1), moved.reshape(values.shape), values.dtype.type(0))


def _each(values: Any, change: Callable[[np.ndarray], np.ndarray]) -> Any:
    return values.replaced(change(values.values)) if isinstance(values, Ragged) else change(values)


class Mapped:
    """A source whose images, and what lies on them, are changed as they are read."""

    resident = False

    def __init__(self, source: Source, change: Change, features: Features = ONE_IMAGE):
        self.source, self.change, self.features = source, change, dict(features)  # workers receive it pickled

    def __len__(self) -> int:
        return len(self.source)

    def gather(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        return self.change(self.source.gather(indices), self.features)

    def column(self, name: str) -> np.ndarray | None:
        return column_of(self.source, name)

    def stored(self, indices: np.ndarray) -> list[bytes]:
        return stored_of(self.source, indices)


def changed(source: Source, change: Change, features: Features = ONE_IMAGE) -> Source:
    """The source after `change`: at once where it is in memory, per example where it is read as needed.

    Args:
        source: its images.
        change: what is done.
        features: what the examples have; what is not named there is left alone.
    """
    return in_memory(change(source.features, features)) if isinstance(source, Arrays) else Mapped(source, change, features)


def fitting(size: Shape, fit: str) -> Change:
    """Bringing images to `size`, as `fit_images`."""
    return Change(partial(fit_images, size=size, fit=fit), partial(_fitted_window, size, fit), partial(_given, size))


def _fitted_window(size: Shape, fit: str, shape: Shape) -> Window:
    if fit == "resize":
        return 0, 0, shape[1], shape[0]
    top, left = (size[0] - shape[0]) // 2, (size[1] - shape[1]) // 2
    return -left, -top, size[1] - left, size[0] - top


def _given(size: Shape, shape: Shape) -> Shape:
    return size


def cutting(margin: int) -> Change:
    """Cutting the outer `margin` pixels off every side; a UserError when used, where nothing would be left."""
    return Change(partial(_cut, margin), partial(_cut_window, margin), partial(_cut_size, margin))


def _cut(margin: int, images: np.ndarray) -> np.ndarray:
    height, width = images.shape[-3:-1]
    if not 0 <= 2 * margin < min(height, width):
        raise UserError(f"dataset.margin {margin} must leave something of images of ({height}, {width}).")
    return images[..., margin : height - margin, margin : width - margin, :]


def _cut_window(margin: int, shape: Shape) -> Window:
    return margin, margin, shape[1] - margin, shape[0] - margin


def _cut_size(margin: int, shape: Shape) -> Shape:
    return shape[0] - 2 * margin, shape[1] - 2 * margin
