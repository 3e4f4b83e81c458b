"""Names of classes from a file, one a line, in the order of the classes."""

import re
from pathlib import Path

from dl.errors import UserError

SYNSET = re.compile(r"^n\d{8}\s+")  # what the lines of ImageNet's `synset_words.txt` begin with


def read_class_names(path: Path, count: int) -> tuple[str, ...]:
    """The names, without WordNet's numbers such as `n01440764`; empty lines at the end do not count.

    Args:
        path: path of a text file, UTF-8.
        count: number of classes.

    Raises:
        UserError: it can't be read, or has another number of names.
    """
    try:
        lines = path.expanduser().read_text(encoding="utf-8").rstrip().splitlines()
    except (OSError, ValueError, RuntimeError) as error:  # no such user's folder, no UTF-8
        raise UserError(f"the class names {path} can't be read: {getattr(error, 'strerror', None) or error}.") from error
    if len(lines) != count:
        raise UserError(f"{path} has {len(lines)} class names, and the network has {count} classes: give one a line for each.")
    return tuple(SYNSET.sub("", line).strip() for line in lines)
