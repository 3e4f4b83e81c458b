"""The digits embedded in scikit-learn: 1,797 handwritten digits of 8x8 pixels (UCI "optdigits", test part, 1998)."""

import gzip
import importlib.util
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from dl.dataset import Arrays, Dataset, labelled_images
from dl.errors import UserError

TEST_EVERY = 5


def load_digits(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """Images uint8 [8, 8, 1] (ink counts 0..16 scaled to 0..255), 10 classes; splits `train` (1,442) and `test` (355).

    The split is stratified by rule: of every class, in scikit-learn's order, each fifth example (numbers 4, 9, 14, ... from
    0) is a test example. Both splits keep scikit-learn's order.
    """
    table = _table()
    labels = table[:, 64].astype(np.int32)
    images = np.round(table[:, :64].astype(np.float64) * 255 / 16).astype(np.uint8).reshape(-1, 8, 8, 1)
    test = np.zeros(len(labels), bool)
    for digit in range(10):
        test[np.flatnonzero(labels == digit)[TEST_EVERY - 1 :: TEST_EVERY]] = True
    info = labelled_images("digits", (8, 8, 1), 10, tuple("0123456789"))
    splits = {"train": ~test, "test": test}
    return Dataset(info, {name: Arrays({"image": images[rows], "label": labels[rows]}) for name, rows in splits.items()})


def _table() -> np.ndarray:
    # Read from the package's folder without importing it: `import sklearn` costs a second and more.
    spec = importlib.util.find_spec("sklearn")
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            "the dataset 'digits' comes with scikit-learn, which is not installed; install this project's requirements."
        )
    path = Path(spec.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
    with gzip.open(path, "rt") as file:
        return np.array([line.split(",") for line in file.read().split()], np.uint8)


PUBLIC = {"digits": load_digits}
