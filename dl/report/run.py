"""What a run left in its workdir, read back without JAX and without the dataset."""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dl.artifacts import Artifact
from dl.config import reference as cited
from dl.errors import UserError
from dl.metric import Metric
from dl.report import artifacts, described, recorded

PARTIAL = "partial"  # in a line that a stop wrote, what the next start goes on from

# Metrics about how training went, and not about what was learned.
DIAGNOSTICS = ("objective", "learning_rate", "gradient_norm", "parameter_norm", "update_norm", "examples_per_second", "seconds")


class Summary(NamedTuple):
    """One number over the replicas."""

    mean: float
    std: float
    values: tuple[float, ...]  # one a replica


class Series(NamedTuple):
    """One metric of one split over the steps: `steps`, `mean`, `std` [N], `values` [N, R], one column a replica."""

    steps: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    values: np.ndarray

    @property
    def last(self) -> Summary:
        """The last point."""
        return Summary(float(self.mean[-1]), float(self.std[-1]), tuple(map(float, self.values[-1])))


class Reference(NamedTuple):
    """The published result that the run is measured against. `known`: what is known of its metric."""

    split: str
    metric: str
    value: float
    source: str
    known: Metric
    reached: bool | None  # whether the run's mean is at least as good; None where it is not known, or nothing is better

    def against(self, mean: float) -> "Reference":
        """Of a run with this mean."""
        return self._replace(reached=described.reached(self.known, mean, self.value))


class Run(NamedTuple):
    """A run as the report shows it. `series`: metric -> split -> Series; `final`: split -> metric -> Summary."""

    name: str
    path: Path
    config: dict[str, Any]  # flat: {"optimizer.learning_rate": 0.1}
    result: dict[str, Any]
    series: dict[str, dict[str, Series]]
    final: dict[str, dict[str, Summary]]
    reference: Reference | None
    artifacts: dict[tuple[str, str], Artifact]
    notes: tuple[str, ...]
    described: dict[str, Metric]  # name -> what the task said of it

    def metric(self, name: str) -> Metric:
        """What is known of a metric."""
        return described.describe(name, self.described)

    @property
    def finished(self) -> bool:
        """Whether the run came to its end and left a result."""
        return bool(self.result)

    @property
    def replicas(self) -> Any:
        """How many there are, as the files say; None where they do not."""
        return self.result.get("replicas") or self.config.get("replicas") or None

    @property
    def last_step(self) -> int:
        """The last step that is in the metrics."""
        return max((int(s.steps[-1]) for splits in self.series.values() for s in splits.values()), default=0)

    @property
    def seconds(self) -> float:
        """Wall time of training so far, 0 where it is not known."""
        logged = self.series.get("seconds", {}).get("train")
        return float(self.result.get("wall_seconds") or (logged.mean[-1] if logged else 0.0))


def read(workdir: str | os.PathLike) -> Run:
    """The run in `workdir`. An unfinished one has no `result`; a line cut short by a kill is left out and noted.

    Raises:
        UserError: no such folder, it holds neither metrics nor a result, or a file in it is damaged.
    """
    path = Path(workdir)
    if not path.is_dir():
        raise UserError(f"no workdir {str(workdir)!r}: give the --workdir of a run of experiments.train.")
    notes: list[str] = []
    series = _series(recorded.read_lines(path, notes), notes)
    result = recorded.read_result(path)
    if not series and not result:
        raise UserError(
            f"{str(workdir)!r} holds no metrics yet (metrics.jsonl): give the --workdir of a run of experiments.train."
        )
    raw = recorded.read_config(path) or result.get("config") or {}
    config = recorded.flat(path / "config.json", raw)
    final = _final(path / "result.json", result, series)
    known = described.read(result)
    published = result["reference"] if "reference" in result else cited(raw)  # a result has it only where it holds
    reference = _reference(published or {}, final, known)
    name = path.resolve().name
    return Run(name, path, config, result, series, final, reference, artifacts.load(path), tuple(notes), known)


def is_diagnostic(metric: str) -> bool:
    """Whether the metric is about how training went: `learning_rate/classify` is."""
    return metric.partition("/")[0] in DIAGNOSTICS


def summary(value: Any) -> Summary | None:
    """A metric as it stands in the files: `{"mean", "std", "values"}`, a list (one a replica) or a number; else None."""
    if isinstance(value, Mapping):
        mean, std, values = value.get("mean"), value.get("std", 0.0), value.get("values") or [value.get("mean")]
        if "mean" not in value or not isinstance(values, list) or not all(map(_is_number, (mean, std, *values))):
            return None
        return Summary(_number(mean), _number(std), tuple(map(_number, values)))
    if isinstance(value, list):
        return summarise([_number(v) for v in value]) if value and all(map(_is_number, value)) else None
    return summarise([_number(value)]) if value is not None and _is_number(value) else None


def summarise(values: Sequence[float]) -> Summary:
    """Mean and sample standard deviation (0 for one value) of one number a replica."""
    with np.errstate(invalid="ignore"):  # infinity less infinity
        std = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        return Summary(float(np.mean(values)), std, tuple(map(float, values)))


def _is_number(value: Any) -> bool:
    return value is None or recorded.is_number(value)


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)  # a strict JSON writer puts null for NaN


def _series(lines: Mapping[tuple[str, int], Mapping[str, Any]], notes: list[str]) -> dict[str, dict[str, Series]]:
    found: dict[str, dict[str, list[tuple[int, Summary]]]] = {}
    wrong: dict[str, int] = {}
    for (split, step), entry in sorted(lines.items(), key=lambda item: item[0][1]):
        for metric, value in entry.items():
            point = summary(value)
            if point is not None:
                found.setdefault(metric, {}).setdefault(split, []).append((step, point))
            elif value is not None and metric != PARTIAL:
                wrong.setdefault(metric, step)
    notes += [f"metrics.jsonl: {metric} of step {step} is not a number and was left out." for metric, step in wrong.items()]
    return {metric: {split: _stack(points) for split, points in splits.items()} for metric, splits in found.items()}


def _stack(points: list[tuple[int, Summary]]) -> Series:
    mean = np.array([p.mean for _, p in points])
    same = len({len(p.values) for _, p in points}) == 1
    values = np.array([p.values for _, p in points]) if same else mean[:, None]
    return Series(np.array([step for step, _ in points]), mean, np.array([p.std for _, p in points]), values)


def _final(path: Path, result: Mapping[str, Any], series: Mapping[str, Mapping[str, Series]]) -> dict[str, dict[str, Summary]]:
    """The numbers of `result.json`; a split that is not in it has its last ones of `metrics.jsonl`, without diagnostics."""
    final: dict[str, dict[str, Summary]] = {}
    known = result.get("metrics") or {}
    for split, metrics in known.items():
        for metric, value in metrics.items():
            found = summary(value)
            if found is None:
                raise UserError(f"{path} is damaged: metrics.{split}.{metric} should be numbers.")
            final.setdefault(split, {})[metric] = found
    for metric, splits in series.items():
        for split, values in splits.items():
            if split not in known and not is_diagnostic(metric):
                final.setdefault(split, {})[metric] = values.last
    rank = {split: i for i, split in enumerate(reversed(artifacts.ORDER))}  # the test set first: it is what counts
    return dict(sorted(final.items(), key=lambda item: (rank.get(item[0], len(rank)), item[0])))


def _reference(
    raw: Mapping[str, Any], final: Mapping[str, Mapping[str, Summary]], known: Mapping[str, Metric]
) -> Reference | None:
    """`raw["metric"]` is `"test/error"`, or `"error"` of the first split that has it."""
    name = str(raw.get("metric") or "")
    if not name or raw.get("value") is None:
        return None
    split, _, metric = name.partition("/") if name.partition("/")[0] in (*artifacts.ORDER, *final) else ("", "", name)
    split = split or next((s for s, metrics in final.items() if metric in metrics), "test")
    got = final.get(split, {}).get(metric)
    reference = Reference(
        split, metric, float(raw["value"]), str(raw.get("source", "")), described.describe(metric, known), None
    )
    return reference.against(got.mean) if got else reference
