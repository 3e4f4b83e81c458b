"""USPS digits (Le Cun et al. 1990), as Hastie, Tibshirani & Friedman's "Elements of Statistical Learning" distributes them."""

from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from dl.data.slicing import names_in
from dl.data.sources.archives import Archive, folder_of, how_to_get, opened, verified
from dl.data.sources.unpacking import read_gz
from dl.data.stand_in import labelled
from dl.dataset import Arrays, Dataset, labelled_images
from dl.errors import UserError

LIMIT = 1 << 26  # bytes; the larger of the two holds 13 million
URL = "https://hastie.su.domains/ElemStatLearn/datasets/"
FILES = {
    "train": Archive("zip.train.gz", "66ebf231ab51f2cf6ac1a892d0f98ccffee1079d7a5db638c1f11f366046ca16", URL + "zip.train.gz"),
    "test": Archive("zip.test.gz", "8dacc3c6e136af6c3488de9e5113a7daf140c8c2f1f0b61c54ee02f03f1a962f", URL + "zip.test.gz"),
}


def load_usps(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """Images uint8 [16, 16, 1] (-1..1 scaled to 0..255), 10 classes, in the files' order: `train` (7,291) and `test` (2,007).

    TFDS has no builder of this dataset, so it is read from `manual_dir/usps` (or `manual_dir` itself) alone.

    Raises:
        UserError: no `manual_dir`, or a file is missing or corrupt.
    """
    if not manual_dir:
        raise UserError(f"the dataset 'usps' is read from its archives. {how_to_get('usps', FILES.values())}")
    wanted = names_in(list(settings.splits.values()), list(FILES))
    folder = folder_of("usps", manual_dir, [archive.name for archive in FILES.values()])
    paths = verified(folder, [FILES[split] for split in wanted], "usps")
    splits = {split: Arrays(parse_usps(paths[FILES[split].name])) for split in wanted}
    return Dataset(labelled_images("usps", (16, 16, 1), 10, tuple("0123456789")), splits)


def parse_usps(path: Path) -> dict[str, np.ndarray]:
    """Rows of the digit and 256 grey values in -1..1 (1 is ink), separated by spaces."""
    table = opened(path, lambda p: np.array(read_gz(p, LIMIT).split(), np.float32).reshape(-1, 257))
    images = np.round((table[:, 1:] + 1) * 127.5).astype(np.uint8)
    return {"image": images.reshape(-1, 16, 16, 1), "label": table[:, 0].astype(np.int32)}


PUBLIC = {"usps": load_usps}
KNOWN = {"usps": lambda settings: labelled("usps", (16, 16, 1), {"train": 7_291, "test": 2_007}, tuple("0123456789"))}
