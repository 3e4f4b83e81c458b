"""From which code a run comes: the commit, and whether others can find it."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CHANGED = "+changes"
UNKNOWN = "unknown"


def commit(root: Path = ROOT) -> str:
    """The commit of this code, with "+changes" where the working tree differs from it; "unknown" outside a checkout."""
    try:
        found = _git(root, "rev-parse", "HEAD")
        return found + (CHANGED if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return UNKNOWN


def problem(found: str, root: Path = ROOT) -> str | None:
    """Why nobody can get the code of a commit from this repository, in a few words; None where one can.

    Args:
        found: as `commit` returned it.
        root: folder of the repository.
    """
    if found == UNKNOWN:
        return "its commit is unknown: it was made outside a checkout, or without git"
    if found.endswith(CHANGED):
        return f"it was made with changes to commit {found[:12]} that were not committed"
    try:
        _git(root, "merge-base", "--is-ancestor", found, "HEAD")
    except (OSError, subprocess.CalledProcessError):
        return f"its commit {found[:12]} is not in the history of this repository"
    return None


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout.strip()
