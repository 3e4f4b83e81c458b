"""A table of one's own: texts with a label, a question with its answer, or numbers with a target. See `delimited` for files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from dl.data.checks import MOST_CLASSES
from dl.data.ragged import in_memory
from dl.data.sources import texts
from dl.data.sources.delimited import Rows, read_rows
from dl.data.sources.folder import holdout_split
from dl.dataset import Dataset, Feature, Features, Info, Kind
from dl.errors import UserError, unknown

SPLITS = {"train": "train", "validation": "validation", "val": "validation", "dev": "validation", "test": "test"}


def load_table(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """`dataset.path`: a .tsv or .csv file, also .gz, .xz and .bz2, whose first line names its columns; of a text and a label,
    it may be without names, the label first.

    Its features: each column of `texts` as its symbols (ragged tokens int [N], a vocabulary of its own, that of `train`; see
    `dl.data.sources.texts` for its settings); the column `label` as `label`, an int32 class whose names are sorted, as numbers
    where all are; each column of `numbers` as float32 []. A column `split`, where there is one, says train, validation (val,
    dev) or test. Otherwise a hash of the row decides, as for `folder`: below `holdout` percent it is `test`, below twice that
    `validation`, the rest `train`; so a row stays in its split when others come or go.

    Raises:
        UserError: no such file or column, rows of different lengths, an empty text or label, a number that is none, an unknown
            split, or no example to train on.
    """
    if not settings.get("path", ""):
        raise UserError("the dataset 'table' needs dataset.path, a .tsv or .csv file.")
    columns = _names(settings, "texts", ("text",)), settings.get("label", "label"), _names(settings, "numbers", ())
    of_text, label, of_numbers = columns
    wanted = [*of_text, *([label] if label else []), *of_numbers]
    if not wanted:
        raise UserError("the dataset 'table' reads no column: name some by dataset.texts, dataset.label or dataset.numbers.")
    pair = (label, of_text[0]) if label and len(of_text) == 1 and not of_numbers else ()
    rows = read_rows(Path(settings.path).expanduser(), settings.get("encoding", "utf-8"), wanted, pair)
    members = members_of(rows, settings.get("split", "split"), settings.get("holdout", 10.0))
    known: Features = {}
    values: dict[str, Any] = {split: {} for split in members}
    for name in of_text:
        read = _texts(rows, name, settings)
        vocabulary, ragged = texts.features({s: [read[i] for i in rows_] for s, rows_ in members.items()}, settings)
        known = {**known, name: texts.feature(vocabulary)}
        _put(values, name, ragged)
    if label:
        names, classes = classes_of(rows, label)
        known = {**known, "label": Feature(Kind.CLASS, (), num_classes=len(names), class_names=names)}
        _put(values, "label", {split: classes[rows_] for split, rows_ in members.items()})
    for name in of_numbers:
        numbers = np.array(rows.numbers(name), np.float32)
        known = {**known, name: Feature(Kind.NUMBER, ())}
        _put(values, name, {split: numbers[rows_] for split, rows_ in members.items()})
    return Dataset(Info("table", known), {split: in_memory(features) for split, features in values.items()})


def _names(settings: ConfigDict, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
    given = settings.get(key, default)
    return (given,) if isinstance(given, str) and given else tuple(given)


def _put(values: dict[str, Any], name: str, of_splits: dict[str, Any]) -> None:
    for split, features in of_splits.items():
        values[split][name] = features


def _texts(rows: Rows, name: str, settings: ConfigDict) -> list[list[str]]:
    found = [texts.symbols(text, settings) for text in rows.column(name)]
    for line, words in zip(rows.lines, found, strict=True):
        if not words:
            raise UserError(f"{rows.path}, line {line}: there is no text in the column {name!r}.")
    return found


def classes_of(rows: Rows, label: str) -> tuple[tuple[str, ...], np.ndarray]:
    """The names of the classes, sorted, and the class of each row, int32 [N]."""
    cells = [cell.strip() for cell in rows.column(label)]
    if "" in cells:
        raise UserError(f"{rows.path}, line {rows.lines[cells.index('')]}: there is no label in the column {label!r}.")
    names = set(cells)
    if len(names) > MOST_CLASSES:
        raise UserError(f"{rows.path} has {len(names):,} labels, more than {MOST_CLASSES:,}: name another column.")
    numeric = all(name.lstrip("-").isdecimal() for name in names)
    ordered = sorted(names, key=lambda name: (int(name) if numeric else 0, name))
    numbers = {name: number for number, name in enumerate(ordered)}
    return tuple(ordered), np.array([numbers[cell] for cell in cells], np.int32)


def members_of(rows: Rows, column: str, percent: float) -> dict[str, np.ndarray]:
    """The rows of each split that has some: as the `column` says, where there is one, else by a hash of the row.

    Raises:
        UserError: an unknown split, a `percent` that is none, or no row to train on.
    """
    if column and column in rows.names:
        named = [cell.strip().lower() for cell in rows.column(column)]
        for line, name in zip(rows.lines, named, strict=True):
            if name not in SPLITS:
                raise unknown(f"split in line {line} of {rows.path}", name, SPLITS)
        found: Sequence[str] = [SPLITS[name] for name in named]
    else:
        if not 0 < 2 * percent < 100:
            raise UserError(f"dataset.holdout {percent} must be a percentage between 0 and 50.")
        found = [holdout_split("\t".join(row), percent) for row in rows.cells]
    members = {split: np.flatnonzero([name == split for name in found]) for split in ("train", "validation", "test")}
    if not len(members["train"]):
        raise UserError(f"{rows.path} leaves no row to train on: it has {len(rows.cells)}.")
    return {split: indices for split, indices in members.items() if len(indices)}


PUBLIC = {"table": load_table}
SETTINGS = {
    "table": {**texts.DEFAULTS, "texts": ("text",), "label": "label", "numbers": (), "split": "split", "encoding": "utf-8"}
}
