"""Learning rates as functions of the number of updates made so far, by name, from optax.

A length (`warmup_steps`, `boundaries`, `every`) is a number of updates or, strictly between 0 and 1, a fraction of all `steps`.
A level (`final`, `warmup_from`, `factor`) is a fraction of the learning rate, so that changing the rate scales the whole curve.

    name           settings (default)                  fraction of the rate, u being the part of the run after the warm-up
    constant                                           1
    step           boundaries, factor (0.1)            times `factor` (one for all, or one each) from each boundary on
    linear         final (0)                           1 + (final - 1) u
    polynomial     final (0), power (1)                final + (1 - final) (1 - u)^power
    cosine         final (0)                           final + (1 - final) (1 + cos(pi u)) / 2
    warmup_cosine  final (0)                           the same, with `warmup_steps` required
    exponential    decay, every, staircase (False),    decay^(updates / every), the exponent rounded down if a staircase,
                   final (0)                           and at least `final`
    one_cycle      anneal ("cosine" or "linear"),      from 1 / div_factor up to 1 at `pct_start` of the run, then down
                   pct_start (0.3), pct_final (0.85),  (the linear form is back where it began at `pct_final`)
                   div_factor (25),                    to 1 / (div_factor final_div_factor), at the last update
                   final_div_factor (1e4)

Updates count from 0, and all curves but `one_cycle` reach their end one update after the last. `one_cycle` is PyTorch's
`OneCycleLR`: of T updates, the one of number n is made with the rate after n calls of its `step()`; the peak is at
n = pct_start T - 1 (between two updates where that is no whole number), the end at n = T - 1. The linear form is that of
`three_phase=True` where `pct_final` is twice `pct_start`: back where it began at n = pct_final T - 2.

All but `one_cycle`, which has its own, take a linear warm-up: `warmup_steps` (0) and `warmup_from` (0). The rest of the curve
begins at its end; only `boundaries` count from the first update.

References: Loshchilov & Hutter 2017, "SGDR", eq. 5 (cosine); Goyal et al. 2017, "Accurate, large minibatch SGD", section 2.2
(warm-up); Smith & Topin 2018, "Super-convergence" (one cycle).
"""

import inspect
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from dl import registry
from dl.errors import UserError, unknown

Rate = float | jax.Array  # a scalar; an array may be traced, so that replicas can differ in their rates
WARMUP = ("warmup_steps", "warmup_from")
OWN_WARMUP = ("one_cycle",)


def build(settings: Mapping[str, Any] | ConfigDict, learning_rate: Rate, steps: int) -> optax.Schedule:
    """The schedule `settings["name"]` (default "constant") of the module's table, with its other settings.

    Args:
        settings: `config.optimizer.schedule`.
        learning_rate: the rate that the schedule scales: its peak, unless a level is above 1. It may be traced.
        steps: the updates that the optimizer will make in all.

    Returns:
        The learning rate (float32 scalar under jit) of the update that `count` updates precede.

    Raises:
        UserError: an unknown name or setting, a setting out of its range, a warm-up that is not shorter than the run, or a rate
            that is not positive (to freeze parameters, use a rule).
    """
    chosen = plain(settings)
    name = chosen.pop("name", "constant")
    if name not in SCHEDULES:
        raise unknown("schedule", str(name), SCHEDULES)
    takes = set(inspect.signature(SCHEDULES[name]).parameters) - {"rate", "steps", "warmup"}
    takes |= set() if name in OWN_WARMUP else set(WARMUP)
    for key in chosen:
        if key not in takes:
            raise unknown(f"setting of schedule {name!r}", key, takes)
    if not isinstance(learning_rate, jax.Array) and learning_rate <= 0:
        raise UserError(f"optimizer.learning_rate must be above 0, not {learning_rate:g}.")
    if name != "constant" and steps < 1:
        raise UserError(f"schedule {name!r} needs a run of at least one step, not {steps}.")
    if name == "warmup_cosine" and "warmup_steps" not in chosen:
        raise UserError("schedule 'warmup_cosine' needs the setting 'warmup_steps'.")
    warmup = _length(chosen.pop("warmup_steps", 0), steps, "warmup_steps")
    start = _level(chosen.pop("warmup_from", 0.0), "warmup_from")
    if warmup and warmup >= steps:
        raise UserError(f"schedule.warmup_steps ({warmup}) must be fewer than the run's steps ({steps}).")
    main = registry.call(SCHEDULES[name], f"schedule {name!r}", chosen, rate=learning_rate, steps=steps, warmup=warmup)
    if not warmup:
        return main
    return optax.join_schedules([optax.linear_schedule(start * learning_rate, learning_rate, warmup), main], [warmup])


def plain(settings: Mapping[str, Any] | ConfigDict) -> dict[str, Any]:
    """A dictionary of one's own; a ConfigDict's sections become dictionaries too."""
    return settings.to_dict() if isinstance(settings, ConfigDict) else dict(settings)


def number(value: Any, key: str) -> float:
    """`value` as a float; whole numbers, which a command line may give, are welcome.

    Raises:
        UserError: it is not a finite real number; the message names `key`.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating) or not math.isfinite(value):
        raise UserError(f"{key} must be a number, not {value!r}.")
    return float(value)


def _length(value: Any, steps: int, key: str) -> int:
    """Updates: a whole number as it is, a fraction of `steps` rounded to the nearest."""
    length = number(value, f"schedule.{key}")
    if 0 < length < 1:
        return round(length * steps)
    if length < 0 or length != int(length):
        raise UserError(f"schedule.{key} must be a number of steps or a fraction of them between 0 and 1, not {value!r}.")
    return int(length)


def _level(value: Any, key: str) -> float:
    level = number(value, f"schedule.{key}")
    if level < 0:
        raise UserError(f"schedule.{key} must not be negative, not {value!r}.")
    return level


def _positive(value: Any, key: str) -> float:
    positive = number(value, f"schedule.{key}")
    if positive <= 0:
        raise UserError(f"schedule.{key} must be above 0, not {value!r}.")
    return positive


# Each takes the updates of the whole run and of its warm-up, and returns a function of the updates since the warm-up's end.
# Settings come from the user and are checked here, whatever their type.


def _constant(rate: Rate, steps: int, warmup: int) -> optax.Schedule:
    return lambda count: rate


def _step(rate: Rate, steps: int, warmup: int, boundaries: Any, factor: Any = 0.1) -> optax.Schedule:
    """Boundaries past the end of the run are allowed and never reached."""
    if not isinstance(boundaries, Sequence) or isinstance(boundaries, str):
        raise UserError(f"schedule.boundaries must be a tuple of steps, not {boundaries!r}.")
    at = [_length(boundary, steps, "boundaries") for boundary in boundaries]
    if any(later <= earlier for earlier, later in itertools.pairwise([warmup, *at])):
        raise UserError(
            f"schedule.boundaries must increase, after the {warmup} steps of warm-up: {tuple(boundaries)!r} are at {at}."
        )
    factors = list(factor) if isinstance(factor, Sequence) else [factor] * len(at)
    if len(factors) != len(at):
        raise UserError(f"schedule.factor has {len(factors)} values for {len(at)} boundaries; give one for all, or one each.")
    scales = [_positive(value, "factor") for value in factors]
    return optax.piecewise_constant_schedule(rate, dict(zip((b - warmup for b in at), scales, strict=True)))


def _polynomial(rate: Rate, steps: int, warmup: int, final: Any = 0.0, power: Any = 1.0) -> optax.Schedule:
    return optax.polynomial_schedule(rate, _level(final, "final") * rate, _positive(power, "power"), steps - warmup)


def _linear(rate: Rate, steps: int, warmup: int, final: Any = 0.0) -> optax.Schedule:
    return _polynomial(rate, steps, warmup, final)


def _cosine(rate: Rate, steps: int, warmup: int, final: Any = 0.0) -> optax.Schedule:
    return optax.cosine_decay_schedule(rate, steps - warmup, alpha=_level(final, "final"))


def _exponential(
    rate: Rate, steps: int, warmup: int, decay: Any, every: Any, staircase: bool = False, final: Any = 0.0
) -> optax.Schedule:
    period, ratio, lowest = _length(every, steps, "every"), _positive(decay, "decay"), _level(final, "final")
    if period < 1:
        raise UserError(f"schedule.every must be at least one step, not {every!r}.")
    if ratio >= 1:
        raise UserError(f"schedule.decay must be between 0 and 1, not {decay!r}.")
    return optax.exponential_decay(rate, period, ratio, staircase=staircase, end_value=lowest * rate)


def _one_cycle(
    rate: Rate,
    steps: int,
    warmup: int,
    anneal: Any = "cosine",
    pct_start: Any = 0.3,
    pct_final: Any = 0.85,
    div_factor: Any = 25.0,
    final_div_factor: Any = 1e4,
) -> optax.Schedule:
    """`pct_final` is of the linear form alone, where the rate is back at its first value.

    optax's own forms turn one update later than PyTorch's, and never make an update with the last rate.
    """
    first = 1 / _positive(div_factor, "div_factor")
    last = first / _positive(final_div_factor, "final_div_factor")
    peak = _positive(pct_start, "pct_start") * steps - 1
    if anneal == "cosine":
        turns, levels = [0.0, peak, steps - 1.0], [first, 1.0, last]
    elif anneal == "linear":
        turns, levels = [0.0, peak, _positive(pct_final, "pct_final") * steps - 2, steps - 1.0], [first, 1.0, first, last]
    else:
        raise unknown("anneal of schedule 'one_cycle'", str(anneal), ("cosine", "linear"))
    if any(later <= earlier for earlier, later in itertools.pairwise(turns)):
        raise UserError(
            f"schedule 'one_cycle' must turn at increasing steps, not at {[round(turn, 2) for turn in turns]}: mend its pct_ "
            "settings or take more steps."
        )

    def curve(count: Any) -> jax.Array:
        level = jnp.float32(first)
        for (start, end), (low, high) in zip(itertools.pairwise(turns), itertools.pairwise(levels), strict=True):
            part = jnp.clip((count - start) / (end - start), 0, 1)
            eased = (1 + jnp.cos(jnp.pi * part)) / 2 if anneal == "cosine" else 1 - part
            level = jnp.where(count > start, high + (low - high) * eased, level)
        return level * rate

    return curve


SCHEDULES: dict[str, Callable[..., optax.Schedule]] = {
    "constant": _constant,
    "step": _step,
    "linear": _linear,
    "polynomial": _polynomial,
    "cosine": _cosine,
    "warmup_cosine": _cosine,
    "exponential": _exponential,
    "one_cycle": _one_cycle,
}
