"""The programs, each a module to run with `python -m`, or as `dl-NAME` where the project is installed."""

import signal
import sys
from pathlib import Path

from dl import signals


def stopped(number: signal.Signals) -> None:
    """Ends the program; the processes of a run that takes several are told."""
    why = f"stopped by {signals.NAMES[number]}"
    if peers := sys.modules.get("experiments.peers"):
        peers.tell_others(why)
    signals.leave(f"{why}: a training goes on from its last checkpoint when the same command is started again.", number)


if sys.argv[0] == "-m" or Path(sys.argv[0]).name.startswith(
    "dl-"
):  # Python is looking for the program: from here on, what it imports may take seconds
    signals.listen(tuple(signals.NAMES), stopped)
