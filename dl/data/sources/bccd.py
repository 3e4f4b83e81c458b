"""BCCD: blood cells under a microscope, each with its box (github.com/Shenggan/BCCD_Dataset, v1.0; MIT licence)."""

import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from ml_collections import ConfigDict

from dl.data.slicing import names_in
from dl.data.sources.annotated import MEMORY_LIMIT, Split, dataset_of
from dl.data.sources.archives import Archive, folder_of, how_to_get, opened, verified
from dl.data.sources.boxes import features_of, small_features
from dl.data.sources.unpacking import zip_member
from dl.data.sources.voc import objects_of, parse
from dl.data.stand_in import annotated
from dl.dataset import Dataset, Info
from dl.errors import UserError

ARCHIVE = Archive("BCCD_v1.0_data.zip", "0019ada0c1977c9737d10368666b30ab6bde185ec2d80170a5bf4d2e1e8fa9f3")
CLASSES = ("RBC", "WBC", "Platelets")
SHAPE = (480, 640, 3)
SPLITS = {"train": "train", "validation": "val", "test": "test"}
COUNTS = {"train": 205, "validation": 87, "test": 72}
LONGEST = {"train": 28, "validation": 30, "test": 24}
FILE_LIMIT = 1 << 20  # bytes of a member


def load_bccd(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """Images uint8 [480, 640, 3] with `boxes`, `boxes_label` and `boxes_ignored`, in the published order and splits.

    `train` (205), `validation` (87) and `test` (72); classes RBC, WBC and Platelets. Read from `manual_dir/bccd` (or
    `manual_dir`) alone, without TFDS's builder of the same name. Corners are VOC's: two boxes are a single pixel.

    Raises:
        UserError: no `manual_dir`, or the file is missing or corrupt.
    """
    if not manual_dir:
        raise UserError(f"the dataset 'bccd' is read from its archive. {how_to_get('bccd', [ARCHIVE])}")
    wanted = names_in(list(settings.splits.values()), list(SPLITS))
    path = verified(folder_of("bccd", manual_dir, [ARCHIVE.name]), [ARCHIVE], "bccd")[ARCHIVE.name]
    splits: Mapping[str, Split] = opened(path, partial(read, wanted=wanted))
    return dataset_of("bccd", splits, features_of(CLASSES, settings.get("channels", 3)), settings)


def read(path: Path, wanted: list[str]) -> dict[str, Split]:
    """The splits that are wanted, their images not decoded."""
    splits = {}
    with zipfile.ZipFile(path) as file:
        for split in wanted:
            names = zip_member(file, f"BCCD/ImageSets/Main/{SPLITS[split]}.txt", FILE_LIMIT).decode().split()
            annotations = [f"BCCD/Annotations/{name}.xml" for name in names]
            found = [objects_of(parse(zip_member(file, name, FILE_LIMIT), name), CLASSES, name) for name in annotations]
            files = [f"BCCD/JPEGImages/{name}.jpg" for name in names]
            images = [(zip_member(file, name, FILE_LIMIT), f"{path}: {name}") for name in files]
            shapes = [(SHAPE[0], SHAPE[1])] * len(names)
            splits[split] = Split(images, shapes, {}, small_features(found, shapes, annotations))
    return splits


PUBLIC = {"bccd": load_bccd}
KNOWN = {"bccd": lambda settings: annotated(Info("bccd", features_of(CLASSES, 3)), SHAPE, COUNTS, LONGEST)}
SETTINGS = {"bccd": {"lengths": (), "memory_limit": MEMORY_LIMIT}}
