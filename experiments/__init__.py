"""The programs, each a module to run with `python -m`."""

import signal
import sys

from dl import signals


def stopped(number: signal.Signals) -> None:
    """Ends the program; the processes of a run that takes several are told."""
    why = f"stopped by {signals.NAMES[number]}"
    if peers := sys.modules.get("experiments.peers"):
        peers.tell_others(why)
    signals.leave(f"{why}: a training goes on from its last checkpoint when the same command is started again.", number)


if sys.argv[0] == "-m":  # Python is looking for the program: from here on, what it imports may take seconds
    signals.listen(tuple(signals.NAMES), stopped)
