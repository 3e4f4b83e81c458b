"""What a run left in its workdir, read back without JAX and without the dataset."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from dl.artifacts import Artifact
from dl.config import flatten
from dl.config import reference as cited
from dl.errors import UserError
from dl.report import artifacts

# A metric whose name holds one of these words is better when it is higher; all others when they are lower.
HIGHER = ("accuracy", "precision", "recall", "f1", "bleu", "map", "iou", "psnr", "ssim", "auc", "auroc", "score", "correlation")


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
    """The published result that the run is measured against, and whether its mean is at least as good (None: not known yet)."""

    split: str
    metric: str
    value: float
    source: str
    reached: bool | None


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

    @property
    def finished(self) -> bool:
        """Whether the run came to its end and left a result."""
        return bool(self.result)

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
        UserError: no such folder, or it holds neither metrics nor a result.
    """
    path = Path(workdir)
    if not path.is_dir():
        raise UserError(f"no workdir {str(workdir)!r}: give the --workdir of a run of experiments.train.")
    notes: list[str] = []
    series = _series(_lines(path / "metrics.jsonl", notes))
    result = _json(path / "result.json", notes)
    if not series and not result:
        raise UserError(
            f"{str(workdir)!r} holds no metrics yet (metrics.jsonl): give the --workdir of a run of experiments.train."
        )
    raw = _json(path / "config.json", notes) or result.get("config") or {}
    config = flatten(ConfigDict(raw))
    final = _final(result, series)
    published = result["reference"] if "reference" in result else cited(raw)  # a result has it only where it holds
    reference = _reference(published or {}, config, final)
    name = path.resolve().name
    return Run(name, path, config, result, series, final, reference, artifacts.load(path), tuple(notes))


def is_diagnostic(metric: str) -> bool:
    """Whether the metric is about how training went: `learning_rate/classify` is."""
    return metric.partition("/")[0] in DIAGNOSTICS


def higher_is_better(metric: str, config: Mapping[str, Any] | None = None) -> bool:
    """By `best.mode` of the (flat) configuration if that is about this metric, else by the metric's name."""
    if config and str(config.get("best.metric", "")).rpartition("/")[2] == metric:
        return config.get("best.mode") == "max"
    words = metric.lower().replace("/", "_").split("_")
    return any(word in HIGHER for word in words)


def summary(value: Any) -> Summary | None:
    """A metric as it stands in the files: `{"mean", "std", "values"}`, a list (one a replica) or a number; else None."""
    if isinstance(value, Mapping) and "mean" in value:
        mean = _number(value["mean"])
        return Summary(mean, _number(value.get("std", 0.0)), tuple(map(_number, value.get("values") or [mean])))
    if isinstance(value, list) and value and all(isinstance(v, int | float | None) for v in value):
        numbers = np.array([_number(v) for v in value])
        return Summary(
            float(numbers.mean()), float(numbers.std(ddof=1)) if len(numbers) > 1 else 0.0, tuple(map(float, numbers))
        )
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Summary(float(value), 0.0, (float(value),))
    return None


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)  # a strict JSON writer puts null for NaN


def _json(path: Path, notes: list[str]) -> dict[str, Any]:
    """The object in the file; empty where there is none, and where it is damaged, which is noted."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError:
        notes.append(f"{path.name} is not valid JSON and was left out.")
        return {}


def _lines(path: Path, notes: list[str]) -> dict[tuple[str, int], dict[str, Any]]:
    """The lines by (split, step). A resumed run may log a step again: what was written last stands."""
    lines: dict[tuple[str, int], dict[str, Any]] = {}
    text = path.read_text(errors="replace") if path.exists() else ""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            key = (str(entry.pop("split")), int(entry.pop("step")))
        except (ValueError, KeyError, AttributeError, TypeError):
            notes.append(f"metrics.jsonl: line {number} is incomplete and was left out.")
            continue
        lines[key] = lines.get(key, {}) | entry
    return lines


def _series(lines: Mapping[tuple[str, int], Mapping[str, Any]]) -> dict[str, dict[str, Series]]:
    found: dict[str, dict[str, list[tuple[int, Summary]]]] = {}
    for (split, step), entry in sorted(lines.items(), key=lambda item: item[0][1]):
        for metric, value in entry.items():
            point = summary(value)
            if point is not None:
                found.setdefault(metric, {}).setdefault(split, []).append((step, point))
    return {metric: {split: _stack(points) for split, points in splits.items()} for metric, splits in found.items()}


def _stack(points: list[tuple[int, Summary]]) -> Series:
    mean = np.array([p.mean for _, p in points])
    same = len({len(p.values) for _, p in points}) == 1
    values = np.array([p.values for _, p in points]) if same else mean[:, None]
    return Series(np.array([step for step, _ in points]), mean, np.array([p.std for _, p in points]), values)


def _final(result: Mapping[str, Any], series: Mapping[str, Mapping[str, Series]]) -> dict[str, dict[str, Summary]]:
    """The numbers of `result.json`; a split that is not in it has its last ones of `metrics.jsonl`, without diagnostics."""
    final: dict[str, dict[str, Summary]] = {}
    for split, metrics in (result.get("metrics") or {}).items():
        final[split] = {m: s for m, s in ((m, summary(v)) for m, v in metrics.items()) if s is not None}
    for metric, splits in series.items():
        for split, values in splits.items():
            in_result = split in (result.get("metrics") or {})
            if not in_result and not is_diagnostic(metric):
                final.setdefault(split, {})[metric] = values.last
    rank = {split: i for i, split in enumerate(reversed(artifacts.ORDER))}  # the test set first: it is what counts
    return dict(sorted(final.items(), key=lambda item: (rank.get(item[0], len(rank)), item[0])))


def _reference(
    raw: Mapping[str, Any], config: Mapping[str, Any], final: Mapping[str, Mapping[str, Summary]]
) -> Reference | None:
    """`raw["metric"]` is `"test/error"`, or `"error"` of the first split that has it."""
    name = str(raw.get("metric") or "")
    if not name or raw.get("value") is None:
        return None
    split, _, metric = name.partition("/") if name.partition("/")[0] in (*artifacts.ORDER, *final) else ("", "", name)
    split = split or next((s for s, metrics in final.items() if metric in metrics), "test")
    value, got = float(raw["value"]), final.get(split, {}).get(metric)
    higher = raw["mode"] == "max" if raw.get("mode") else higher_is_better(metric, config)
    reached = None if got is None else bool(got.mean >= value if higher else got.mean <= value)
    return Reference(split, metric, value, str(raw.get("source", "")), reached)
