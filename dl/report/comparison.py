"""Several runs side by side in one page."""

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path

from dl.report import plots, tables
from dl.report.axis import mean_std, number
from dl.report.page import document, duration, save, stack, verdict, words
from dl.report.run import Run, is_diagnostic, read
from dl.report.style import colour


def write(workdirs: Sequence[str | os.PathLike], out: str | os.PathLike) -> Path:
    """Writes the page that compares the runs in `workdirs`; returns the file.

    Raises:
        UserError: one of them is no run's workdir, or an artifact cannot be read.
    """
    return save(Path(out), render([read(workdir) for workdir in workdirs]))


def render(runs: Sequence[Run]) -> str:
    """The page that compares `runs`, as HTML. A run has the same colour in all plots."""
    names = _names(runs)
    runs = [run._replace(name=name) for run, name in zip(runs, names, strict=True)]
    sections = {
        "Results": stack(results(runs), _sizes(runs)),
        "Curves": curves(runs),
        "Differences": _differences(runs),
        "Shared configuration": _shared(runs),
    }
    keys = "".join(f'<span><i style="color:{colour(i)}"></i>{escape(name)}</span>' for i, name in enumerate(names))
    return document(f"{len(runs)} runs", f'<p class="legend">{keys}</p>', sections, f"{len(runs)} runs: {', '.join(names)}")


def _names(runs: Sequence[Run]) -> list[str]:
    """The folders' names; the whole paths where two are the same."""
    names = [run.name for run in runs]
    return names if len(set(names)) == len(names) else [str(run.path) for run in runs]


def results(runs: Sequence[Run]) -> str:
    """A line for each run, a column for each final metric, the best of a column in bold."""
    columns = list(dict.fromkeys((split, metric) for run in runs for split, metrics in run.final.items() for metric in metrics))
    best = {column: _best(runs, *column) for column in columns}
    references = any(run.reference for run in runs)
    header = ["Run", *(escape(f"{split} {words(metric)}") for split, metric in columns), *(["Reference"] if references else [])]
    body = []
    for i, run in enumerate(runs):
        row = [_key(i, run)]
        for split, metric in columns:
            value = run.final.get(split, {}).get(metric)
            shown = mean_std(value.mean, value.std) if value else ""
            row.append(f"<b>{shown}</b>" if i == best[split, metric] else shown)
        body.append(row + ([_reference(run)] if references else []))
    return f'<div class="card">{tables.rows(header, body, right=range(1, len(columns) + 1))}</div>'


def _key(index: int, run: Run) -> str:
    unfinished = "" if run.finished else ' <span class="bad">unfinished</span>'
    return f'<span class="run"><i style="color:{colour(index)}"></i>{escape(run.name)}{unfinished}</span>'


def _best(runs: Sequence[Run], split: str, metric: str) -> int | None:
    """The run with the best mean; None where fewer than two have this metric, all the same, or neither way is better."""
    means = {i: run.final[split][metric].mean for i, run in enumerate(runs) if metric in run.final.get(split, {})}
    means = {i: mean for i, mean in means.items() if mean == mean}  # without NaN
    way = next(filter(None, (run.metric(metric).better for run in runs)), "")
    if len(set(means.values())) < 2 or not way:
        return None
    return (max if way == "higher" else min)(means, key=lambda i: means[i])


def _reference(run: Run) -> str:
    return f"{escape(words(run.reference.metric))} {number(run.reference.value)} {verdict(run)}" if run.reference else ""


def _sizes(runs: Sequence[Run]) -> str:
    """Parameters, steps, time, replicas and devices of each run, as far as they are known."""
    body = []
    for i, run in enumerate(runs):
        count, devices = run.result.get("parameters"), run.result.get("devices")
        body.append(
            [
                _key(i, run),
                number(count) if isinstance(count, int | float) else "",
                number(run.result.get("steps") or run.last_step),
                duration(run.seconds) if run.seconds else "",
                escape(tables.text(run.replicas)) if run.replicas else "",
                escape(tables.text(devices)) if devices else "",
            ]
        )
    header = ["Run", "Parameters", "Steps", "Time", "Replicas", "Devices"]
    return f'<div class="card">{tables.rows(header, body, right=range(1, 5))}</div>'


def curves(runs: Sequence[Run], diagnostic: bool | None = None) -> str:
    """A plot for each metric, all runs in it; a metric of several splits has one plot for each of them.

    `diagnostic`: only those about how training went, or only the others; None is all.
    """
    figures = ""
    pairs = dict.fromkeys((metric, split) for run in runs for metric, splits in run.series.items() for split in splits)
    pairs.pop(("seconds", "train"), None)
    pairs = {pair: None for pair in pairs if diagnostic is None or is_diagnostic(pair[0]) == diagnostic}
    several = {metric for metric, _ in pairs if sum(m == metric for m, _ in pairs) > 1}
    for metric, split in pairs:
        lines = [
            plots.series_line(run.name, run.series[metric][split], colour(i))
            for i, run in enumerate(runs)
            if split in run.series.get(metric, {})
        ]
        log = False if metric.endswith("_per_second") else None
        subtitle = split if metric in several or split != "train" else ""
        figures += plots.plot(lines, words(metric).replace("/", ": "), log=log, subtitle=subtitle)
    return f'<div class="plots">{figures}</div>' if figures else ""


def _differences(runs: Sequence[Run]) -> str:
    """The keys of the configuration in which the runs differ, a column for each run."""
    keys = sorted({key for run in runs for key in run.config} - _common(runs))
    if not keys:
        return '<p class="soft">All of these runs have the same configuration.</p>'
    body = [
        [f'<span class="mono">{escape(key)}</span>']
        + [escape(tables.text(run.config[key])) if key in run.config else '<span class="soft">absent</span>' for run in runs]
        for key in keys
    ]
    return f'<div class="card">{tables.rows(["Key", *(escape(run.name) for run in runs)], body)}</div>'


def _common(runs: Sequence[Run]) -> set[str]:
    first = runs[0].config
    return {key for key, value in first.items() if all(key in run.config and run.config[key] == value for run in runs)}


def _shared(runs: Sequence[Run]) -> str:
    common = _common(runs)
    values = {key: value for key, value in runs[0].config.items() if key in common}
    if not values:
        return ""
    return f'<div class="card"><details><summary>{len(values)} keys</summary>{tables.key_values(values)}</details></div>'
