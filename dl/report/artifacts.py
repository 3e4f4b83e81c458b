"""Artifacts on disk: one `.npz` a split, written by the program that knows the task, read by the report that does not.

`<workdir>/artifacts/<split>.npz` holds the arrays and, in the entry `manifest`, JSON that says what they belong to. Nothing is
pickled, and a file is there whole or not at all.
"""

import json
import os
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from dl.artifacts import Artifact, Curves, Images, Matrix, Scatter, Table, Text
from dl.errors import UserError

TYPES: dict[str, type] = {kind.__name__: kind for kind in (Images, Matrix, Table, Text, Curves, Scatter)}
ORDER = ("train", "validation", "test")  # of the splits; others come after, by name


def save(workdir: str | os.PathLike, split: str, artifacts: Mapping[str, Artifact]) -> Path:
    """Writes the artifacts of one split, in the place of those that were there; returns the file.

    Args:
        workdir: of the run; made if absent.
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
            f"cannot write {path}: {error.strerror}. What was saved is intact: free some space, and start again."
        ) from error
    return path


def load(workdir: str | os.PathLike) -> dict[tuple[str, str], Artifact]:
    """All artifacts of a run, (split, name) -> artifact; empty where none were saved. Sequences come back as tuples.

    Raises:
        UserError: a file is damaged or holds what this version does not know.
    """
    files = Path(workdir, "artifacts").glob("*.npz")
    splits = sorted(files, key=lambda path: (ORDER.index(path.stem) if path.stem in ORDER else len(ORDER), path.stem))
    loaded: dict[tuple[str, str], Artifact] = {}
    for path in splits:
        try:
            with np.load(path, allow_pickle=False) as arrays:
                for entry in json.loads(str(arrays["manifest"])):
                    loaded[path.stem, entry["name"]] = TYPES[entry["type"]](**_decode(entry["fields"], arrays))
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise UserError(
                f"{path} cannot be read ({error}): delete it, or write it again with experiments.evaluate."
            ) from error
    return loaded


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
