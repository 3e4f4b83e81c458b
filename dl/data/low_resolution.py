"""Images beside smaller copies of themselves, for super-resolution: how any set of images becomes a split.

Features of a split, in memory, every image in the upper left of an array as large as the largest needs:

    image  uint8 [H, W, 3]    the original, cut below and on the right to a multiple of the scale
    low    uint8 [h, w, 3]    the same at 1 / scale of the size, bicubic with antialiasing, rounded to levels
    size   int32 [2]          height and width of `low`; those of `image` are `scale` times as much
    grey   bool               whether the file has one channel: what is measured is then its levels, not a luminance of RGB
"""

from collections.abc import Sequence
from io import BytesIO
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from dl.data.checks import check_memory
from dl.data.decoding import converted, opened, undecodable, upright
from dl.dataset import Arrays, Dataset, Feature, Info, Kind, Source
from dl.errors import UserError
from dl.layers import bicubic

SCALES = (2, 3, 4)
SETTINGS = {"scale": 4}
FEATURES = {
    "image": Feature(Kind.IMAGE, (None, None, 3)),
    "low": Feature(Kind.IMAGE, (None, None, 3)),
    "size": Feature(Kind.NUMBER, (2,)),
    "grey": Feature(Kind.NUMBER, ()),
}


class Picture(NamedTuple):
    """An image uint8 [h, w, 3], and whether its file has one channel alone."""

    pixels: np.ndarray
    grey: bool


def picture(content: bytes, name: object) -> Picture:
    """The image in a file, upright; transparency over white.

    Raises:
        UserError: it can't be decoded.
    """
    image = opened(BytesIO(content), name)
    with undecodable(name):
        image = upright(image)
        return Picture(np.asarray(converted(image, "RGB", name)), len(image.getbands()) == 1 and image.mode != "P")


def check_scale(scale: object) -> int:
    """The number of pixels that one becomes, down and right.

    Raises:
        UserError: it is none of `SCALES`.
    """
    if scale not in SCALES or not isinstance(scale, int):
        raise UserError(f"dataset.scale must be one of {', '.join(map(str, SCALES))}, not {scale!r}.")
    return scale


def paired(pictures: Sequence[Picture], names: Sequence[object], scale: int) -> Arrays:
    """The split that images make.

    Args:
        pictures: the images.
        names: what an error calls each.
        scale: of the sizes.

    Raises:
        UserError: an image that is smaller than the scale, or more than memory holds.
    """
    for (pixels, _), name in zip(pictures, names, strict=True):
        if min(pixels.shape[:2]) < scale:
            height, width = pixels.shape[:2]
            raise UserError(f"{name} has {height}x{width} pixels, fewer than the scale {scale}: take it out, or a larger one.")
    sizes = np.array([[side // scale for side in pixels.shape[:2]] for pixels, _ in pictures], np.int32)
    height, width = sizes.max(0).tolist()
    check_memory(len(sizes) * height * width * 3 * (scale**2 + 1), "images that are brought to the size of the largest")
    images = np.zeros((len(sizes), scale * height, scale * width, 3), np.uint8)
    low = np.zeros((len(sizes), height, width, 3), np.uint8)
    for row, ((pixels, _), (h, w)) in enumerate(zip(pictures, sizes.tolist(), strict=True)):
        images[row, : scale * h, : scale * w] = pixels[: scale * h, : scale * w]
        low[row, :h, :w] = bicubic.shrunk(images[row, : scale * h, : scale * w], scale)
    return Arrays({"image": images, "low": low, "size": sizes, "grey": np.array([p.grey for p in pictures])})


def dataset_of(name: str, splits: dict[str, Source], settings: ConfigDict) -> Dataset:
    """The dataset of such splits.

    Raises:
        UserError: `dataset.size` or `margin` are set, which would change one image of a pair alone.
    """
    if any(settings.get("size", (0, 0))) or settings.get("margin", 0):
        raise UserError(f"images of the dataset {name!r} keep their sizes: leave out dataset.size and dataset.margin.")
    return Dataset(Info(name, FEATURES), splits)
