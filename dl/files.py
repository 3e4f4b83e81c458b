"""Files that a person may have damaged, cut short or put something else in place of: one line says which and how."""

import errno
import json
import stat
from pathlib import Path
from typing import TypeVar

from dl.errors import UserError

T = TypeVar("T")
JSON_TYPES = {dict: "an object", list: "a list", str: "a string", int: "a whole number", float: "a number"}


def read_text(path: Path) -> str:
    """The text in a file.

    Raises:
        UserError: it is missing, unreadable, a folder, a pipe or a device, or not UTF-8.
    """
    check_regular(path)
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}.") from error
    except IsADirectoryError as error:
        raise UserError(f"{path} is a folder, and should be a file.") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is damaged: byte {error.start} is not UTF-8 text.") from error


def check_regular(path: Path) -> None:
    """Whether what is there, if anything, is a file or a folder; a pipe would be waited for.

    Raises:
        UserError: it is something else, or a link that leads to itself.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}.") from error
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise UserError(f"{path} is a pipe or a device, and should be a file.")


def read_json(path: Path, kind: type[T]) -> T:
    """The JSON in a file, which must be of a type.

    Raises:
        UserError: it is missing, unreadable, cut short, not JSON, or of another type.
    """
    text = read_text(path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        what = "is empty" if not text.strip() else f"is damaged or cut short: it is not valid JSON ({error})"
        raise UserError(f"{path} {what}.") from error
    if not isinstance(content, kind):
        raise UserError(f"{path} is damaged: it should hold {JSON_TYPES.get(kind, kind.__name__)} in JSON.")
    return content


def advice(error: OSError) -> str:
    """What to do about an error in writing, as the beginning of a sentence."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return "Free some space" if full else "Make it possible to write there"
