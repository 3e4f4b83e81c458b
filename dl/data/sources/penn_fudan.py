"""Penn-Fudan: pedestrians in streets, each with a mask; here with a longer side of 320 pixels.

Wang, Shi, Song & Shen 2007, "Object Detection Combining Recognition and Segmentation".
"""

import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from dl.data.slicing import names_in
from dl.data.sources.annotated import MEMORY_LIMIT, Split, dataset_of, label_map
from dl.data.sources.archives import Archive, folder_of, how_to_get, opened, verified
from dl.data.sources.boxes import Objects, features_of, small_features
from dl.data.sources.unpacking import zip_member
from dl.data.stand_in import annotated
from dl.dataset import Dataset, Feature, Info, Kind
from dl.errors import UserError

ARCHIVE = Archive("PennFudanPed_320.zip", "753a167c9e14002b62fae476924ff83355a4197147e7adaa3f8eab7d4be74d51")
CLASSES = ("pedestrian",)
COUNTS = {"train": 120, "test": 50}
LONGEST = {"train": 8, "test": 6}
LARGEST = (320, 320, 3)
FILE_LIMIT = 1 << 20  # bytes of a member
# A pixel is the number of its instance, 0 being none; a crop or a shift shows nothing beyond the image.
INSTANCES = Feature(Kind.LABEL_MAP, (None, None), void=0)


def load_penn_fudan(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """Images of up to 320 x 320 x 3 with `boxes`, `boxes_label` and `boxes_ignored`, and `instances` [H, W] uint8.

    Row i of the boxes is around the pixels of `instances` that are i + 1, also after a crop; 0 is background. `test` is the
    last 50 of the 170 images in the order of their names, `train` the 120 before; nothing is published about which images are
    held out. They differ in size, so `dataset.size` must be set. Read from `manual_dir/penn_fudan` (or `manual_dir`) alone.

    Raises:
        UserError: no `manual_dir`, the file is missing or corrupt, or no `dataset.size`.
    """
    if not manual_dir:
        raise UserError(f"the dataset 'penn_fudan' is read from its archive. {how_to_get('penn_fudan', [ARCHIVE])}")
    wanted = names_in(list(settings.splits.values()), list(COUNTS))
    path = verified(folder_of("penn_fudan", manual_dir, [ARCHIVE.name]), [ARCHIVE], "penn_fudan")[ARCHIVE.name]
    splits: Mapping[str, Split] = opened(path, partial(read, wanted=wanted))
    return dataset_of("penn_fudan", splits, features(settings.get("channels", 3)), settings)


def features(channels: int) -> dict[str, Feature]:
    """What an example has."""
    return {**features_of(CLASSES, channels), "instances": INSTANCES}


def read(path: Path, wanted: list[str]) -> dict[str, Split]:
    """The splits that are wanted, their images not decoded."""
    splits = {}
    with zipfile.ZipFile(path) as file:
        names = sorted(Path(name).stem for name in file.namelist() if name.endswith(".jpg"))
        for split in wanted:
            chosen = names[: COUNTS["train"]] if split == "train" else names[COUNTS["train"] :]
            images = [_member(file, path, f"PennFudanPed/PNGImages/{name}.jpg") for name in chosen]
            masks = [_member(file, path, f"PennFudanPed/PedMasks/{name}_mask.png") for name in chosen]
            decoded = [label_map(*mask, INSTANCES) for mask in masks]
            shapes = [(mask.shape[0], mask.shape[1]) for mask in decoded]
            small = small_features([boxes_of(mask) for mask in decoded], shapes, [name for _, name in masks])
            splits[split] = Split(images, shapes, {"instances": masks}, small)
    return splits


def _member(file: zipfile.ZipFile, path: Path, name: str) -> tuple[bytes, object]:
    return zip_member(file, name, FILE_LIMIT), f"{path}: {name}"


def boxes_of(instances: np.ndarray) -> Objects:
    """The box around the pixels of each instance, 1 to n; pixels belong to it whole."""
    pixels = []
    for number in range(1, int(instances.max()) + 1):
        rows, columns = np.nonzero(instances == number)
        pixels.append((float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)))
    return Objects(pixels, [0] * len(pixels), [0] * len(pixels))


def _known(settings: ConfigDict) -> Dataset:
    size = tuple(settings.get("size", (0, 0)))
    shape = (*size, 3) if any(size) else LARGEST
    return annotated(Info("penn_fudan", features(3)), shape, COUNTS, LONGEST)


PUBLIC = {"penn_fudan": load_penn_fudan}
KNOWN = {"penn_fudan": _known}
SETTINGS = {"penn_fudan": {"lengths": (), "memory_limit": MEMORY_LIMIT}}
