"""What the files of a workdir say, checked: a person or a full disk may have changed them."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from dl.config import flatten
from dl.errors import UserError
from dl.files import check_regular, read_json

LARGEST_STEP = 2**53  # beyond it floats skip whole numbers

# Of result.json, the entries that are worked with; others are shown as they are.
RESULT: dict[str, tuple[type, ...]] = {
    "config": (dict,),
    "metrics": (dict,),
    "reference": (dict,),
    "phases": (list,),
    "parameters": (int,),
    "steps": (int,),
    "replicas": (int,),
    "wall_seconds": (int, float),
}
REFERENCE: dict[str, tuple[type, ...]] = {"metric": (str,), "value": (int, float), "source": (str,)}


def read_config(workdir: Path) -> dict[str, Any]:
    """The content of `config.json`; empty where there is none.

    Raises:
        UserError: it is damaged.
    """
    path = workdir / "config.json"
    config = read_json(path, dict) if _exists(path) else {}
    _check_types(path, config.get("reference", {}), REFERENCE, "reference")
    return config


def flat(path: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration by whole keys, `{"optimizer.learning_rate": 0.1}`.

    Raises:
        UserError: it is no configuration.
    """
    try:
        return flatten(ConfigDict(dict(config)))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} is damaged: it holds no configuration ({error}).") from error


def read_result(workdir: Path) -> dict[str, Any]:
    """The content of `result.json`; empty where there is none.

    Raises:
        UserError: it is damaged.
    """
    path = workdir / "result.json"
    if not _exists(path):
        return {}
    result = read_json(path, dict)
    if not result:
        raise UserError(f"{path} is damaged: it is empty.")
    _check_types(path, result, RESULT)
    _check_types(path, result.get("reference", {}), REFERENCE, "reference")
    for split, metrics in result.get("metrics", {}).items():
        _check_types(path, {split: metrics}, {split: (dict,)}, "metrics")
    return result


def read_lines(workdir: Path, notes: list[str]) -> dict[tuple[str, int], dict[str, Any]]:
    """The lines of `metrics.jsonl` by (split, step). A resumed run may log a step again: what was written last stands.

    A line that can't be read, such as a last one that a kill cut short, is left out, and `notes` say so.

    Raises:
        UserError: the file can't be read, or no line of it is one of metrics.
    """
    path = workdir / "metrics.jsonl"
    check_regular(path)
    try:
        text = path.read_text(encoding="utf-8", errors="replace") if _exists(path) else ""
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}.") from error
    lines: dict[tuple[str, int], dict[str, Any]] = {}
    damaged = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                key, entry = _line(line)
                lines[key] = lines.get(key, {}) | entry
            except (ValueError, KeyError, AttributeError, TypeError, OverflowError, RecursionError):
                damaged.append(number)
    if damaged and not lines:
        raise UserError(f"{path} is damaged: none of its lines is a line of metrics.")
    if len(damaged) == 1:
        notes.append(f"metrics.jsonl: line {damaged[0]} is incomplete and was left out.")
    elif damaged:
        notes.append(
            f"metrics.jsonl: {len(damaged)} lines, the first of them line {damaged[0]}, are damaged and were left out."
        )
    return lines


def is_number(value: Any) -> bool:
    """Whether JSON's value is a number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, float) or abs(value) <= LARGEST_STEP


def _line(line: str) -> tuple[tuple[str, int], dict[str, Any]]:
    entry = json.loads(line)
    split, step = entry.pop("split"), entry.pop("step")
    if not isinstance(split, str) or not is_number(step) or not math.isfinite(step):
        raise ValueError("split and step")
    return (split, int(step)), entry


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}.") from error


def _check_types(path: Path, found: Any, wanted: Mapping[str, tuple[type, ...]], section: str = "") -> None:
    """Raises UserError where an entry is there (and not null) and of another type."""
    if not isinstance(found, dict):
        raise UserError(f"{path} is damaged: {section!r} should be an object.")
    for key, kinds in wanted.items():
        value = found.get(key)
        good = is_number(value) if int in kinds else True
        if value is not None and not (isinstance(value, kinds) and good):
            names = {dict: "an object", list: "a list", str: "a string", int: "a whole number", float: "a number"}
            raise UserError(f"{path} is damaged: {f'{section}.' if section else ''}{key} should be {names[kinds[-1]]}.")
