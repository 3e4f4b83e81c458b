"""Where a run stands, and where its dispatches begin and end: functions of the step alone, so that resuming repeats them."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from dl.errors import UserError
from dl.task import Phase


def total_steps(config: ConfigDict, examples: int) -> int:
    """How many steps the configuration asks for, of a training split of so many examples: whole epochs, rounded up to a step.

    Raises:
        UserError: both or neither of `steps` and `epochs` are given.
    """
    if bool(config.steps) == bool(config.epochs):
        raise UserError(f"give steps or epochs, one of them: config.steps={config.steps}, config.epochs={config.epochs}.")
    if config.steps:
        return config.steps
    return max(ceil(Fraction(config.epochs).limit_denominator(10**6) * examples / config.batch_size), 1)


class Interval(NamedTuple):
    """Something that happens again and again, every `steps` steps (0: never): at the first step at or after each multiple."""

    steps: Fraction

    def after(self, step: int) -> int:
        """The next step, later than `step`, at which it happens."""
        return ceil((floor(step / self.steps) + 1) * self.steps)

    def due(self, step: int) -> bool:
        """Whether it happens after `step` steps."""
        return bool(self.steps) and step > 0 and self.after(step - 1) == step

    def number(self, step: int) -> int:
        """How often it has happened after `step` steps."""
        return floor(step / self.steps) if self.steps else 0


class Intervals(NamedTuple):
    """When a line of the metrics is due, an evaluation, and a checkpoint."""

    log: Interval
    evaluate: Interval
    save: Interval

    def competes(self, step: int, total: int) -> bool:
        """Whether what is measured after `step` of `total` steps may be the best: at evaluations and checkpoints."""
        return step == total or self.evaluate.due(step) or self.save.due(step)


def intervals(config: ConfigDict, examples: int) -> Intervals:
    """The intervals of a configuration: of steps, or, with `intervals = "epochs"`, of epochs of so many examples.

    Raises:
        UserError: an unknown unit, or epochs of a run without a training split.
    """
    unit = Fraction(1)
    if config.intervals == "epochs":
        unit = Fraction(examples, config.batch_size)
    elif config.intervals != "steps":
        raise UserError(f"config.intervals must be 'steps' or 'epochs', got {config.intervals!r}.")
    if not unit:
        raise UserError("config.intervals='epochs' needs a training split that has examples: give them in steps.")
    return Intervals(*(Interval(every * unit) for every in (config.log_every, config.eval_every, config.checkpoint_every)))


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


def blocks(
    phases: Sequence[Phase], most: int, when: Intervals, start: int, buckets: Sequence[Callable[[int], Hashable]] = ()
) -> Iterator[Block]:
    """The dispatches from `start` to the end, of at most `most` steps: each ends where anything is due, or a phase ends.

    It also ends where the shape of the batches changes: where a phase's function in `buckets`, of the step, does.
    """
    total = sum(phase.steps for phase in phases)
    while start < total:
        phase, phase_end = phase_at(phases, start)
        end = min([phase_end, (start // most + 1) * most] + [i.after(start) for i in when if i.steps])
        if buckets:
            bucket = buckets[phase]
            end = next((step for step in range(start + 1, end) if bucket(step) != bucket(start)), end)
        yield Block(phase, start, end)
        start = end


def stop_early(history: Sequence[float], lower: bool, patience: int) -> bool:
    """Whether the last `patience` evaluations brought no value better than the best before them."""
    if patience <= 0 or len(history) <= patience:
        return False
    values = [value if lower else -value for value in history]
    return min(values[-patience:]) >= min(values[:-patience])


def history(lines: Sequence[dict[str, Any]], metric: str, after: int = 0) -> list[float]:
    """The values of `"split/name"` in the lines of metrics.jsonl later than step `after`: means over the replicas, in order."""
    split, _, name = metric.partition("/")
    return [line[name]["mean"] for line in lines if line["split"] == split and name in line and line["step"] > after]
