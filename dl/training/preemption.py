"""SIGTERM and Ctrl-C: finish the dispatch, save, and exit, so that the same command goes on where this one stopped."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

import jax

from dl import signals


@contextmanager
def watch() -> Iterator[Callable[[int], str]]:
    """Gives `stop(step)`: "SIGTERM" or "Ctrl-C" where one of them asked to stop after this step, else "".

    A second Ctrl-C ends the process at once. With several processes all of them agree on the step.
    """
    received: list[signal.Signals] = []

    def remember(number: signal.Signals) -> None:
        if number == signal.SIGINT and signal.SIGINT in received:
            signals.leave("stopped by Ctrl-C: the same command goes on from the last checkpoint.", number)
        received.append(number)
        if number == signal.SIGINT:
            os.write(2, b"stopping after this step; Ctrl-C again ends at once.\n")
            if jax.process_count() > 1:  # JAX listens to SIGTERM, and tells the other processes
                signal.raise_signal(signal.SIGTERM)

    undo = signals.listen((signal.SIGINT,) if jax.process_count() > 1 else (signal.SIGINT, signal.SIGTERM), remember)
    try:
        yield _agreed(received) if jax.process_count() > 1 else lambda step: signals.NAMES[received[0]] if received else ""
    finally:
        undo()


def _agreed(received: list[signal.Signals]) -> Callable[[int], str]:
    from jax.experimental import multihost_utils

    calls = count()  # the processes agree on a number that must come, so they count dispatches, not steps

    def stop(step: int) -> str:
        if not multihost_utils.reached_preemption_sync_point(next(calls)):
            return ""
        return signals.NAMES[signal.SIGINT] if received else signals.NAMES[signal.SIGTERM]

    return stop
