"""Single images from files (JPEG, PNG, PNM, BMP): any mode becomes RGB in 0..1; maps of labels keep their flat colours.

An image is named by a path, looked for from here and then in the folder of archives; `archive.zip/member.jpg` is a file in an
archive; `china` and `flower` are scikit-learn's two photographs.
"""

import io
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from dl.data import decoding
from dl.data.sources.unpacking import zip_member
from dl.errors import UserError

BUNDLED = ("china", "flower")  # that come with scikit-learn
SMALLEST_SHARE = 0.01  # of a map: colours that are rarer are edges, and join the nearest of the others
MOST_LABELS = 16
SAME_COLOUR = 48.0  # Euclidean distance in 0..255, up to which two maps mean the same
ASPECT = 0.03  # relative difference in shape that a map may have
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as of Pillow's mode "L"

Pixels = Float[np.ndarray, "h w 3"]


def read(name: str, size: int = 0, manual_dir: str | None = None) -> Pixels:
    """The image, float32 RGB in 0..1, upright by its EXIF; transparency over white.

    Args:
        name: see the module.
        size: length of the longer side in pixels; 0 leaves the image as it is.
        manual_dir: folder of archives.

    Raises:
        UserError: it is missing or can't be decoded.
    """
    from PIL import Image

    image = _opened(name, manual_dir)
    planes: np.ndarray = decoding.planes(image, name)
    height, width = scaled((image.height, image.width), size)
    if (height, width) != planes.shape[:2]:
        resize = Image.Resampling.LANCZOS
        planes = np.stack(
            [np.asarray(Image.fromarray(p).resize((width, height), resize)) for p in np.moveaxis(planes, -1, 0)], -1
        )
    return np.clip(planes, 0, 1)


def central(image: Pixels, shape: tuple[int, int, int], resize: int) -> Float[np.ndarray, "y x c"]:
    """The middle of an image, as classifiers are shown it: the shorter side becomes `resize`, then `shape` is cut out.

    Scaling is bilinear and antialiased. A side that would be shorter than that of `shape` is scaled up to it.

    Args:
        image: RGB in 0..1.
        shape: (H, W, C) wanted; one channel is the luminance.
        resize: length of the shorter side in pixels.

    Raises:
        UserError: another number of channels than 1 or 3.
    """
    from PIL import Image

    height, width, channels = shape
    if channels not in (1, 3):
        raise UserError(f"the network takes images of {channels} channels, and image files have 1 or 3.")
    rows, columns = image.shape[:2]
    factor = max(resize / min(rows, columns), height / rows, width / columns)
    box = (max(round(columns * factor), width), max(round(rows * factor), height))
    bilinear = Image.Resampling.BILINEAR
    planes = [np.asarray(Image.fromarray(plane).resize(box, bilinear)) for plane in np.moveaxis(image, -1, 0)]
    top, left = (box[1] - height) // 2, (box[0] - width) // 2
    cut = np.stack(planes, axis=-1)[top : top + height, left : left + width]
    return cut if channels == 3 else (cut @ LUMINANCE)[..., None]


def scaled(shape: tuple[int, int], size: int) -> tuple[int, int]:
    """Height and width with the longer side `size`, in the same proportion; unchanged where `size` is 0."""
    factor = size / max(shape) if size else 1.0
    return max(round(shape[0] * factor), 1), max(round(shape[1] * factor), 1)


def _opened(name: str, manual_dir: str | None) -> Any:
    """The image, decoded and upright."""
    content = _content(name, manual_dir)
    with decoding.undecodable(f"the image {name}"):
        return decoding.upright(decoding.opened(io.BytesIO(content), f"the image {name}"))


def _content(name: str, manual_dir: str | None) -> bytes:
    if name in BUNDLED:
        import sklearn

        return (Path(sklearn.__file__).parent / "datasets" / "images" / f"{name}.jpg").read_bytes()
    path = find(name, manual_dir, "the image")
    archive = next((p for p in path.parents if p.suffix == ".zip" and p.is_file()), None)
    try:
        if archive is None:
            return decoding.contents(path)
        with zipfile.ZipFile(archive) as file:
            return zip_member(file, path.relative_to(archive).as_posix(), decoding.MAX_BYTES)
    except KeyError as error:
        with zipfile.ZipFile(archive) as file:  # type: ignore[arg-type]  # there is one, or there would be no KeyError
            members = ", ".join(sorted(file.namelist())[:20])
        raise UserError(f"the image {name} is missing: {archive} holds {members}.") from error
    except (OSError, EOFError, ValueError, NotImplementedError, zlib.error, zipfile.BadZipFile) as error:
        raise UserError(f"the image {name} can't be read: {getattr(error, 'strerror', None) or error}.") from error


def find(name: str, manual_dir: str | None, what: str) -> Path:
    """The path of a file, or of a member of an archive, from here or else in the folder of archives.

    Raises:
        UserError: it is in neither.
    """
    path = Path(name).expanduser()
    candidates = [path] + ([Path(manual_dir).expanduser() / path] if manual_dir and not path.is_absolute() else [])
    for candidate in candidates:
        if candidate.is_file() or any(parent.suffix == ".zip" and parent.is_file() for parent in candidate.parents):
            return candidate
    where = (
        f", neither from here nor in {manual_dir}"
        if len(candidates) > 1
        else "; give its path, or the folder of archives by --manual_dir"
    )
    raise UserError(f"{what} {name} is missing{where if not path.is_absolute() else ''}.")


class Labels:
    """A map of labels: `colours` [K, 3] uint8 and `labels` [H, W], the number of each pixel's colour."""

    def __init__(self, colours: UInt8[np.ndarray, "k 3"], labels: Int[np.ndarray, "h w"]):
        self.colours, self.labels = colours, labels

    def shares(self, height: int, width: int) -> Float[np.ndarray, "k h w"]:
        """How much of each cell of a coarser grid each label covers, float32 in 0..1; 1 in all over the labels."""
        from PIL import Image

        box = Image.Resampling.BOX
        planes = [(self.labels == k).astype(np.float32) for k in range(len(self.colours))]
        return np.stack([np.asarray(Image.fromarray(plane).resize((width, height), box)) for plane in planes])

    def matched(self, other: "Labels") -> Int[np.ndarray, " k"]:
        """For each colour here the number of the same colour in the `other` map, -1 where it has none."""
        apart = np.linalg.norm(self.colours[:, None].astype(float) - other.colours[None].astype(float), axis=-1)
        return np.where(apart.min(axis=1) <= SAME_COLOUR, apart.argmin(axis=1), -1)


def read_labels(name: str, shape: tuple[int, int], manual_dir: str | None = None) -> Labels:
    """A map of labels, brought to `shape` (H, W) without mixing its colours.

    Every colour that covers a hundredth of the map or more is a label; others, as on soft edges, join the nearest.

    Raises:
        UserError: it is missing, of another proportion than its image, or has too many colours.
    """
    from PIL import Image

    image = _opened(name, manual_dir)
    if abs(np.log(image.width / image.height) - np.log(shape[1] / shape[0])) > ASPECT:
        raise UserError(
            f"the map {name} is {image.width}x{image.height} and its image {shape[1]}x{shape[0]} pixels: a map must have "
            "the same proportions as its image."
        )
    image = Image.fromarray(np.round(255 * decoding.planes(image, name)).astype(np.uint8))
    pixels = np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.NEAREST)).reshape(-1, 3)
    colours, inverse, counts = np.unique(pixels, axis=0, return_inverse=True, return_counts=True)
    kept = colours[counts >= SMALLEST_SHARE * len(pixels)]
    if not 1 <= len(kept) <= MOST_LABELS:
        raise UserError(
            f"the map {name} has {len(kept)} colours that cover a hundredth of it or more: draw it with 1 to {MOST_LABELS} "
            "flat ones."
        )
    nearest = np.linalg.norm(colours[:, None].astype(float) - kept[None].astype(float), axis=-1).argmin(axis=1)
    return Labels(kept, nearest[inverse.reshape(-1)].reshape(shape))
