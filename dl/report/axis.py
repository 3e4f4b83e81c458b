"""Axes of a plot: limits, ticks, numbers as text."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
LOG_RATIO = 30.0  # values so far below the largest can hardly be told from zero on a linear scale;
LOG_SHARE = 0.2  # where so many of them are, the scale is logarithmic


class Axis(NamedTuple):
    """A scale from data to 0..1, and its ticks with their texts."""

    scale: Callable[[np.ndarray], np.ndarray]
    ticks: tuple[tuple[float, str], ...]


def make(values: np.ndarray, log: bool | None = False, pad: float = 0.05) -> Axis:
    """The axis that shows all finite `values` [N] (at least one). `log=None` decides by how they are spread."""
    values = values[np.isfinite(values)]
    low, high = float(values.min()), float(values.max())
    return _log(low, high, pad) if is_log(values, log) else _linear(low, high, pad)


def is_log(values: np.ndarray, log: bool | None) -> bool:
    """Whether `make` makes a logarithmic axis of these values (at least one is finite)."""
    values = values[np.isfinite(values)]
    low, high = float(values.min()), float(values.max())
    if log is None:
        return low > 0 and bool(np.mean(values < high / LOG_RATIO) >= LOG_SHARE)
    return log and low > 0


def spans(values: np.ndarray, ratio: float) -> bool:
    """Whether all finite values are positive, and the largest is so many times the smallest."""
    values = values[np.isfinite(values)]
    return bool(values.size and values.min() > 0 and values.max() >= ratio * values.min())


def _linear(low: float, high: float, pad: float) -> Axis:
    if high - low < 1e-9 * max(abs(low), abs(high), 1e-30):  # a constant: some room around it
        room = abs(low) * 0.1 or 1.0
        low, high = low - room, high + room
    start, span = low - pad * (high - low), (high - low) * (1 + 2 * pad)
    if low >= 0 > start:  # what is never negative does not get a negative axis
        start, span = 0.0, span + start
    step = _nice(span / 5)
    ticks = np.arange(math.ceil(start / step - 1e-9), math.floor((start + span) / step + 1e-9) + 1) * step
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return Axis(lambda x: (x - start) / span, tuple((float(t), _plain(float(t), step, decimals)) for t in ticks))


def _nice(raw: float) -> float:
    power = 10.0 ** math.floor(math.log10(raw))
    return next(m * power for m in (1.0, 2.0, 5.0, 10.0) if m * power >= raw * 0.999)


def _plain(value: float, step: float, decimals: int) -> str:
    if value and abs(value) >= 1e6:
        return f"{value / 1e6:.{max(0, -math.floor(math.log10(step / 1e6) + 1e-9))}f}M"
    if step >= 1000:
        return f"{value / 1000:.0f}k" if value else "0"
    if decimals > 4:
        return f"{value:.3g}" if value else "0"
    return f"{value:,.{decimals}f}"


def _log(low: float, high: float, pad: float) -> Axis:
    a, b = math.log10(low), math.log10(high)
    b = max(b, a + 0.1)
    a, b = a - pad * (b - a), b + pad * (b - a)
    decades = b - a
    stride = max(1, math.ceil(decades / 6))
    digits = (1,) if decades > 3 else (1, 3) if decades > 1.2 else (1, 2, 5)
    powers = range(math.floor(a), math.ceil(b) + 1)
    ticks = [(m * 10.0**p, _power(m, p)) for p in powers for m in digits if p % stride == 0]
    inside = tuple((value, text) for value, text in ticks if a <= math.log10(value) <= b)

    def scale(x: np.ndarray) -> np.ndarray:
        return (np.log10(np.maximum(x, 1e-300)) - a) / (b - a)

    return Axis(scale, inside)


def _power(digit: int, power: int) -> str:
    if -4 <= power <= 3:
        return f"{digit * 10.0**power:.{max(0, -power)}f}"
    text = "10" + str(power).translate(SUPERSCRIPT)
    return text if digit == 1 else f"{digit}·{text}"


def number(value: float) -> str:
    """A number for a table: four significant digits, thousands separated."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞" if value > 0 else "-∞"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.1f}"
    return f"{value:.4g}"


def mean_std(mean: float, std: float) -> str:
    """`0.00893 ± 0.00031`: the deviation to two significant digits, the mean to the same place. Without one, the mean alone."""
    if not (math.isfinite(mean) and math.isfinite(std)) or std <= 0:
        return number(mean)
    decimals = 1 - math.floor(math.log10(std))
    if decimals > 8:
        return f"{mean:.4g} ± {std:.2g}"
    decimals = max(0, decimals)
    return f"{mean:,.{decimals}f} ± {std:,.{decimals}f}"
