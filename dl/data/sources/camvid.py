"""CamVid: frames from a car through Cambridge, each pixel of 11 classes (Brostow, Fauqueur & Cipolla 2009).

In the size and with the classes of SegNet (Badrinarayanan, Kendall & Cipolla 2017, section 4.1): 480 x 360, void is 11.
"""

import zipfile
from functools import partial
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from dl.data.decoding import decoded
from dl.data.slicing import names_in
from dl.data.sources.annotated import label_map
from dl.data.sources.archives import Archive, folder_of, how_to_get, opened, verified
from dl.data.sources.unpacking import zip_member
from dl.data.stand_in import annotated
from dl.dataset import Arrays, Dataset, Feature, Info, Kind
from dl.errors import UserError

ARCHIVE = Archive("CamVid_480x360.zip", "53a50c102a957c57c70c310a5fd8b15c956fe6b6609e448c81d1992d4cd058c4")
CLASSES = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist")
SHAPE = (360, 480, 3)
VOID = 11
SPLITS = {"train": "train", "validation": "val", "test": "test"}
COUNTS = {"train": 367, "validation": 101, "test": 233}
FILE_LIMIT = 1 << 20  # bytes of a member
FEATURES = {
    "image": Feature(Kind.IMAGE, SHAPE),
    "label_map": Feature(Kind.LABEL_MAP, SHAPE[:2], num_classes=len(CLASSES), class_names=CLASSES, void=VOID),
}


def load_camvid(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """Images uint8 [360, 480, 3] and `label_map` uint8 [360, 480]: `train` (367), `validation` (101) and `test` (233).

    In the order of their names, which is that of the drives. Read from `manual_dir/camvid` (or `manual_dir`) alone.

    Raises:
        UserError: no `manual_dir`, or the file is missing or corrupt.
    """
    if not manual_dir:
        raise UserError(f"the dataset 'camvid' is read from its archive. {how_to_get('camvid', [ARCHIVE])}")
    wanted = names_in(list(settings.splits.values()), list(SPLITS))
    path = verified(folder_of("camvid", manual_dir, [ARCHIVE.name]), [ARCHIVE], "camvid")[ARCHIVE.name]
    return Dataset(Info("camvid", FEATURES), {split: Arrays(opened(path, partial(parse, split=split))) for split in wanted})


def parse(path: Path, split: str) -> dict[str, np.ndarray]:
    """The images and label maps of one split."""
    folder = f"CamVid/{SPLITS[split]}"
    with zipfile.ZipFile(path) as file:
        names = sorted(Path(name).stem for name in file.namelist() if name.startswith(f"{folder}/") and name.endswith(".jpg"))
        images = np.empty((len(names), *SHAPE), np.uint8)
        maps = np.empty((len(names), *SHAPE[:2]), np.uint8)
        for row, name in enumerate(names):
            image, labels = f"{folder}/{name}.jpg", f"{folder}annot/{name}.png"
            images[row] = decoded(zip_member(file, image, FILE_LIMIT), 3, f"{path}: {image}")
            maps[row] = label_map(zip_member(file, labels, FILE_LIMIT), f"{path}: {labels}", FEATURES["label_map"])
    return {"image": images, "label_map": maps}


PUBLIC = {"camvid": load_camvid}
KNOWN = {"camvid": lambda settings: annotated(Info("camvid", FEATURES), SHAPE, COUNTS)}
