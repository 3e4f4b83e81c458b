"""What a trained network says of images, as data: probabilities and names of classes."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from dl.data import image_files, resizing
from dl.data.cropping import Cropped
from dl.dataset import Arrays
from dl.errors import UserError


class Predictions(NamedTuple):
    """What is said of N examples of K classes. names: of the classes, or "class 0" and so on."""

    probabilities: Float[np.ndarray, "n k"]
    names: tuple[str, ...]

    @property
    def classes(self) -> Int[np.ndarray, " n"]:
        """The likeliest class of each example; of several, the first."""
        return self.probabilities.argmax(-1)

    @property
    def labels(self) -> list[str]:
        """Their names."""
        return [self.names[c] for c in self.classes]

    def top(self, count: int = 5) -> list[list[tuple[str, float]]]:
        """Of each example the `count` likeliest classes, (name, probability), the likeliest first."""
        order = np.argsort(-self.probabilities, axis=-1, kind="stable")[:, :count]
        return [[(self.names[c], float(p[c])) for c in row] for row, p in zip(order, self.probabilities, strict=True)]


def named(names: Sequence[str], count: int) -> tuple[str, ...]:
    """The names of `count` classes; numbers where there are none."""
    return tuple(names) or tuple(f"class {number}" for number in range(count))


def pixels(images: Any) -> list[np.ndarray]:
    """Images as arrays [H, W, C] each, uint8 or float32 in 0..1, whatever they are given as.

    Args:
        images: one image or several: names of files, `PIL.Image`s, or arrays [H, W], [H, W, C] or [N, H, W, C].

    Raises:
        UserError: something else, or a file that is missing or can't be decoded.
    """
    if isinstance(images, str | Path):
        return [image_files.read(str(images))]
    if not (hasattr(images, "__array__") or hasattr(images, "__array_interface__")):  # neither an array nor Pillow's
        if not isinstance(images, Iterable):
            raise UserError(f"an image is the name of a file, an array [H, W, C] or a PIL.Image, not {images!r}.")
        return [image for several in images for image in pixels(several)]
    array = np.asarray(images)
    if array.dtype != np.uint8:
        array = array.astype(np.float32)
    if array.ndim == 4:
        return list(array)
    if array.ndim not in (2, 3):
        raise UserError(f"an image is an array [H, W, C] and several are [N, H, W, C], not {list(array.shape)}.")
    return [array[..., None] if array.ndim == 2 else array]


def with_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """The image [H, W, channels]: grey repeated, the luminance of colours, without transparency.

    Raises:
        UserError: it can't be had.
    """
    image = image[..., :3] if image.shape[-1] == 4 and channels in (1, 3) else image
    if image.shape[-1] == channels:
        return image
    if image.shape[-1] == 1:
        return np.repeat(image, channels, axis=-1)
    if channels != 1 or image.shape[-1] != 3:
        raise UserError(f"the network takes images of {channels} channels, and this one has {image.shape[-1]}.")
    grey = image @ image_files.LUMINANCE
    return (np.round(grey).astype(np.uint8) if image.dtype == np.uint8 else grey)[..., None]


def in_unit(image: np.ndarray) -> Float[np.ndarray, "h w c"]:
    """float32 in 0..1."""
    return image.astype(np.float32) / np.float32(255) if image.dtype == np.uint8 else image


def fitted(image: np.ndarray, shape: tuple[int, int, int], fit: str, margin: int = 0) -> Float[np.ndarray, "h w c"]:
    """The image in 0..1 as training brought its images to `shape`, which see `dl.data.resizing`; cropped from the middle.

    What has the size already stays as it is, and what is too large to be padded is resized.
    """
    image = with_channels(image, shape[2])
    if image.shape == shape:
        return in_unit(image)
    if margin and min(image.shape[:2]) > 2 * margin:
        image = image[margin:-margin, margin:-margin]
    if fit == "crop":
        return in_unit(Cropped(Arrays({"image": image[None]}), shape[:2]).gather(np.arange(1))["image"][0])
    fits = fit == "pad" and all(have <= want for have, want in zip(image.shape[:2], shape[:2], strict=True))
    return in_unit(resizing.fit_images(image, shape[:2], "pad" if fits else "resize"))
