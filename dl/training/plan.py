"""Where a run stands, and where its dispatches begin and end: functions of the step alone, so that resuming repeats them."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from dl.errors import UserError
from dl.task import Phase


def total_steps(config: ConfigDict, examples: int) -> int:
    """How many steps the configuration asks for, of a training split of so many examples.

    Epochs are rounded up to whole dispatches: the last few steps would be a program of their own, compiled for them alone.

    Raises:
        UserError: both or neither of `steps` and `epochs` are given.
    """
    if bool(config.steps) == bool(config.epochs):
        raise UserError(f"give steps or epochs, one of them: config.steps={config.steps}, config.epochs={config.epochs}.")
    if config.steps:
        return config.steps
    dispatches = int(np.ceil(config.epochs * examples / (config.batch_size * config.steps_per_dispatch)))
    return max(dispatches, 1) * config.steps_per_dispatch


def phase_at(phases: Sequence[Phase], step: int) -> tuple[int, int]:
    """The index of the phase that the step after `step` steps belongs to, and the step at which that phase ends."""
    end = 0
    for index, phase in enumerate(phases):
        end += phase.steps
        if step < end:
            return index, end
    raise ValueError(f"step {step} is after the last phase")


class Block(NamedTuple):
    """The steps of one dispatch: `start` inclusive to `end` exclusive, all in one phase."""

    phase: int
    start: int
    end: int


def blocks(phases: Sequence[Phase], config: ConfigDict, start: int) -> Iterator[Block]:
    """The dispatches from `start` to the end: each ends at the next multiple of any interval of the configuration."""
    total = sum(phase.steps for phase in phases)
    intervals = [config.steps_per_dispatch, config.log_every, config.eval_every, config.checkpoint_every]
    while start < total:
        phase, phase_end = phase_at(phases, start)
        end = min([phase_end] + [(start // n + 1) * n for n in intervals if n > 0])
        yield Block(phase, start, end)
        start = end


def due(step: int, every: int, total: int) -> bool:
    """Whether something that happens at every so many steps, and at the end, happens after `step` steps."""
    return step == total or (every > 0 and step % every == 0)


def stop_early(history: Sequence[float], mode: str, patience: int) -> bool:
    """Whether the last `patience` evaluations brought no value better than the best before them."""
    if patience <= 0 or len(history) <= patience:
        return False
    sign = 1 if mode == "min" else -1
    values = [sign * value for value in history]
    return min(values[-patience:]) >= min(values[:-patience])


def history(lines: Sequence[dict[str, Any]], metric: str, after: int = 0) -> list[float]:
    """The values of `"split/name"` in the lines of metrics.jsonl later than step `after`: means over the replicas, in order."""
    split, _, name = metric.partition("/")
    return [line[name]["mean"] for line in lines if line["split"] == split and name in line and line["step"] > after]
