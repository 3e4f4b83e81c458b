"""What a person sees of a run: a progress bar on a terminal, plain lines otherwise."""

import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

SECONDS_BETWEEN_LINES = 2.0


class Progress:
    """Shows how far a run is. Silent where `enabled` is False (all processes but the first).

    `rates`: learning rates, to each of which an equal part of the replicas belongs; a number is shown for each of them.
    """

    def __init__(self, total: int, enabled: bool = True, rates: int = 1):
        self.total = total
        self.enabled = enabled
        self.rates = rates
        self.bar: Any = None
        self.shown = 0.0

    def __enter__(self) -> "Progress":
        if self.enabled and sys.stdout.isatty():
            self.bar = bar()
            self.bar.add_task("", total=self.total)
            self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar:
            self.bar.stop()
            self.bar = None

    def advance(self, step: int) -> None:
        """The run has taken so many steps."""
        if self.bar:
            self.bar.update(self.bar.task_ids[0], completed=step)

    def note(self, text: str) -> None:
        """Something worth a line of its own."""
        if self.enabled:
            print(text, flush=True)

    def line(self, line: dict[str, Any]) -> None:
        """A line of `metrics.jsonl`: on a terminal beside the bar; else printed, but those of training not too often."""
        metrics = {k: v for k, v in line.items() if isinstance(v, dict) and "/" not in k}
        text = "  ".join(f"{name} {_number(v, self.rates)}" for name, v in metrics.items())
        text = f"step {line['step']}/{self.total}  {line['split']}  {text}"
        if self.bar and line["split"] == "train":
            self.bar.update(self.bar.task_ids[0], description=text)
        elif self.bar:
            self.bar.console.print(text, highlight=False)
        elif line["split"] != "train" or time.monotonic() - self.shown > SECONDS_BETWEEN_LINES:
            self.note(text)
            self.shown = time.monotonic()


def bar(**settings: Any) -> Any:
    """The bar of rich: how far, how fast, for how long yet, and in what is left of the line the last metrics.

    Args:
        settings: of `rich.progress.Progress`.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar
    from rich.table import Column
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:.3g}/s" if speed else "", "progress.data.speed")

    rest = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1))
    counts = MofNCompleteColumn(table_column=Column(no_wrap=True))
    left = TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True))
    rate = Rate(table_column=Column(no_wrap=True))
    return Bar(BarColumn(bar_width=12), counts, rate, left, rest, expand=True, **settings)


def _number(found: dict[str, Any], rates: int) -> str:
    values, size = found["values"], len(found["values"]) // rates
    return " | ".join(_mean_and_deviation(values[i : i + size]) for i in range(0, len(values), size))


def _mean_and_deviation(values: Sequence[float]) -> str:
    with np.errstate(invalid="ignore"):  # infinity less infinity
        mean, std = np.mean(values), np.std(values, ddof=1) if len(values) > 1 else 0.0
    return f"{mean:.4g}" if len(values) == 1 else f"{mean:.4g} ± {std:.2g}"
