"""What is printed of a run that goes on."""

import io

import pytest
from rich.console import Console

from dl.training.progress import Progress, bar


def line(values):
    mean = sum(values) / len(values)
    return {"step": 5, "split": "test", "seconds": 1.0, "loss": {"mean": mean, "std": 9.0, "values": values}}


@pytest.mark.parametrize(
    ("values", "rates", "shown"),
    [
        ([0.5], 1, "loss 0.5"),
        ([1.0, 2.0, 3.0], 1, "loss 2 ± 1"),
        ([1.0, 3.0], 2, "loss 1 | 3"),
        ([1.0, float("inf"), float("nan"), 1.0], 2, "loss inf ± nan | nan ± nan"),
        ([1.0, 3.0, 10.0, 10.0], 2, "loss 2 ± 1.4 | 10 ± 0"),
    ],
)
def test_a_number_for_each_learning_rate(values, rates, shown, capsys):
    with Progress(10, rates=rates) as progress:
        progress.line(line(values))
    assert capsys.readouterr().out == f"step 5/10  test  {shown}\n"


def test_the_bar_has_a_rate_and_fits_a_terminal_of_80_columns():
    clock, screen = [0.0], io.StringIO()
    console = Console(width=80, file=screen, force_terminal=True, color_system=None)
    shown = bar(console=console, get_time=lambda: clock[0], auto_refresh=False)
    task = shown.add_task("", total=20_000)
    for step in range(1, 11):
        clock[0] += 0.5
        shown.update(task, completed=25 * step, description="step 250/20000  train  " + "error 0.1234 ± 0.02  " * 5)
    with console.capture() as captured:
        console.print(shown.get_renderable())
    (line,) = captured.get().splitlines()
    assert len(line) <= 80 and "250/20000" in line and "50/s" in line and "train" in line and "…" in line
