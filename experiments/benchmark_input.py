"""The case `input` of `experiments.benchmark`: reading JPEGs, beside PyTorch's DataLoader with Pillow.

Open, take a random window (Szegedy et al. 2015), resize it, make batches of 128: with 0, 1 and 2 workers. Both sides read the
same files; both go on reading ahead in the other's turn until their queues are full, so each turn begins with calls that are
not timed.
"""

import itertools
import math
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dl.data.cropping import DRAWS, RandomCrop
from dl.errors import UserError

BATCH = 128
WORKERS = (0, 1, 2)
DRAINED = 6  # calls before a turn is timed: more batches than either reads ahead
GENERATED = 512  # images
SUFFIXES = (".jpg", ".jpeg")

Read = Callable[[], Any]


def images(folder: Path, shape: tuple[int, int], count: int = GENERATED) -> list[Path]:
    """Writes JPEGs (quality 90) of `shape` (height, width), windows of two photographs enlarged, into a new folder."""
    from PIL import Image

    from dl.data import image_files

    photographs = [Image.fromarray((255 * image_files.read(name)).astype(np.uint8)) for name in image_files.BUNDLED]
    rng = random.Random(0)
    paths = []
    for number in range(count):
        photograph = photographs[number % len(photographs)]
        height = rng.randint(photograph.height // 2, photograph.height - 1)
        width = min(photograph.width - 1, round(height * shape[1] / shape[0]))
        left, top = rng.randint(0, photograph.width - width), rng.randint(0, photograph.height - height)
        paths.append(folder / f"{number:04d}.jpg")
        photograph.resize(shape[::-1], box=(left, top, left + width, top + height)).save(paths[-1], quality=90)
    return paths


def found(folder: Path) -> list[Path]:
    """The JPEGs of a folder, at any depth.

    Raises:
        UserError: there are fewer than make a batch.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if len(paths) < BATCH:
        raise UserError(f"--images: {folder} holds {len(paths)} JPEGs, fewer than a batch of {BATCH}.")
    return paths


def ours(paths: Sequence[Path], size: int, workers: int) -> Read:
    """The engine's batches of these files, on the host."""
    from dl.data.batches.examples import examples
    from dl.data.cropping import Cropped
    from dl.data.sources.folder import Files

    source = Cropped(Files(paths, [0] * len(paths), 3, (0, 0), "crop"), (size, size), RandomCrop())
    read, step, rows = examples(source, 0, BATCH, {"workers": workers}, False), itertools.count(), np.arange(BATCH)
    return lambda: read(next(step), 1, rows)


def torch_loader(torch: Any, paths: Sequence[Path], size: int, workers: int) -> Read:
    """The same with PyTorch's DataLoader, its workers kept."""
    images = _Images([str(path) for path in paths], size)
    options = {"batch_size": BATCH, "shuffle": True, "drop_last": True, "persistent_workers": workers > 0}
    loader = torch.utils.data.DataLoader(images, num_workers=workers, **options)

    def endless() -> Iterator[Any]:
        while True:
            yield from loader

    batches = endless()
    return lambda: next(batches)


class _Images:
    """A dataset as PyTorch's users write it: Pillow, and the window of torchvision's RandomResizedCrop."""

    def __init__(self, paths: Sequence[str], size: int):
        self.paths, self.size = paths, size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        from PIL import Image

        with Image.open(self.paths[index]) as opened:  # as PyTorch's users open it
            image = opened.convert("RGB")
        box = _window(image.width, image.height)
        return np.array(image.resize((self.size, self.size), Image.Resampling.BILINEAR, box=box)), 0


def _window(width: int, height: int) -> tuple[int, int, int, int]:
    for _ in range(DRAWS):
        area = width * height * random.uniform(0.08, 1)
        ratio = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = random.randint(0, width - w), random.randint(0, height - h)
            return left, top, left + w, top + h
    return 0, 0, width, height
