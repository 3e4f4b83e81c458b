"""The bAbI tasks that runs of configs/babi_memory.py were trained for, beside the published table: test errors in percent.

    python -m experiments.babi_table runs/babi
    python -m experiments.babi_table runs/babi runs/babi_lstm
    python -m experiments.babi_table docs/results

Each argument is the workdir of a run, or a folder of such, or of kept result files. Of the replicas of a run the one with the
lowest training error counts, as in Sukhbaatar et al. 2015; mean and deviation of all of them stand beside it.
"""

from pathlib import Path
from typing import Any

from dl.errors import UserError
from experiments import program


def main(argv: list[str]) -> None:
    """Prints the table."""
    from dl.report import babi, console

    if len(argv) < 2:
        raise UserError("name the runs: python -m experiments.babi_table runs/babi")
    found = babi.by_task(results([Path(name) for name in argv[1:]]))
    if not found:
        raise UserError(f"there is no finished run of one bAbI task in {', '.join(argv[1:])}.")
    rows = babi.lines(found)
    console.show(console.Columns("Test errors in percent, of the replica with the lowest training error", babi.HEADER, rows))


def results(folders: list[Path]) -> list[dict[str, Any]]:
    """The contents of all result files at these places.

    Raises:
        UserError: a place that is not there, or a damaged file.
    """
    from dl.files import read_json

    paths: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"there is no folder {folder}.")
        one = folder / "result.json"
        paths += [one] if one.is_file() else sorted([*folder.glob("*/result.json"), *folder.glob("*.json")])
    read = [read_json(path, dict) for path in paths if path.name != "table.json"]
    return [result for result in read if {"config", "metrics"} <= result.keys()]


if __name__ == "__main__":
    program.run(main)
