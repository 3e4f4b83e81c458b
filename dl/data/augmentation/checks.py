"""Checks of the settings, made once when an augmentation is built."""

from collections.abc import Sequence
from typing import Any

from dl.errors import UserError, unknown

Fill = float | Sequence[float] | str


def at_least(what: str, value: Any, minimum: float) -> None:
    """Raises UserError unless `value` is a number of at least `minimum`."""
    if not isinstance(value, int | float) or not value >= minimum:
        raise UserError(f"augmentation setting {what} must be a number of at least {minimum:g}, not {value!r}.")


def above_zero(what: str, value: Any) -> None:
    """Raises UserError unless `value` is a positive number."""
    if not isinstance(value, int | float) or not value > 0:
        raise UserError(f"augmentation setting {what} must be a number above 0, not {value!r}.")


def interval(what: str, value: Any) -> tuple[float, float]:
    """`value` as (low, high).

    Raises:
        UserError: unless it is two numbers, 0 <= low <= high.
    """
    if (
        isinstance(value, Sequence)
        and len(value) == 2
        and all(isinstance(v, int | float) for v in value)
        and 0 <= value[0] <= value[1]
    ):
        return float(value[0]), float(value[1])
    raise UserError(f"augmentation setting {what} must be (low, high) with 0 <= low <= high, not {value!r}.")


def filling(what: str, value: Any) -> Fill:
    """`value`, what lies outside of an image: a number, one a channel, "edge" or "reflect".

    Raises:
        UserError: anything else.
    """
    if isinstance(value, str) and value not in ("edge", "reflect"):
        raise unknown(f"augmentation setting {what}", value, ("edge", "reflect", "a number"))
    if isinstance(value, str | int | float) or (
        isinstance(value, Sequence) and value and all(isinstance(v, int | float) for v in value)
    ):
        return value
    raise UserError(f"augmentation setting {what} must be a number, one a channel, 'edge' or 'reflect', not {value!r}.")
