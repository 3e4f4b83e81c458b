"""Whether a checkpoint on disk is still what was written: the SHA-256 of each of its files, kept in its folder."""

import hashlib
import json
from pathlib import Path

NAME = "sha256.json"
# Orbax writes these last, after the manifest; nothing that is restored stands in them.
EXCLUDED = (NAME, "_CHECKPOINT_METADATA", "commit_success.txt")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _contents(folder: Path) -> dict[str, str]:
    files = (p for p in sorted(folder.rglob("*")) if p.is_file() and p.name not in EXCLUDED)
    return {str(p.relative_to(folder)): _digest(p) for p in files}


def write(folder: Path) -> None:
    """Writes the manifest of a checkpoint whose arrays are complete, before its folder gets its final name."""
    (folder / NAME).write_text(json.dumps(_contents(folder), indent=1))


def damage(folder: Path) -> str | None:
    """What is wrong with a checkpoint folder, in a few words, or None."""
    try:
        expected = json.loads((folder / NAME).read_text(encoding="utf-8"))
        found = _contents(folder)
    except FileNotFoundError:
        return f"{NAME} is missing"
    except (ValueError, RecursionError):
        return f"{NAME} is not readable"
    except OSError as error:
        return f"{Path(error.filename or folder).name}: {error.strerror}"
    if not isinstance(expected, dict):
        return f"{NAME} is not readable"
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            state = "is missing" if name not in found else "was added" if name not in expected else "has changed"
            return f"{name} {state} since it was written"
    return None
