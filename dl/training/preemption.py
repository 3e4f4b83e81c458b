"""SIGTERM and Ctrl-C: finish the dispatch, save, and exit, so that the same command goes on where this one stopped."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import jax

NAMES = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "Ctrl-C"}
INTERRUPTED = 130  # exit code of a process that Ctrl-C ended at once


@contextmanager
def watch() -> Iterator[Callable[[int], str]]:
    """Gives `stop(step)`: "SIGTERM" or "Ctrl-C" where one of them asked to stop after this step, else "".

    A KeyboardInterrupt can be swallowed where it is raised inside a callback of JAX, so a handler only remembers. A second
    Ctrl-C ends the process at once. With several processes all of them agree on the step.
    """
    received: list[int] = []

    def remember(number: int, frame: Any) -> None:
        if number == signal.SIGINT and signal.SIGINT in received:
            sys.stderr.write("interrupted: the same command goes on from the last checkpoint.\n")
            sys.stderr.flush()
            os._exit(INTERRUPTED)
        received.append(number)
        if number == signal.SIGINT:
            sys.stderr.write("stopping after this step; Ctrl-C again ends at once.\n")
            if jax.process_count() > 1:  # JAX listens to SIGTERM, and tells the other processes
                signal.raise_signal(signal.SIGTERM)

    watched = (signal.SIGINT,) if jax.process_count() > 1 else (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, remember) for number in watched}
    try:
        yield (
            _agreed(received)
            if jax.process_count() > 1
            else lambda step: NAMES[signal.Signals(received[0])] if received else ""
        )
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _agreed(received: list[int]) -> Callable[[int], str]:
    from jax.experimental import multihost_utils

    calls = count()  # the processes agree on a number that must come, so they count dispatches, not steps

    def stop(step: int) -> str:
        if not multihost_utils.reached_preemption_sync_point(next(calls)):
            return ""
        return NAMES[signal.SIGINT] if received else NAMES[signal.SIGTERM]

    return stop
