"""A trace of some steps, for TensorBoard's profiler or Perfetto."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import jax

from dl.errors import UserError

FOLDER = "profile"


def parse(text: str) -> tuple[int, int] | None:
    """`"100:120"` -> (100, 120): the steps after 100 up to 120; None for the empty text.

    Raises:
        UserError: something else.
    """
    if not text:
        return None
    first, _, last = text.partition(":")
    if not (first.isdecimal() and last.isdecimal() and int(first) < int(last)):
        raise UserError(f"--profile={text}: write FROM:TO, two steps, such as --profile=100:120.")
    return int(first), int(last)


def check(steps: tuple[int, int] | None, total: int) -> None:
    """Raises UserError where a run of `total` steps takes none of those to trace."""
    if steps and steps[0] >= total:
        raise UserError(f"--profile={steps[0]}:{steps[1]}: the run has {total} steps, so there is nothing to trace.")


@contextmanager
def tracing(workdir: Path, steps: tuple[int, int] | None) -> Iterator[Callable[[int, int], None]]:
    """Gives a function that is told where each dispatch starts and ends; traces those that hold any of `steps`."""
    running = False

    def dispatch(start: int, end: int) -> None:
        nonlocal running
        inside = steps is not None and end > steps[0] and start < steps[1]
        if inside and not running:
            jax.profiler.start_trace(str(workdir / FOLDER))
        elif running and not inside:
            jax.profiler.stop_trace()
        running = inside

    try:
        yield dispatch
    finally:
        if running:
            jax.profiler.stop_trace()
