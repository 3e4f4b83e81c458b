"""Some of a run's replicas as a run of their own: those of one learning rate where `experiments.sweep` trained several."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dl.errors import UserError
from dl.report.run import Run, Series, Summary, summarise


def by_rate(run: Run) -> list[Run]:
    """A run for each learning rate of its replicas, named after it; the run itself where all have the same."""
    rates = {k: v for k, v in run.config.items() if k.rpartition(".")[2] == "learning_rate" and isinstance(v, list)}
    count, replicas = min(map(len, rates.values()), default=1), run.config.get("replicas")
    if count < 2 or not isinstance(replicas, int) or replicas % count:
        return [run]
    size = replicas // count
    parts = []
    for i in range(count):
        own = {key: values[i] for key, values in rates.items()}
        name = ", ".join(f"{key.rpartition('.')[2] if len(own) == 1 else key}={rate}" for key, rate in own.items())
        parts.append(part(run, slice(i * size, (i + 1) * size), own)._replace(name=name))
    return parts


def part(run: Run, own: slice, settings: Mapping[str, Any]) -> Run:
    """The replicas `own` of a run, whose configuration differs by `settings` (flat) from the whole one's.

    Raises:
        UserError: the run has fewer replicas.
    """
    count = own.stop - own.start
    final = {
        split: {name: _summary(run, f"{split}/{name}", value, own) for name, value in metrics.items()}
        for split, metrics in run.final.items()
    }
    series = {name: {split: _series(v, own) for split, v in splits.items()} for name, splits in run.series.items()}
    reference = run.reference
    if reference and reference.reached is not None:
        reference = reference.against(final[reference.split][reference.metric].mean)
    config, result = {**run.config, **settings, "replicas": count}, {**run.result, "replicas": count} if run.result else {}
    return run._replace(config=config, result=result, series=series, final=final, reference=reference)


def _summary(run: Run, metric: str, value: Summary, own: slice) -> Summary:
    if len(value.values) == 1:  # not a number of each replica
        return value
    if len(value.values) < own.stop:
        raise UserError(
            f"{run.path} is damaged: {metric} should have a value for each of {own.stop} replicas or more, "
            f"and has {len(value.values)}."
        )
    return summarise(value.values[own])


def _series(series: Series, own: slice) -> Series:
    """Some of the columns; a number that is not of one replica, such as the speed, has only one column and keeps it."""
    if series.values.shape[1] < own.stop:
        return series
    values = series.values[:, own]
    std = values.std(1, ddof=1) if values.shape[1] > 1 else np.zeros(len(values))
    return Series(series.steps, values.mean(1), std, values)
