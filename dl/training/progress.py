"""What a person sees of a run: a progress bar on a terminal, plain lines otherwise."""

import sys
import time
from typing import Any

SECONDS_BETWEEN_LINES = 2.0


class Progress:
    """Shows how far a run is. Silent where `enabled` is False (all processes but the first)."""

    def __init__(self, total: int, enabled: bool = True):
        self.total = total
        self.enabled = enabled
        self.bar: Any = None
        self.shown = 0.0

    def __enter__(self) -> "Progress":
        if self.enabled and sys.stdout.isatty():
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
            self.bar = Bar(*columns, TextColumn("{task.description}"))
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
        text = "  ".join(f"{name} {_number(v)}" for name, v in metrics.items())
        text = f"step {line['step']}/{self.total}  {line['split']}  {text}"
        if self.bar and line["split"] == "train":
            self.bar.update(self.bar.task_ids[0], description=text)
        elif self.bar:
            self.bar.console.print(text, highlight=False)
        elif line["split"] != "train" or time.monotonic() - self.shown > SECONDS_BETWEEN_LINES:
            self.note(text)
            self.shown = time.monotonic()


def _number(statistics: dict[str, Any]) -> str:
    text = f"{statistics['mean']:.4g}"
    return text if len(statistics["values"]) == 1 else f"{text} ± {statistics['std']:.2g}"
