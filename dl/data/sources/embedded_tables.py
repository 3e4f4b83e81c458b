"""Two small tables embedded in scikit-learn: how diabetes went on within a year, and whether a breast tumour is malignant."""

import gzip
import importlib.util
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from dl.data.sources.npz import every_fifth
from dl.data.sources.numbers import standardised
from dl.dataset import Dataset, Feature, Kind
from dl.errors import UserError

DIAGNOSES = ("malignant", "benign")


def load_diabetes(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """442 patients (Efron, Hastie, Johnstone & Tibshirani 2004, section 1): age, sex, body mass index, blood pressure and six
    measurements of the blood serum as `inputs` [10], and as `target` the disease's progression within a year, 25 to 346.

    Splits by rule, in scikit-learn's order: of each five the last is `test` (88), the one before it `validation` (88), the
    others `train` (266).
    """
    folder = _folder()
    with gzip.open(folder / "diabetes_data_raw.csv.gz", "rt") as file:
        inputs = np.array([line.split() for line in file], np.float64)
    with gzip.open(folder / "diabetes_target.csv.gz", "rt") as file:
        target = np.array(file.read().split(), np.float64)
    place = np.arange(len(target)) % 5
    rows = {"train": place < 3, "validation": place == 3, "test": place == 4}
    splits = {split: {"inputs": inputs[of], "target": target[of]} for split, of in rows.items()}
    return standardised("diabetes", splits, {"target": Feature(Kind.NUMBER, ())}, settings)


def load_breast_cancer(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """569 tumours (Street, Wolberg & Mangasarian 1993): 30 numbers on the nuclei of their cells as `inputs`, and as `label` 0,
    malignant (212), or 1, benign (357).

    Splits by rule: of every class, in scikit-learn's order, each fifth example is `test` (113), as for `digits`; of the others
    each fifth of a class `validation` (91); the rest is `train` (365).
    """
    table = np.loadtxt(_folder() / "breast_cancer.csv", delimiter=",", skiprows=1)
    inputs, labels = table[:, :-1], table[:, -1].astype(np.int32)
    test = every_fifth(labels)
    validation = np.zeros(len(labels), bool)
    validation[np.flatnonzero(~test)[every_fifth(labels[~test])]] = True
    rows = {"train": ~test & ~validation, "validation": validation, "test": test}
    splits = {split: {"inputs": inputs[of], "label": labels[of]} for split, of in rows.items()}
    label = Feature(Kind.CLASS, (), num_classes=2, class_names=DIAGNOSES)
    return standardised("breast_cancer", splits, {"label": label}, settings)


def _folder() -> Path:
    # Read from the package's folder without importing it: `import sklearn` costs a second and more.
    spec = importlib.util.find_spec("sklearn")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("this dataset comes with scikit-learn, which is not installed; install this project's requirements.")
    return Path(spec.submodule_search_locations[0]) / "datasets" / "data"


PUBLIC = {"diabetes": load_diabetes, "breast_cancer": load_breast_cancer}
SETTINGS = {name: {"standardise": True} for name in PUBLIC}
