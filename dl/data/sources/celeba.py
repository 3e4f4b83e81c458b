"""Faces of CelebA (Liu, Luo, Wang & Tang 2015), without their attributes: aligned and cropped JPEGs in a zip."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from dl.data import decoding
from dl.data.resizing import check_size
from dl.data.slicing import names_in
from dl.data.sources.archives import Archive, folder_of, how_to_get, opened, registered, verified
from dl.data.sources.unpacking import zip_member
from dl.data.stand_in import StandIn
from dl.data.streaming import Readers, Streamed, stacked
from dl.dataset import Arrays, Dataset, Feature, Info, Kind, Source
from dl.errors import UserError

SUBSET = Archive("celebA_10000_jpg.zip", "082f81e95bea5149a8d17b4920c16eccc04001baecb39a9b304c2096b31dc676")
WHOLE = "img_align_celeba.zip"
SPLITS = ("train", "validation", "test")
SUBSET_ENDS = (9_000, 9_500, 10_000)  # the last image of each split, in the order of the file names
WHOLE_ENDS = (162_770, 182_637, 202_599)  # as published in list_eval_partition.txt
DEFAULT_SIZE = (64, 64)
MEMORY_LIMIT = 2 * 2**30  # bytes; more is read from the zip as it is needed
IMAGE_LIMIT = 1 << 24  # bytes of a JPEG


def load_celeba(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """Images uint8 [64, 64, 3], or of `dataset.size`: the square in the middle, resized.

    Without labels. `manual_dir` holds `celeba_10k/celebA_10000_jpg.zip` (images 1 to 10,000, half size; `train` 9,000,
    `validation` 500, `test` 500) or the published `celeb_a/img_align_celeba.zip` (`train` 162,770, `validation` 19,867, `test`
    19,962), taken first. Prepared by TFDS, the dataset is `dataset.name=celeb_a`.

    Raises:
        UserError: no `manual_dir`, a file that is missing or corrupt, or a size that is none.
    """
    size = check_size(settings.get("size", (0, 0)), settings.get("fit", "pad"))
    path, ends = _archive(manual_dir)
    reader = Zipped(path, _members(path), size if any(size) else DEFAULT_SIZE)
    if len(reader) != ends[-1]:
        raise UserError(f"{path} is corrupt: it holds {len(reader)} images, not {ends[-1]}. Delete it and get it again.")
    starts = dict(zip(SPLITS, zip((0, *ends[:-1]), ends, strict=True), strict=True))
    splits: dict[str, Source] = {}
    for name in names_in(list(settings.splits.values()), SPLITS):
        part = Zipped(path, reader.members[slice(*starts[name])], reader.size)
        small = len(part) * int(np.prod(part.size)) * 3 <= MEMORY_LIMIT
        splits[name] = Arrays(Streamed(part, Readers()).gather(np.arange(len(part)))) if small else part
    return Dataset(Info("celeba", {"image": Feature(Kind.IMAGE, (*reader.size, 3))}), splits)


def _archive(manual_dir: str | None) -> tuple[Path, tuple[int, ...]]:
    whole = registered("celeb_a").get(WHOLE, Archive(WHOLE, ""))
    if not manual_dir:
        own = f"Or its first 10,000 images: DIR/celeba_10k/{SUBSET.name}."
        raise UserError(f"the dataset 'celeba' is read from its archive. {how_to_get('celeb_a', [whole])} {own}")
    folder = folder_of("celeb_a", manual_dir, [WHOLE])
    if (folder / WHOLE).is_file():
        return verified(folder, [whole], "celeba")[WHOLE], WHOLE_ENDS
    folder = folder_of("celeba_10k", manual_dir, [SUBSET.name])
    return verified(folder, [SUBSET], "celeba")[SUBSET.name], SUBSET_ENDS


def _members(path: Path) -> list[str]:
    def names(p: Path) -> list[str]:
        with zipfile.ZipFile(p) as file:
            return sorted(name for name in file.namelist() if name.endswith(".jpg"))

    return opened(path, names)


class Zipped:
    """JPEGs in a zip, decoded, cropped and resized when they are asked for."""

    resident = False

    def __init__(self, path: Path, members: list[str], size: tuple[int, int]):
        self.path, self.members, self.size = path, members, size
        self.file: zipfile.ZipFile | None = None

    def __getstate__(self) -> dict[str, Any]:  # sent to the workers, each of which opens the file for itself
        return {**self.__dict__, "file": None}

    def __len__(self) -> int:
        return len(self.members)

    def gather(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        empty = {"image": np.zeros((0, *self.size, 3), np.uint8)}
        return stacked(self.example(int(i)) for i in indices) if len(indices) else empty

    def example(self, index: int) -> dict[str, np.ndarray]:
        (data,) = self._encoded(np.array([index]))
        return {"image": centre_square(data, self.size, f"{self.path}: {self.members[index]}")}

    def column(self, name: str) -> np.ndarray | None:
        return None  # there are only images

    def stored(self, indices: np.ndarray) -> list[bytes]:
        return [self.members[int(i)].encode() + data for i, data in zip(indices, self._encoded(indices), strict=True)]

    def _encoded(self, indices: np.ndarray) -> Iterator[bytes]:
        self.file = self.file or zipfile.ZipFile(self.path)
        return (zip_member(self.file, self.members[int(i)], IMAGE_LIMIT) for i in indices)


def centre_square(data: bytes, size: tuple[int, int], name: str) -> np.ndarray:
    """A JPEG's largest square around the centre, resized (antialiased, bilinear) to uint8 [*size, 3]."""
    from PIL import Image

    image = decoding.opened(io.BytesIO(data), name)
    with decoding.undecodable(name):
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.convert("RGB").crop((left, top, left + side, top + side))
        return np.asarray(square.resize((size[1], size[0]), Image.Resampling.BILINEAR))


PUBLIC = {"celeba": load_celeba}


def _known(settings: ConfigDict) -> Dataset:
    """As published; which archive there will be is not known."""
    size = check_size(settings.get("size", (0, 0)), settings.get("fit", "pad"))
    shape = (*(size if any(size) else DEFAULT_SIZE), 3)
    counts = dict(zip(SPLITS, np.diff((0, *WHOLE_ENDS)).tolist(), strict=True))
    return Dataset(
        Info("celeba", {"image": Feature(Kind.IMAGE, shape)}), {split: StandIn(shape, count) for split, count in counts.items()}
    )


KNOWN = {"celeba": _known}
