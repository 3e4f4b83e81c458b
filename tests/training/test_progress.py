"""What is printed of a run that goes on."""

import pytest

from dl.training.progress import Progress


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
