"""A grid of images as one image."""

from pathlib import Path

import numpy as np

from dl.artifacts import Images
from dl.errors import UserError

MARGIN = 2  # white pixels between two images


def montage(images: Images) -> np.ndarray:
    """The grid as one image, uint8 [H, W, C], without captions; the last row is filled up in white."""
    pixels = np.asarray(images.pixels)
    if pixels.dtype != np.uint8:
        pixels = np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    count, height, width, channels = pixels.shape
    columns = max(min(images.columns, count), 1)
    rows = -(-count // columns)
    sheet = np.full((rows * (height + MARGIN) + MARGIN, columns * (width + MARGIN) + MARGIN, channels), 255, np.uint8)
    for number, image in enumerate(pixels):
        row, column = divmod(number, columns)
        top, left = MARGIN + row * (height + MARGIN), MARGIN + column * (width + MARGIN)
        sheet[top : top + height, left : left + width] = image
    return sheet


def save(path: Path, images: Images) -> Path:
    """Writes the grid as a file of the type that its name says, such as .png; returns the path.

    Raises:
        UserError: it can't be written.
    """
    from PIL import Image

    sheet = montage(images)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(sheet[..., 0] if sheet.shape[-1] == 1 else sheet).save(path)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}.") from error
    return path
