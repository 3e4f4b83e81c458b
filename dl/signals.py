"""Signals are heard by a thread, so also while the main thread waits inside a library for a step or a compilation.

Python runs its handlers between two of its own instructions, which may be a minute later; and what a handler raises can be
swallowed where it was called inside a callback of a library. So whichever is first, the thread or the handler, tells of a
signal: where the main thread is at work, nothing that it does after a signal is done without knowing of it.
"""

import os
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from threading import RLock, Thread
from typing import Any, NoReturn

NAMES = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "Ctrl-C"}
EXIT_CODES = {"SIGTERM": 75, "Ctrl-C": 130}  # 75 is EX_TEMPFAIL: a scheduler may start the same command again


def listen(numbers: Sequence[signal.Signals], receive: Callable[[signal.Signals], None]) -> Callable[[], None]:
    """Calls `receive` once for each of these signals, in a thread of its own or in the handler, until another handler is set.

    To be called in the main thread, as Python demands. A signal that is ignored, as Ctrl-C by what a shell runs in the
    background, stays so.

    Returns:
        A function that puts everything back.
    """
    told_by: dict[str, Counter[int]] = {"handler": Counter(), "thread": Counter()}
    lock = RLock()  # a handler may interrupt another one

    def tell(number: signal.Signals, me: str, other: str) -> None:
        with lock:
            told_by[me][number] += 1
            if told_by[me][number] > told_by[other][number]:
                receive(number)

    def handled(number: int, frame: Any) -> None:
        tell(signal.Signals(number), "handler", "thread")

    def read() -> None:
        while data := os.read(heard, 64):
            for number in map(signal.Signals, data):
                if number in numbers and signal.getsignal(number) is handled:
                    tell(number, "thread", "handler")
        os.close(heard)

    numbers = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    heard, told = os.pipe()
    os.set_blocking(told, False)
    Thread(target=read, daemon=True, name="signals").start()
    previous = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    handlers = {number: signal.signal(number, handled) for number in numbers}

    def undo() -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(previous)
        os.close(told)

    return undo


def leave(line: str, number: signal.Signals) -> NoReturn:
    """Ends the process at once, with a line on stderr: Python's own way out can meet a library that is at work, and crash."""
    os.write(2, f"{line}\n".encode())
    os._exit(EXIT_CODES[NAMES[number]])
