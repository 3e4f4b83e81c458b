"""Numbers and ticks as a reader expects them."""

import numpy as np
import pytest

from dl.report import axis


@pytest.mark.parametrize(
    ("mean", "std", "expected"),
    [
        (0.0089, 0.00031, "0.00890 ± 0.00031"),
        (0.98765, 0.0123, "0.988 ± 0.012"),
        (12345.6, 78.9, "12,346 ± 79"),
        (0.25, 0.0, "0.25"),
        (float("nan"), 0.1, "NaN"),
        (1e-12, 2e-13, "1e-12 ± 2e-13"),
    ],
)
def test_mean_and_deviation(mean, std, expected):
    assert axis.mean_std(mean, std) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(60000, "60,000"), (0.00123456, "0.001235"), (1234.56, "1,234.6"), (float("inf"), "∞"), (3.0, "3")]
)
def test_numbers(value, expected):
    assert axis.number(value) == expected


def test_a_linear_axis_holds_its_values_between_round_ticks():
    made = axis.make(np.array([0.0, 0.137, 0.4]))
    assert [text for _, text in made.ticks] == ["0.0", "0.1", "0.2", "0.3", "0.4"]
    at = made.scale(np.array([0.0, 0.4]))
    assert at[0] == 0.0 and 0.9 < at[1] <= 1.0


def test_a_log_axis_is_chosen_where_much_would_vanish():
    decaying = axis.make(np.logspace(0, -4, 50), log=None)
    assert [text for _, text in decaying.ticks] == ["0.0001", "0.001", "0.01", "0.1", "1"]
    decades = decaying.scale(np.array([1e-4, 1e-3, 1e-2, 1e-1, 1.0]))
    np.testing.assert_allclose(np.diff(decades), decades[1] - decades[0], rtol=1e-6)
    cosine = axis.make(0.5 * (1 + np.cos(np.linspace(0, 3.14, 100))) + 1e-9, log=None)
    assert all("10" not in text for _, text in cosine.ticks)
    assert axis.make(np.array([0.0, 1e-6, 1e-3, 1.0]), log=None).scale(np.array([0.5]))[0] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("value", [0.0, 5.0, -3.0, 1e-7, 1e9])
def test_a_constant_has_an_axis_with_the_constant_inside(value):
    made = axis.make(np.full(3, value))
    assert 0.0 < made.scale(np.array([value]))[0] < 1.0 and len(made.ticks) >= 2
