"""Images of super-resolution: T91 (Yang et al. 2010) to train on, Set5 (Bevilacqua et al. 2012) and Set14 (Zeyde et al. 2010).

Also scikit-learn's two photographs, which are always there.
"""

import functools
import zipfile
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from dl.data import low_resolution
from dl.data.decoding import contents
from dl.data.low_resolution import Picture, check_scale, dataset_of, paired, picture
from dl.data.slicing import names_in
from dl.data.sources.archives import Archive, folder_of, how_to_get, opened, verified
from dl.data.sources.own_files import images_below, path_of
from dl.data.sources.unpacking import zip_member
from dl.dataset import Arrays, Dataset
from dl.errors import UserError
from dl.layers import bicubic

ARCHIVE = Archive("T91_Set5_Set14_HR.zip", "bea9cce5d800fc330291e75f1ca49891d7799469a056ca6b9c9c50fb2b971706")
FOLDERS = {"train": "T91", "test": "Set5", "set14": "Set14"}
COUNTS = {"train": 91, "test": 5, "set14": 14}
FILE_LIMIT = 1 << 24  # bytes of a member
LARGE = (512, 512)  # of the images that stand in for those that are not there


def load_super_resolution(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """The splits `train` (T91, 91 images), `test` (Set5, 5) and `set14` (14), as `dl.data.low_resolution` has them.

    In the order of their names, T91 by number. `dataset.scale` says how much smaller the low resolution is (4).
    `dataset.images`, a folder, adds one's own images to `train`. Read from `manual_dir/super_resolution` (or `manual_dir`)
    alone.

    Raises:
        UserError: no `manual_dir`, the file is missing or corrupt, an unknown scale, own images that can't be read.
    """
    scale = check_scale(settings.get("scale", 4))
    if not manual_dir:
        how = how_to_get("super_resolution", [ARCHIVE])
        raise UserError(f"the dataset 'super_resolution' is read from its archive. {how}")
    wanted = names_in(list(settings.splits.values()), list(FOLDERS))
    folder = folder_of("super_resolution", manual_dir, [ARCHIVE.name])
    path = verified(folder, [ARCHIVE], "super_resolution")[ARCHIVE.name]
    splits = {}
    for split in wanted:
        found = opened(path, functools.partial(_members, folder=FOLDERS[split]))
        if split == "train" and settings.get("images", ""):
            own = images_below(path_of(settings, "images", "a folder with images to train on besides T91"))
            found |= {str(file): picture(contents(file), file) for file in own.values()}
        splits[split] = paired(list(found.values()), list(found), scale)
    return dataset_of("super_resolution", dict(splits), settings)


def _members(path: Path, folder: str) -> dict[str, Picture]:
    with zipfile.ZipFile(path) as file:
        names = [name for name in file.namelist() if name.startswith(f"{folder}/") and name.endswith(".png")]
        names.sort(key=lambda name: (len(name) if folder == "T91" else 0, name))
        return {name: picture(zip_member(file, name, FILE_LIMIT), f"{path}: {name}") for name in names}


def load_photographs(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """Two photographs that come with scikit-learn, 427x640: `train` is a temple in China, `test` a flower, whole and a part.

    `dataset.shrink` makes both smaller first, by a whole number.

    Raises:
        UserError: an unknown scale.
    """
    from sklearn.datasets import load_sample_images

    scale, shrink = check_scale(settings.get("scale", 4)), settings.get("shrink", 1)
    china, flower = (bicubic.shrunk(image, shrink) for image in load_sample_images().images)
    parts = {"train": [china], "test": [flower, np.ascontiguousarray(flower[: len(flower) * 3 // 4, : flower.shape[1] // 2])]}
    splits = {
        split: paired([Picture(image, False) for image in images], [split] * len(images), scale)
        for split, images in parts.items()
    }
    return dataset_of("photographs", dict(splits), settings)


def _known(settings: ConfigDict) -> Dataset:
    scale = check_scale(settings.get("scale", 4))
    low = tuple(side // scale for side in LARGE)
    black = np.zeros((), np.uint8)

    def split(count: int) -> Arrays:
        images = {"image": np.broadcast_to(black, (count, *(scale * side for side in low), 3))}
        images["low"] = np.broadcast_to(black, (count, *low, 3))
        return Arrays({**images, "size": np.tile(np.array(low, np.int32), (count, 1)), "grey": np.zeros(count, bool)})

    return dataset_of("super_resolution", {name: split(count) for name, count in COUNTS.items()}, settings)


PUBLIC = {"super_resolution": load_super_resolution, "photographs": load_photographs}
SETTINGS = {
    "super_resolution": {**low_resolution.SETTINGS, "images": ""},
    "photographs": {**low_resolution.SETTINGS, "shrink": 1},
}
KNOWN = {"super_resolution": _known}
