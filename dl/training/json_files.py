"""JSON as every parser reads it, written whole or not at all."""

import json
import math
import os
from pathlib import Path
from typing import Any

from dl.errors import UserError
from dl.files import advice


def write_json(path: Path, content: Any) -> None:
    """Writes a JSON file in one atomic step.

    Raises:
        UserError: the disk is full or read-only, or a number is NaN or infinite, which JSON does not know.
    """
    temporary = path.with_name(path.name + ".tmp")
    text = to_json(content, path, indent=2)
    try:
        temporary.write_text(text + "\n")
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}. {advice(error)}, then start the same command again."
        ) from error


def to_json(content: Any, path: Path, indent: int | None = None) -> str:
    """The text for a file.

    Raises:
        UserError: a number is NaN or infinite; the message names it.
    """
    try:
        return json.dumps(content, indent=indent, allow_nan=False)
    except ValueError as error:
        where = _not_finite(content)
        raise UserError(f"cannot write {path}: {'.'.join(where or [])} is not a finite number, which JSON needs.") from error


def _not_finite(content: Any) -> list[str] | None:
    """The way to the first number that is NaN or infinite."""
    if isinstance(content, float):
        return None if math.isfinite(content) else []
    entries = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list | tuple) else ()
    found = ((key, _not_finite(value)) for key, value in entries)
    return next(([str(key), *rest] for key, rest in found if rest is not None), None)
