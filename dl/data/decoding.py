"""Encoded images to pixels, with Pillow: every image file of a user's is opened here.

Pillow tells formats by their content, not by their name, and knows more than forty, some of which start other programs (EPS:
Ghostscript). So the formats are named, and the size is looked at before anything is decoded.
"""

import functools
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from dl.errors import UserError

FORMATS = ("JPEG", "PNG", "PPM", "BMP")  # PPM: also PGM, PBM, PNM and PFM
MAX_PIXELS = 50_000_000  # 150 MB of RGB; three to five times that while it is decoded
MAX_BYTES = 1 << 29  # of a file: 50 million pixels of 16-bit RGB have 300 MB
MODES = {1: "L", 3: "RGB"}
REDUCING_GAP = 2.0  # so much larger than wanted a window stays, at least, that is decoded at a fraction of its resolution
_EXIF = frozenset({"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"})  # where Pillow looks for the orientation
_ORIENTATION = 0x0112

Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels


def opened(file: BytesIO | BufferedReader, name: object) -> Any:
    """The image of Pillow's, its header read and its pixels not yet decoded.

    Args:
        file: open for as long as the image is not decoded.
        name: what an error calls the image.

    Raises:
        UserError: it is none of `FORMATS`, broken, or has more than `MAX_PIXELS` pixels.
    """
    from PIL import Image

    _without_warning()
    with undecodable(name):
        try:
            image = Image.open(file, formats=FORMATS)
        except Image.DecompressionBombError:
            raise _too_large(name) from None
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(name, f" ({image.width} x {image.height})")
    return image


def decoded(content: bytes, channels: int, name: object) -> np.ndarray:
    """The image as uint8 [H, W, channels], upright by its EXIF; 16-bit greys scaled to 8 bits, transparency over white.

    Raises:
        UserError: see `opened`.
    """
    image = opened(BytesIO(content), name)
    with undecodable(name):
        image = converted(upright(image), MODES[channels], name)
        return np.asarray(image).reshape(image.height, image.width, channels)


def cropped(
    content: bytes,
    channels: int,
    name: object,
    size: tuple[int, int],
    window: Callable[[tuple[int, int]], Box],
    reduce: bool,
) -> np.ndarray:
    """A window of the image resized to uint8 [*size, channels] by Pillow's antialiased bilinear filter; else as `decoded`.

    Args:
        content: content of the file.
        channels: 1 or 3.
        name: what an error calls the image.
        size: height and width of the result.
        window: (height, width) of the upright image -> the window.
        reduce: decode a JPEG at 1/2, 1/4 or 1/8 of its resolution where the window is still `REDUCING_GAP` times `size`. That
            is several times as fast, and differs by a few levels (the mean of each 2x2 pixels comes from the DCT).

    Raises:
        UserError: see `opened`.
    """
    from PIL import Image

    image = opened(BytesIO(content), name)
    with undecodable(name):
        lazy = image.format in ("JPEG", "MPO")
        if not lazy:
            image.load()  # a PNG's EXIF may stand behind its pixels
        box = window(_upright_shape(image))
        if reduce and lazy:
            box = _reduced(image, box, size)
        image = converted(upright(image), MODES[channels], name)
        resized = image.resize((size[1], size[0]), Image.Resampling.BILINEAR, box=box)
        return np.asarray(resized).reshape(*size, channels)


def upright(image: Any) -> Any:
    """The image decoded and turned as its EXIF or XMP says."""
    from PIL import ImageOps

    image.load()
    # Pillow copies an image that it need not turn, and looks through an empty EXIF.
    return image if _orientation(image) == 1 else ImageOps.exif_transpose(image)


def shape_of(path: Path) -> tuple[int, int]:
    """Height and width of the upright image in a file, from its header where that says it.

    Raises:
        UserError: see `opened`.
    """
    with undecodable(path), open(path, "rb") as file:
        image = opened(file, path)
        if image.format == "PNG" and image.width != image.height:
            image.load()  # its EXIF may stand behind its pixels
        return _upright_shape(image)


def converted(image: Any, mode: str, name: object) -> Any:
    """An image of Pillow's in the mode "L" or "RGB": 16-bit greys scaled to 8 bits, transparency over white.

    Raises:
        UserError: pixels that are not finite.
    """
    from PIL import Image

    if image.mode.startswith("I") or image.mode == "F" or image.has_transparency_data:
        image = Image.fromarray(np.round(255 * planes(image, name).clip(0, 1)).astype(np.uint8))
    return image if image.mode == mode else image.convert(mode)


def planes(image: Any, name: object) -> np.ndarray:
    """Any mode to float32 [H, W, 3] in 0..1, transparency over white. Pillow itself would cut 16-bit greys off at 255.

    Raises:
        UserError: pixels that are not finite.
    """
    from PIL import Image

    if image.mode.startswith("I") or image.mode == "F":
        grey = np.asarray(image, np.float32)
        if not np.isfinite(grey).all():
            raise UserError(f"{name} has pixels that are not finite: mend it.")
        top = float(grey.max(initial=0))
        white = 65535 if image.mode != "F" or top > 255 else 255 if top > 1 else 1
        return np.repeat(grey[..., None] / white, 3, axis=2).astype(np.float32)
    if image.has_transparency_data:
        over = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    values = np.array(image if image.mode == "RGB" else image.convert("RGB"), np.float32)
    values /= 255
    return values


def contents(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        UserError: it can't be read, or is larger than any image that is accepted.
    """
    with undecodable(path), open(path, "rb", buffering=0) as file:
        check_bytes(os.fstat(file.fileno()).st_size, path)
        return file.read()


def check_bytes(size: int, name: object) -> None:
    """Whether a file is small enough for an image.

    Raises:
        UserError: it is not.
    """
    if size > MAX_BYTES:
        raise UserError(f"{name} has {size >> 20} MiB, more than the {MAX_BYTES >> 20} that are read: make it smaller.")


@contextmanager
def undecodable(name: object) -> Iterator[None]:
    """Whatever goes wrong in the block, as a UserError that names the file: Pillow's plugins raise what comes up."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if "cannot identify" in reason:
            reason = "not an image in JPEG, PNG, PNM or BMP"
        raise UserError(f"{name} can't be decoded ({reason}); mend or replace it.") from error


def _orientation(image: Any) -> int:
    """1 to 8, as EXIF counts them; the few bytes are only parsed where there are any."""
    if _EXIF.isdisjoint(image.info):
        return 1
    found = image.getexif().get(_ORIENTATION, 1)
    return found if found in range(1, 9) else 1


def _upright_shape(image: Any) -> tuple[int, int]:
    return (image.width, image.height) if _orientation(image) >= 5 else (image.height, image.width)


def _reduced(image: Any, box: Box, size: tuple[int, int]) -> Box:
    """Has the decoder reduce a JPEG of whose window enough remains; the window in the pixels of the reduced image."""
    room = min((box[2] - box[0]) / size[1], (box[3] - box[1]) / size[0]) / REDUCING_GAP
    factor, full = next((factor for factor in (8, 4, 2) if factor <= room), 1), image.size
    if factor == 1 or image.draft(None, (image.width // factor, image.height // factor)) is None:
        return box
    # Sides are rounded up, so where the image is turned its edge lies a part of a pixel further in.
    found = _orientation(image)
    excess = [side - before / factor for side, before in zip(image.size, full, strict=True)]
    across, down = reversed(excess) if found >= 5 else excess
    across, down = across * (found in (2, 3, 6, 7)), down * (found in (3, 4, 7, 8))
    return box[0] / factor + across, box[1] / factor + down, box[2] / factor + across, box[3] / factor + down


def _too_large(name: object, found: str = "") -> UserError:
    return UserError(
        f"{name} has too many pixels{found}: at most {MAX_PIXELS // 10**6} million are decoded; make it smaller or remove it."
    )


@functools.cache
def _without_warning() -> None:
    """Pillow warns of large images on stderr; here they are an error."""
    from PIL import Image

    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
