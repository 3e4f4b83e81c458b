"""What the runs of a sweep reached: a row for each setting, with mean and deviation over its seeds."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dl.report import comparison, replicas
from dl.report.axis import mean_std
from dl.report.page import save
from dl.report.run import Run, Summary, read, summarise

Settings = Mapping[str, Any]


class Point(NamedTuple):
    """One setting with one run of consecutive seeds: the replicas `first` to `first + len(seeds)` of the run in `folder`.

    status: "finished", "failed" (`message` says why) or "not run".
    """

    settings: Settings
    seeds: tuple[int, ...]
    folder: Path
    first: int
    status: str
    message: str = ""


class Row(NamedTuple):
    """One setting over all its seeds. `runs`: those of them that are finished, each with its own replicas alone."""

    settings: Settings
    points: tuple[Point, ...]
    runs: tuple[Run, ...]

    @property
    def seeds(self) -> list[int]:
        """The seeds whose runs are finished."""
        return [seed for point in self.points if point.status == "finished" for seed in point.seeds]

    @property
    def status(self) -> str:
        """The worst of its runs'."""
        return next((s for s in ("failed", "not run") if s in {point.status for point in self.points}), "finished")

    @property
    def message(self) -> str:
        """Why a run failed."""
        return next((point.message for point in self.points if point.message), "")

    @property
    def metrics(self) -> dict[str, dict[str, Summary]]:
        """Of each split that was evaluated, and metric: mean, sample deviation and values over the seeds."""
        values: dict[str, dict[str, list[float]]] = {}
        for run in self.runs:
            for split, metrics in run.final.items():
                if split not in (run.result.get("metrics") or {}):
                    continue
                for name, numbers in metrics.items():
                    values.setdefault(split, {}).setdefault(name, []).extend(numbers.values)
        return {split: {name: summarise(v) for name, v in metrics.items()} for split, metrics in values.items()}


def rows(points: Sequence[Point]) -> list[Row]:
    """Joins the points of the same setting, in the order in which they come first."""
    joined: dict[str, list[Point]] = {}
    for point in points:
        joined.setdefault(repr(dict(point.settings)), []).append(point)
    made = []
    for same in joined.values():
        runs = tuple(_replicas(point) for point in same if point.status == "finished")
        made.append(Row(same[0].settings, tuple(same), runs))
    return made


def as_json(table: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows for `table.json`: `settings`, `seeds`, `status`, `message`, `metrics` as in `result.json`, `workdirs`."""
    return [
        {
            "settings": dict(row.settings),
            "seeds": row.seeds,
            "status": row.status,
            "message": row.message,
            "metrics": {
                split: {name: summary._asdict() for name, summary in metrics.items()} for split, metrics in row.metrics.items()
            },
            "workdirs": sorted({point.folder.name for point in row.points}),
        }
        for row in table
    ]


def _finite(value: Any) -> Any:
    """The same with null for what is not finite, since JSON knows no NaN."""
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def cells(table: Sequence[Row], names: Mapping[str, str]) -> tuple[list[str], list[list[str]]]:
    """Header and lines as text. `names` are the grid's keys as they are shown; ">" begins the header of a column of numbers."""
    keys = [key for key in names if key != "seed"]
    splits = list(dict.fromkeys(split for row in table for split in row.metrics))
    columns = [(s, m) for s in splits for m in dict.fromkeys(m for row in table for m in row.metrics.get(s, {}))]
    header = [">" + names[key] for key in keys] + [">seeds"] + [f">{split} {metric}" for split, metric in columns]
    unfinished = any(row.status != "finished" for row in table)
    lines = []
    for row in table:
        line = [_text(row.settings[key]) for key in keys] + [str(len(row.seeds))]
        for split, metric in columns:
            found = row.metrics.get(split, {}).get(metric)
            line.append(mean_std(found.mean, found.std) if found else "")
        why = f"{row.status}: {row.message}" if row.message else row.status
        lines.append(line + ([why if row.status != "finished" else ""] if unfinished else []))
    return header + ([""] if unfinished else []), lines


def markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """The table in Markdown."""
    rule = ["---:" if name.startswith(">") else "---" for name in header]
    body = [[name.removeprefix(">") for name in header], rule, *lines]
    return "".join("| " + " | ".join(map(_plain, line)) + " |\n" for line in body)


def _plain(cell: str) -> str:
    """A cell that ends no column, no line, and opens no tag of HTML."""
    return " ".join(cell.replace("|", "\\|").replace("<", "&lt;").split())


def write(folder: Path, table: Sequence[Row], names: Mapping[str, str]) -> Path | None:
    """Writes `table.json`, `table.md` and, where a run is finished, `index.html`, which compares them; returns the page.

    Raises:
        UserError: the folder cannot be written.
    """
    save(folder / "table.json", json.dumps(_finite(as_json(table)), indent=2, allow_nan=False) + "\n")
    save(folder / "table.md", markdown(*cells(table, names)))
    runs = []
    for row in table:
        name = ", ".join(f"{names[key]}={_text(value)}" for key, value in row.settings.items())
        for run, point in zip(row.runs, (p for p in row.points if p.status == "finished"), strict=True):
            seeds = f"seed={point.seeds[0]}" + (f"-{point.seeds[-1]}" if len(point.seeds) > 1 else "")
            runs.append(run._replace(name=", ".join(filter(None, (name, seeds if len(row.runs) > 1 or not name else "")))))
    return save(folder / "index.html", comparison.render(runs)) if runs else None


def _replicas(point: Point) -> Run:
    """The run in the point's folder, of the point's replicas alone."""
    settings = {key: list(value) if isinstance(value, tuple) else value for key, value in point.settings.items()}
    own = slice(point.first, point.first + len(point.seeds))
    return replicas.part(read(point.folder), own, {**settings, "seed": point.seeds[0]})


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
