"""Artifacts on disk: one `.npz` a split, written by the program that knows the task, read by the report that does not.

`<workdir>/artifacts/<split>.npz` holds the arrays and, in the entry `manifest`, JSON that says what they belong to. Nothing is
pickled, and a file is there whole or not at all.
"""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from dl.artifacts import Artifact, Audio, Curves, Images, Matrix, ParseTree, Scatter, Table, Text
from dl.errors import UserError
from dl.files import advice

TYPES: dict[str, type] = {kind.__name__: kind for kind in (Images, Matrix, Table, Text, Curves, Scatter, ParseTree, Audio)}
TEXTS = ("text", "row_title", "column_title", "x_title", "y_title")  # fields of artifacts
LISTS = ("captions", "header", "names", "texts", "words", "notes")
LARGEST_CELL = 2**63  # of the whole numbers in a table
ORDER = ("train", "validation", "test")  # of the splits; others come after, by name


def save(workdir: str | os.PathLike, split: str, artifacts: Mapping[str, Artifact]) -> Path:
    """Writes the artifacts of one split, in the place of those that were there; returns the file.

    Args:
        workdir: folder of the run; made if absent.
        split: names the file, e.g. `"test"`.
        artifacts: name -> artifact, shown in this order. Arrays may be on a device.

    Raises:
        UserError: the folder cannot be written, or the disk is full.
    """
    folder = Path(workdir) / "artifacts"
    arrays: dict[str, np.ndarray] = {}
    manifest = [
        {"name": name, "type": type(artifact).__name__, "fields": _encode(artifact._asdict(), arrays)}
        for name, artifact in artifacts.items()
    ]
    path = folder / f"{split}.npz"
    temporary = folder / f".{split}.{os.getpid()}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            np.savez_compressed(file, manifest=np.array(json.dumps(manifest)), **arrays)  # type: ignore[arg-type]
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise UserError(
            f"cannot write {path}: {error.strerror}. What was saved is intact. {advice(error)}, then start again."
        ) from error
    return path


def load(workdir: str | os.PathLike) -> dict[tuple[str, str], Artifact]:
    """All artifacts of a run, (split, name) -> artifact; empty where none were saved. Sequences come back as tuples.

    Raises:
        UserError: a file is damaged or holds what this version does not know.
    """
    folder = Path(workdir, "artifacts")
    try:
        files = [path for path in folder.iterdir() if path.suffix == ".npz"]
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"cannot read {folder}: {error.strerror}.") from error
    splits = sorted(files, key=lambda path: (ORDER.index(path.stem) if path.stem in ORDER else len(ORDER), path.stem))
    loaded: dict[tuple[str, str], Artifact] = {}
    for path in splits:
        try:
            with np.load(path, allow_pickle=False) as arrays:
                for entry in json.loads(str(arrays["manifest"])):
                    artifact = TYPES[entry["type"]](**_decode(entry["fields"], arrays))
                    _check(artifact)
                    loaded[path.stem, str(entry["name"])] = artifact
        except Exception as error:  # what zipfile, zlib and NumPy raise for damaged bytes is of many types
            raise UserError(
                f"{path} cannot be read ({_reason(error)}): delete it, or write it again with experiments.evaluate."
            ) from error
    return loaded


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _check(artifact: Artifact) -> None:
    """Raises ValueError where the parts of an artifact do not belong together."""
    good = all(isinstance(getattr(artifact, name, ""), str) for name in TEXTS)
    good = good and all(_is_list(getattr(artifact, name, ())) for name in LISTS)
    match artifact:
        case Images(pixels, _, columns):
            good = good and np.ndim(pixels) == 4 and np.shape(pixels)[-1] in (1, 3, 4) and _numeric(pixels)
            good = good and isinstance(columns, int) and columns > 0
        case Matrix(values, rows, columns):
            good = good and np.shape(values) == (len(rows), len(columns)) and _numeric(values)
        case Table(header, rows):
            good = good and all(_is_list(row) and len(row) == len(header) and all(map(_is_cell, row)) for row in rows)
        case Curves(lines):
            good = good and all(np.ndim(x) == 1 and np.shape(x) == np.shape(y) and _numeric(x, y) for x, y in lines.values())
        case Scatter(points, labels, _, texts):
            good = good and len(texts) in (0, len(points))
            good = good and np.ndim(points) == 2 and np.shape(points)[1] == 2 and np.shape(labels) == np.shape(points)[:1]
            good = good and _numeric(points, labels) and np.asarray(labels).dtype.kind in "iu"
        case ParseTree(words, children, values, notes):
            nodes = 2 * len(words) - 1
            good = good and len(words) > 0 and np.shape(values) == (nodes,) and _numeric(values, children)
            good = good and np.shape(children) == (len(words) - 1, 2) and len(notes) in (0, nodes)
            good = good and all(0 <= child < len(words) + i for i, pair in enumerate(children) for child in pair)
        case Audio(sounds, rate):
            good = good and isinstance(rate, int) and 0 < rate < 2**31 and _is_list(sounds)
            good = good and all(np.ndim(sound) == 1 and np.asarray(sound).dtype.kind in "if" for sound in sounds)
    if not good:
        raise ValueError(f"its {type(artifact).__name__} is none")


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence | np.ndarray) and not isinstance(value, str)


def _numeric(*arrays: Any) -> bool:
    return all(np.asarray(array).dtype.kind in "biuf" for array in arrays)


def _is_cell(value: Any) -> bool:
    return isinstance(value, str | float) or (isinstance(value, int) and abs(value) < LARGEST_CELL)


def _encode(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """`value` as JSON; every array goes to `arrays` and leaves its key. Dictionaries become pairs, which keep their order."""
    if isinstance(value, np.generic):
        return value.item()
    if hasattr(value, "__array__"):
        key = f"array_{len(arrays)}"
        arrays[key] = np.asarray(value)
        return {"array": key}
    if isinstance(value, Mapping):
        return {"pairs": [[key, _encode(item, arrays)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return [_encode(item, arrays) for item in value]
    return value


def _decode(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return tuple(_decode(item, arrays) for item in value)
    if isinstance(value, dict):
        return arrays[value["array"]] if "array" in value else {key: _decode(item, arrays) for key, item in value["pairs"]}
    return value
