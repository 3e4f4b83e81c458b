"""The page of one run: a single HTML file that needs nothing beside itself."""

import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from dl.report import comparison, described, plots, replicas, tables
from dl.report.axis import mean_std, number
from dl.report.page import artifact_section, document, duration, save, stack, verdict, words
from dl.report.run import Run, Series, is_diagnostic, read
from dl.report.style import SPLITS, colour

WEIGHTS = ("filters", "weights")  # words in the names of artifacts that show no split


def write(workdir: str | os.PathLike, out: str | os.PathLike | None = None) -> Path:
    """Writes the page of the run in `workdir`, to `<workdir>/report/index.html` unless `out` is given; returns the file.

    Raises:
        UserError: no such folder, nothing in it to report, an artifact that cannot be read, or a file that cannot be written.
    """
    path = Path(out) if out else Path(workdir) / "report" / "index.html"
    return save(path, render(read(workdir)))


def render(run: Run) -> str:
    """The page of a run as HTML. Replicas of several learning rates are several runs: a mean over them says nothing."""
    marks, parts = _phase_starts(run), replicas.by_rate(run)
    if len(parts) > 1:
        results = comparison.results(parts)
        curves, training = (comparison.curves(parts, diagnostic) for diagnostic in (False, True))
    else:
        results = _final(run)
        curves, training = (
            _plots({m: s for m, s in run.series.items() if is_diagnostic(m) == diagnostic and m != "seconds"}, marks)
            for diagnostic in (False, True)
        )
    sections = {
        "Results": facts(run, len(parts) == 1) + _notes(run) + results,
        "Curves": curves,
        "Evaluation": _artifacts(run),
        "Training": stack(training, _phases(run)),
        "Configuration": _configuration(run.config),
        "Record": _record(run),
    }
    badge = '<span class="badge good">finished</span>' if run.finished else '<span class="badge bad">unfinished</span>'
    return document(f"{_system(run)} {badge}", _lead(run), sections, f"{run.name} · {_system(run, False)}")


def _lead(run: Run) -> str:
    """The name of the run, and the command that made it."""
    command = run.result.get("command")
    line = f"<pre>{escape(tables.text(command))}</pre>" if command else ""
    return f"<p>Run <code>{escape(run.name)}</code></p>{line}"


def facts(run: Run, alike: bool = True) -> str:
    """The figures that are looked for first, as cards; what was reached only where the replicas are `alike`."""
    cards = []
    best = _headline(run)
    if best and alike:
        split, metric, value = best
        mean, _, std = mean_std(value.mean, value.std).partition(" ± ")
        percent = described.percent(run.metric(metric), value.mean)
        pm = f' <span class="pm">± {std}</span>' if std else ""
        name = escape(f"{split} {words(metric)}{f' ({percent})' if percent else ''}")
        cards.append(f'<div class="card wide"><b>{mean}{pm}</b><span>{name}{_against(run)}</span></div>')
    result = run.result
    total = run.config.get("steps")
    steps = number(run.last_step) + (f" of {number(total)}" if isinstance(total, int) and total and not run.finished else "")
    shown = {
        "parameters": number(result["parameters"]) if isinstance(result.get("parameters"), int) else "",
        "steps": number(result["steps"]) if isinstance(result.get("steps"), int) else steps,
        "wall time": duration(run.seconds) if run.seconds else "",
        "replicas": escape(tables.text(run.replicas)) if run.replicas else "",
    }
    cards += [f'<div class="card"><b>{value}</b><span>{name}</span></div>' for name, value in shown.items() if value]
    return f'<div class="facts">{"".join(cards)}</div>'


def _headline(run: Run) -> tuple[str, str, Any] | None:
    """The metric of the reference, else the error or accuracy of the first split, else its first metric."""
    if run.reference and run.reference.metric in run.final.get(run.reference.split, {}):
        split, metric = run.reference.split, run.reference.metric
        return split, metric, run.final[split][metric]
    for split, metrics in run.final.items():
        for metric in ("error", "accuracy", *metrics):
            if metric in metrics:
                return split, metric, metrics[metric]
    return None


def _against(run: Run) -> str:
    return f", reference {number(run.reference.value)}: {verdict(run)}" if run.reference and verdict(run) else ""


def _final(run: Run) -> str:
    """All final numbers, the reference beside the one that it is about."""
    reference = run.reference
    several = any(len(s.values) > 1 for metrics in run.final.values() for s in metrics.values())
    header = ["Split", "Metric", "Mean ± std" if several else "Value"]
    header += (["Replicas"] if several else []) + (["Reference", "Verdict", "Source"] if reference else [])
    body = []
    for split, metrics in run.final.items():
        for metric, value in metrics.items():
            row = [escape(split), escape(words(metric)), f"<b>{mean_std(value.mean, value.std)}</b>"]
            if several:
                each = ", ".join(map(number, value.values)) if len(value.values) <= 10 else f"{len(value.values)} values"
                row.append(f'<span class="soft">{each}</span>')
            if reference:
                row += _verdict(run) if (split, metric) == (reference.split, reference.metric) else ["", "", ""]
            body.append(row)
    if reference and reference.reached is None:
        blank = [""] * several
        body.append([escape(reference.split), escape(words(reference.metric)), "not yet known", *blank, *_verdict(run)])
    return f'<div class="card">{tables.rows(header, body, right=(2,))}</div>' if body else ""


def _verdict(run: Run) -> list[str]:
    assert run.reference is not None
    return [number(run.reference.value), verdict(run, "badge "), escape(run.reference.source)]


def _notes(run: Run) -> str:
    notes = list(run.notes)
    if not run.finished:
        notes.insert(0, f"This run has not finished: the last line logged is of step {number(run.last_step)}.")
    return "".join(f'<div class="card note">{escape(note)}</div>' for note in notes)


def _plots(series: Mapping[str, Mapping[str, Series]], marks: Sequence[float]) -> str:
    """One plot for each metric, with all its splits."""
    figures = ""
    for name, parts in plots.grouped(series).items():
        lines = []
        one_split = len({split for splits in parts.values() for split in splits}) == 1
        for i, (part, splits) in enumerate(parts.items()):
            for split, values in splits.items():
                single = len(parts) == 1
                label = (part or split) if single or one_split else f"{part} ({split})"
                hue = SPLITS.get(split, colour(3 + i)) if single else colour(i)
                lines.append(plots.series_line(label, values, hue, dashed=not single and split == "train" and not one_split))
        log = False if name.endswith("_per_second") else None
        figures += plots.plot(lines, words(name), log=log, marks=marks)
    return f'<div class="plots">{figures}</div>' if figures else ""


def _artifacts(run: Run) -> str:
    blocks = ""
    for (split, name), artifact in run.artifacts.items():
        subtitle = "" if any(word in name for word in WEIGHTS) else split
        blocks += artifact_section(tables.title(name), subtitle, artifact)
    return f'<div class="blocks">{blocks}</div>' if blocks else ""


def _phase_list(run: Run) -> list[Mapping[str, Any]]:
    found = run.result.get("phases") or []
    return [phase for phase in found if isinstance(phase, Mapping) and isinstance(phase.get("steps"), int)]


def _phase_starts(run: Run) -> list[float]:
    """The steps at which the second and later phases begin."""
    total, starts = 0, []
    for phase in _phase_list(run)[:-1]:
        total += phase["steps"]
        starts.append(float(total))
    return starts


def _phases(run: Run) -> str:
    phases = _phase_list(run)
    if len(phases) < 2:
        return ""
    body = [
        [str(i), number(p["steps"]), escape(tables.text(p.get("objectives", ()))), escape(str(p.get("stream", "")))]
        for i, p in enumerate(phases, 1)
    ]
    table = tables.rows(["", "Steps", "Objectives", "Stream"], body, (1,))
    return f'<div class="card"><h3>Phases</h3>{table}</div>'


def _configuration(config: Mapping[str, Any]) -> str:
    """The flat configuration, a block for each section."""
    blocks: dict[str, dict[str, Any]] = {}
    for key, value in config.items():
        section, _, rest = key.partition(".")
        blocks.setdefault(section if rest else "", {})[key] = value
    body = "".join(f"<div>{tables.key_values(values)}</div>" for values in blocks.values())
    return f'<div class="card columns">{body}</div>' if body else ""


def _record(run: Run) -> str:
    """What identifies the run and what it ran on."""
    result = run.result
    left_out = ("config", "metrics", "reference", "phases", "described")
    values: dict[str, Any] = {"workdir": str(run.path)}
    for key, value in result.items():
        if key not in left_out:
            values[words(key)] = duration(value) if key == "wall_seconds" and isinstance(value, int | float) else value
    return f'<div class="card">{tables.key_values(values)}</div>'


def _system(run: Run, html: bool = True) -> str:
    model, data = run.config.get("model.name"), run.config.get("dataset.name")
    name = " on ".join(str(part) for part in (model, data) if part) or run.name
    return escape(name) if html else name
