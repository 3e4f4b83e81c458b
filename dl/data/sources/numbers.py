"""Numbers to be predicted from numbers, or from images: a table or an .npz of one's own.

The features are `inputs` float32 [D], or `image` where images are named; and `target`, a float32, or `label`, a class. Inputs
are standardised by mean and deviation of each column over the split `train`, as pixels are by `dataset.mean` and
`dataset.std`; the target keeps its unit.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from dl.data.sources.annotated import Paths, Split, dataset_of
from dl.data.sources.archives import reason
from dl.data.sources.delimited import Rows, read_rows
from dl.data.sources.npz_file import members, read
from dl.data.sources.own_files import held_out, path_of, sizes_of
from dl.data.sources.table import classes_of, members_of
from dl.dataset import Arrays, Dataset, Feature, Info, Kind
from dl.errors import UserError

SPLITS = ("train", "validation", "test")
PAIRS = (("x", "y"), *((f"x_{split}", f"y_{split}") for split in SPLITS))
LARGEST = float(np.finfo(np.float32).max)


def load_numbers(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """`dataset.path`: a .csv or .tsv (also packed) whose first line names its columns, or an .npz.

    Of a table, `dataset.target` names the column to be predicted (or `dataset.label`, of classes), `dataset.columns` those to
    predict it from: all others, where none is named. With `dataset.images`, a folder, the column `dataset.image` names an image
    in it for each row, and the target is predicted from that. Splits are those of the column `dataset.split`, or as for
    `table` by a hash of the row, `dataset.holdout` percent for the test and as many for the validation.

    An .npz holds `x` [N, D] (or images [N, H, W, C]) and `y` [N], split by a hash of their number; or `x_train`, `y_train`,
    `x_test`, `y_test` and so on.

    Raises:
        UserError: no such file, column or image, a cell that is no finite number, no row to train on, or arrays that do not
            fit each other.
    """
    path = path_of(settings, "path", "a .csv, .tsv or .npz file", folder=False)
    if path.suffix == ".npz":
        return _arrays(path, settings)
    of_target = [settings.get(key, "") for key in ("target", "label")]
    if bool(of_target[0]) == bool(of_target[1]):
        raise UserError(
            "the dataset 'numbers' needs dataset.target, the column to be predicted, or dataset.label, a column of classes."
        )
    image = settings.get("image", "image") if settings.get("images", "") else ""
    given = settings.get("columns", ())
    columns = [given] if isinstance(given, str) and given else list(given)
    target = of_target[0] or of_target[1]
    rows = read_rows(path, settings.get("encoding", "utf-8"), [target, *([image] if image else columns)])
    feature, values = _target(rows, *of_target)
    wanted = {"label" if of_target[1] else "target": feature}
    if image:
        return _images(rows, image, wanted, values, settings)
    columns = columns or [n for n in rows.names if n not in (target, settings.get("split", "split"))]
    if not columns:
        raise UserError(f"{path} has no column besides {target!r}: there is nothing to predict it from.")
    inputs = np.stack([_numbers(rows, name) for name in columns], axis=1)
    rows_of, name = _rows_of(rows, settings), next(iter(wanted))
    splits = {split: {"inputs": inputs[i], name: values[i]} for split, i in rows_of.items()}
    return standardised("numbers", splits, wanted, settings)


def standardised(
    name: str, splits: Mapping[str, Mapping[str, np.ndarray]], known: Mapping[str, Feature], settings: ConfigDict
) -> Dataset:
    """The dataset of splits that hold `inputs` [N, D] and what `known` describes.

    Inputs are standardised by those of the split `train`, unless `dataset.standardise` is False; a column that does not change
    there becomes 0.
    """
    train = np.asarray(splits["train"]["inputs"], np.float64)
    centre, scale = np.zeros(train.shape[1]), np.ones(train.shape[1])
    if settings.get("standardise", True):
        centre = train.mean(0)
        spread = train.std(0)
        # What does not change has a deviation of rounding errors.
        scale = np.where(spread > 1e-7 * np.abs(centre), spread, np.inf)
    sources = {}
    for split, features in splits.items():
        inputs = ((features["inputs"] - centre) / scale).astype(np.float32)
        rest = {n: v.astype(np.int32 if known[n].kind is Kind.CLASS else np.float32) for n, v in features.items() if n in known}
        sources[split] = Arrays({"inputs": inputs, **rest})
    info = Info(name, {"inputs": Feature(Kind.NUMBER, (train.shape[1],)), **known})
    return Dataset(info, sources)


def _rows_of(rows: Rows, settings: ConfigDict) -> dict[str, np.ndarray]:
    return members_of(rows, settings.get("split", "split"), settings.get("holdout", 10.0))


def _target(rows: Rows, target: str, label: str) -> tuple[Feature, np.ndarray]:
    if target:
        return Feature(Kind.NUMBER, ()), _numbers(rows, target)
    names, classes = classes_of(rows, label)
    return Feature(Kind.CLASS, (), num_classes=len(names), class_names=names), classes


def _numbers(rows: Rows, name: str) -> np.ndarray:
    """A column, float64 [N]."""
    try:
        found = np.array(rows.numbers(name), np.float64)
    except UserError as error:
        said = str(error).rstrip(".")
        raise UserError(f"{said}: correct it, or name the columns that are to be read by dataset.columns.") from None
    if len(found) and np.abs(found).max() > LARGEST:
        where = rows.lines[int(np.abs(found).argmax())]
        raise UserError(f"{rows.path}, line {where}: the column {name!r} is beyond float32: give it in another unit.")
    return found


def _images(
    rows: Rows,
    column: str,
    wanted: Mapping[str, Feature],
    values: np.ndarray,
    settings: ConfigDict,
) -> Dataset:
    """Images with a number, or a class, each."""
    folder = path_of(settings, "images", "the folder of the images that the table names")
    paths = [folder / cell.strip() for cell in rows.column(column)]
    for line, path in zip(rows.lines, paths, strict=True):
        if not path.is_file():
            raise UserError(f"{rows.path}, line {line}: there is no image {path}: correct the name or remove the row.")
    shapes, (name, feature) = sizes_of(paths), next(iter(wanted.items()))
    values = values.astype(np.int32 if feature.kind is Kind.CLASS else np.float32)
    splits = {
        split: Split(Paths([paths[i] for i in of]), [shapes[i] for i in of], {}, {name: values[of]})
        for split, of in ((split, indices.tolist()) for split, indices in _rows_of(rows, settings).items())
    }
    features = {"image": Feature(Kind.IMAGE, (None, None, settings.get("channels", 3))), **wanted}
    return dataset_of("numbers", splits, features, settings)


def _arrays(path: Path, settings: ConfigDict) -> Dataset:
    found = _read(path)
    named = {split: (found[f"x_{split}"], found[f"y_{split}"]) for split in SPLITS if f"x_{split}" in found}
    if "train" not in named:
        x, y = found["x"], found["y"]
        held = held_out(map(str, range(len(x))), settings)
        rows = {split: np.array(numbers, int) for split, numbers in held.items()}
        named = {split: (x[indices], y[indices]) for split, indices in rows.items()}
    if "train" not in named:
        raise UserError(f"{path} leaves no row to train on: it has {len(found['x'])}.")
    target = {"target": Feature(Kind.NUMBER, ())}
    shape = named["train"][0].shape[1:]
    if any(x.shape[1:] != shape for x, _ in named.values()):
        raise UserError(f"{path}: the splits' x differ in shape: {sorted({x.shape[1:] for x, _ in named.values()})}.")
    if len(shape) == 1:
        splits = {split: {"inputs": x, "target": y} for split, (x, y) in named.items()}
        return standardised("numbers", splits, target, settings)
    sources = {split: Arrays({"image": _pixels(path, x), "target": y.astype(np.float32)}) for split, (x, y) in named.items()}
    image = Feature(Kind.IMAGE, sources["train"].features["image"].shape[1:])
    return Dataset(Info("numbers", {"image": image, **target}), sources)


def _pixels(path: Path, x: np.ndarray) -> np.ndarray:
    """Images [N, H, W, C] as `npz` has them: whole numbers 0..255 as uint8, floats as float32."""
    if x.dtype.kind in "iu" and (x.min(initial=0) < 0 or x.max(initial=0) > 255):
        raise UserError(f"{path}: images of whole numbers outside 0..255; store them as floats.")
    x = x.astype(np.uint8 if x.dtype.kind in "iu" else np.float32)
    return x if x.ndim == 4 else x[..., None]


def _read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz that are ours, in pairs, checked.

    Raises:
        UserError: it can't be read, lacks them, or they hold something else than finite numbers of fitting shapes.
    """
    try:
        there = members(path, frozenset(name for pair in PAIRS for name in pair))
        found = {name: read(path, member) for name, member in there.items()}
    except UserError:
        raise
    except Exception as error:  # a damaged zip or header raises more kinds than zipfile and NumPy document
        raise UserError(f"{path} is not a readable .npz file: {reason(error)}. Save it again by np.savez.") from error
    pairs = [(x, y) for x, y in PAIRS if x in found or y in found]
    if not {("x", "y"), ("x_train", "y_train")} & set(pairs):
        raise UserError(f"{path} needs the arrays x and y, or x_train, y_train, x_test, y_test; it has neither.")
    for x, y in pairs:
        if x not in found or y not in found:
            raise UserError(f"{path} has {x if x in found else y!r} without {y if x in found else x!r}.")
        found[y] = found[y].reshape(len(found[y])) if found[y].shape[1:] == (1,) else found[y]
        if found[x].ndim not in (2, 3, 4) or found[y].ndim != 1 or len(found[x]) != len(found[y]) or not len(found[y]):
            raise UserError(
                f"{path}: {x} has shape {found[x].shape} and {y} {found[y].shape}; they must be [N, D], or images, and [N]."
            )
        for name in (x, y):
            _check_finite(path, name, found[name])
    return found


def _check_finite(path: Path, name: str, values: np.ndarray) -> None:
    if values.dtype.kind not in "fiub":
        raise UserError(f"{path}: {name} has type {values.dtype}; it must hold numbers.")
    wrong = np.flatnonzero(~(np.abs(values.reshape(len(values), -1).astype(np.float64)) <= LARGEST).all(1))
    if len(wrong):
        raise UserError(f"{path}: {name} has a value of example {wrong[0]} that is no finite number: correct or remove it.")


PUBLIC = {"numbers": load_numbers}
SETTINGS = {
    "numbers": {
        **{"target": "", "label": "", "columns": (), "split": "split", "encoding": "utf-8", "standardise": True},
        **{"images": "", "image": "image"},
    }
}
