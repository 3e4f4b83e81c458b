"""The programs under the names that an installation gives them: `dl-train` runs `experiments.train`."""

import runpy
import sys
from pathlib import Path

PREFIX = "dl-"


def main() -> None:
    """Runs the program that the command is named after; flags and exit codes are the program's."""
    name = Path(sys.argv[0]).name.removesuffix(".exe").removesuffix("-script.py").removeprefix(PREFIX)
    runpy.run_module(f"experiments.{name.replace('-', '_')}", run_name="__main__", alter_sys=True)
