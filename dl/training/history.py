"""`history.json`: with which configuration, from which code, each part of a run was made.

A list, in the order of the steps, of {"step", "config_hash", "commit", "command", "differences"}: the run went on from `step`
with the configuration of this hash, which differs so from the one before.
"""

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from dl import provenance
from dl.config import config_hash
from dl.errors import UserError
from dl.files import read_json
from dl.training.workdir import changes, write_json

NAME = "history.json"
TYPES = {"step": int, "config_hash": str, "commit": str, "command": str, "differences": list}


def read(workdir: Path) -> list[dict[str, Any]]:
    """The parts of a run so far; empty where none has begun.

    Raises:
        UserError: the file is damaged.
    """
    path = workdir / NAME
    parts = read_json(path, list) if path.exists() else []
    for part in parts:
        if not isinstance(part, dict) or any(not isinstance(part.get(key), kind) for key, kind in TYPES.items()):
            raise UserError(f"{path} is damaged: it should hold a list of {', '.join(TYPES)}. Remove it to go on without it.")
    return parts


def begin(workdir: Path, config: ConfigDict, step: int, command: str) -> None:
    """Notes that the run goes on from a step with this configuration and the present code, and writes `config.json`.

    Parts that began at this step or after it took no step that counts, and are forgotten.

    Raises:
        UserError: a file is damaged or cannot be written.
    """
    now = {"config_hash": config_hash(config), "commit": provenance.commit()}
    parts = [part for part in read(workdir) if part["step"] < step]
    if not parts and step:
        parts = [{"step": 0, "config_hash": provenance.UNKNOWN, "commit": provenance.UNKNOWN, "command": "", "differences": []}]
    if not parts or any(parts[-1][key] != value for key, value in now.items()):
        parts.append({"step": step, **now, "command": command, "differences": _differences(workdir, config)})
    write_json(workdir / NAME, parts)
    write_json(workdir / "config.json", config.to_dict())


def _differences(workdir: Path, config: ConfigDict) -> list[str]:
    try:
        return changes(workdir, config)
    except UserError as error:  # --override_config: the one given takes the place of a damaged one
        return [str(error)]


def until(parts: list[dict[str, Any]], step: int) -> list[dict[str, Any]]:
    """The parts that took a step before `step`; the first one in any case."""
    return [part for part in parts if part["step"] < step] or parts[:1]


def made_with(workdir: Path, step: int) -> dict[str, Any]:
    """For `result.json`: the `history` up to a step, and the `commit` and `command` of the last part that took a step."""
    parts = until(read(workdir), step)
    return {"history": parts, "commit": parts[-1]["commit"], "command": parts[-1]["command"]} if parts else {}
