"""Bringing images to one size: cutting margins, zero padding, antialiased bilinear resizing; cropping is `dl.data.cropping`."""

import functools
from collections.abc import Callable, Sequence

import numpy as np

from dl.dataset import Arrays, Source, column_of, stored_of
from dl.errors import UserError

FITS = ("pad", "resize", "crop")


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
    from PIL import Image

    def plane(values: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(values).resize((size[1], size[0]), Image.Resampling.BILINEAR))

    if image.dtype == np.uint8 and image.shape[-1] == 3:
        return plane(image)
    return np.stack([plane(np.ascontiguousarray(image[..., c])) for c in range(image.shape[-1])], axis=-1)


class Mapped:
    """A source whose images are changed as they are read."""

    resident = False

    def __init__(self, source: Source, change: Callable[[np.ndarray], np.ndarray]):
        self.source, self.change = source, change

    def __len__(self) -> int:
        return len(self.source)

    def gather(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        batch = self.source.gather(indices)
        return {**batch, "image": self.change(batch["image"])}

    def column(self, name: str) -> np.ndarray | None:
        return column_of(self.source, name)

    def stored(self, indices: np.ndarray) -> list[bytes]:
        return stored_of(self.source, indices)


class Fitted(Mapped):
    """A source whose images are brought to one size as they are read."""

    def __init__(self, source: Source, size: tuple[int, int], fit: str):
        super().__init__(source, functools.partial(fit_images, size=size, fit=fit))


def fit_source(source: Source, size: tuple[int, int], fit: str) -> Source:
    """The source with its images at `size`: at once where it is in memory, per example where it is read as needed."""
    if isinstance(source, Arrays):
        return Arrays({**source.features, "image": fit_images(source.features["image"], size, fit)})
    return Fitted(source, size, fit)


def cut_margin(source: Source, margin: int) -> Source:
    """The source without the outer `margin` pixels of its images on every side.

    Raises:
        UserError: nothing would be left.
    """

    def cut(images: np.ndarray) -> np.ndarray:
        height, width = images.shape[-3:-1]
        if not 0 <= 2 * margin < min(height, width):
            raise UserError(f"dataset.margin {margin} must leave something of images of ({height}, {width}).")
        return images[..., margin : height - margin, margin : width - margin, :]

    if isinstance(source, Arrays):
        return Arrays({**source.features, "image": cut(source.features["image"])})
    return Mapped(source, cut)
