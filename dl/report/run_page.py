"""The page of one run: a single HTML file that needs nothing beside itself."""

import ast
import os
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from dl import provenance
from dl.report import comparison, described, plots, replicas, tables
from dl.report.axis import mean_std, number
from dl.report.index import config_of, title
from dl.report.page import artifact_section, document, duration, save, stack, verdict, words
from dl.report.run import Run, Series, Summary, is_diagnostic, read
from dl.report.style import SPLITS, colour

WEIGHTS = ("filters", "weights")  # words in the names of artifacts that show no split
# What a run makes stands before its curves: artifacts of these names, or whose names begin so.
MADE = ("samples", "sample", "result", "interpolation", "generated", "translations", "painting", "captions", "texts")


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
            _plots({m: s for m, s in drawn(run).items() if is_diagnostic(m) == diagnostic}, marks, _x_title(run))
            for diagnostic in (False, True)
        )
    sections = {
        "Results": facts(run, len(parts) == 1) + _notes(run) + results,
        "Made": _artifacts(run, made=True),
        "Curves": curves,
        "Evaluation": _artifacts(run, made=False),
        "Training": stack(training, _phases(run)),
        "Configuration": _configuration(run.config),
        "Record": _record(run),
    }
    badge = '<span class="badge good">finished</span>' if run.finished else '<span class="badge bad">unfinished</span>'
    heading, claim = titles(run)
    return document(f"{escape(heading)} {badge}", _lead(run, claim), sections, f"{run.name} · {heading}")


def titles(run: Run) -> tuple[str, str]:
    """What the run is, and what was claimed of it: the first sentence of its config, where that is still there.

    A claim stands behind a colon or in brackets; without a config, it is model and data.
    """
    path = provenance.ROOT / "configs" / f"{config_of(str(run.result.get('command') or '')).partition(':')[0]}.py"
    try:
        claim = title(ast.get_docstring(ast.parse(path.read_text())) or "")
    except (OSError, SyntaxError, ValueError):
        claim = ""
    heading = re.split(r": | \(", claim, maxsplit=1)[0]
    return (heading, claim) if heading else (_system(run), "")


def _lead(run: Run, claim: str) -> str:
    """What was claimed, the name of the run, and the command that made it."""
    command = run.result.get("command")
    line = f"<pre>{escape(tables.text(command))}</pre>" if command else ""
    said = f"<p>{escape(claim)}.</p>" if claim else ""
    return f"{said}<p>Run <code>{escape(run.name)}</code>: {escape(_system(run))}</p>{line}"


def drawn(run: Run) -> dict[str, dict[str, Series]]:
    """The metrics that are drawn: without time, without the point of the speed that is compilation, and nothing twice.

    An objective that is what the loss is, in every value, is left out.
    """
    series = {name: splits for name, splits in run.series.items() if name != "seconds"}
    speed = series.get("examples_per_second", {})
    later = {split: Series(*(part[1:] for part in found)) for split, found in speed.items() if len(found.steps) > 2}
    if speed:
        series["examples_per_second"] = {**speed, **later}
    loss = series.get("loss", {}).get("train")
    for name in [name for name in series if name.startswith("objective/")]:
        twin = series[name].get("train")
        if loss is not None and twin is not None and np.array_equal(loss.values, twin.values):
            del series[name]
    return series


def _x_title(run: Run) -> str:
    """What the x axis counts, with how many steps an epoch has, where the run is of so many epochs."""
    epochs, steps = run.config.get("epochs"), run.result.get("steps")
    if isinstance(epochs, int | float) and epochs and isinstance(steps, int) and not run.config.get("early_stopping.metric"):
        return f"step ({steps / epochs:,.4g} are an epoch)"
    return "step"


def facts(run: Run, alike: bool = True) -> str:
    """The figures that are looked for first, as cards; what was reached only where the replicas are `alike`."""
    cards = []
    best = headline(run)
    if best and alike:
        split, metric, value = best
        known = run.metric(metric)
        mean, _, std = mean_std(value.mean, value.std).partition(" ± ")
        if percent := described.percent(known, value.mean):
            mean, std = percent, f"{100 * value.std:.2f}" if std else ""
        pm = f' <span class="pm">± {std}</span>' if std else ""
        against = _against(run) if run.reference and (split, metric) == (run.reference.split, run.reference.metric) else ""
        name = escape(f"{split} {words(metric)}")
        cards.append(f'<div class="card wide"><b>{mean}{pm}{escape(known.unit)}</b><span>{name}{against}</span></div>')
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


def headline(run: Run) -> tuple[str, str, Any] | None:
    """The metric that the experiment is about.

    That is the one of its reference, or that its config names although the reference is of other data; or by which the best
    checkpoint is chosen; else an error or accuracy; else the first of its task's metrics that has a better and a worse.
    """
    named = [run.config.get(key) for key in ("reference.metric", "best.metric")]
    wanted = [(run.reference.split, run.reference.metric)] if run.reference else []
    wanted += [(name.partition("/")[0], name.partition("/")[2]) for name in named if isinstance(name, str) and name]
    for split, metric in wanted:
        if metric in run.final.get(split, {}):
            return split, metric, run.final[split][metric]
    for split, metrics in run.final.items():
        better = [name for name in run.described or metrics if name in metrics and run.metric(name).better]
        for metric in ("error", "accuracy", *better, *metrics):
            if metric in metrics:
                return split, metric, metrics[metric]
    return None


def _against(run: Run) -> str:
    if not run.reference:
        return ""
    value = described.percent(run.reference.known, run.reference.value) or number(run.reference.value)
    return f", reference {value}" + (f": {verdict(run)}" if verdict(run) else "")


def _final(run: Run) -> str:
    """All final numbers, a row for each metric, and the reference beside the one that it is about."""
    reference, splits = run.reference, dict(run.final)
    if reference:
        splits.setdefault(reference.split, {})
    metrics = list(dict.fromkeys(name for found in splits.values() for name in found))
    header = ["Metric", *map(escape, splits)] + (["Reference", "Verdict", "Source"] if reference else [])
    body = []
    for metric in metrics:
        row = [escape(words(metric)), *(_value(found.get(metric)) for found in splits.values())]
        if reference:
            about = metric == reference.metric and metric in splits.get(reference.split, {})
            row += _verdict(run) if about else ["", "", ""]
        body.append(row)
    if reference and reference.reached is None:
        unknown = ["not yet known" if split == reference.split else "" for split in splits]
        body.append([escape(f"{reference.split} {words(reference.metric)}"), *unknown, *_verdict(run)])
    numbers = tuple(range(1, 1 + len(splits)))
    return f'<div class="card">{tables.rows(header, body, right=numbers)}</div>' if body else ""


def _value(found: Summary | None) -> str:
    """A final number; of several replicas, each of them below."""
    if found is None:
        return ""
    text = f"<b>{mean_std(found.mean, found.std)}</b>"
    if len(found.values) < 2:
        return text
    each = ", ".join(map(number, found.values)) if len(found.values) <= 10 else f"{len(found.values)} values"
    return f'{text}<br><span class="soft">{each}</span>'


def _verdict(run: Run) -> list[str]:
    assert run.reference is not None
    return [number(run.reference.value), verdict(run, "badge "), escape(run.reference.source)]


def _notes(run: Run) -> str:
    notes = list(run.notes)
    if not run.finished:
        notes.insert(0, f"This run has not finished: the last line logged is of step {number(run.last_step)}.")
    return "".join(f'<div class="card note">{escape(note)}</div>' for note in notes)


def _plots(series: Mapping[str, Mapping[str, Series]], marks: Sequence[float], x_title: str = "step") -> str:
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
        figures += plots.plot(lines, words(name), x_title, log=log, marks=marks, switch=True)
    return f'<div class="plots">{figures}</div>' if figures else ""


def _artifacts(run: Run, made: bool) -> str:
    """What the run made, or else what an evaluation shows."""
    blocks = ""
    for (split, name), artifact in run.artifacts.items():
        if name.lower().startswith(MADE) != made:
            continue
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


def _system(run: Run) -> str:
    model, data = run.config.get("model.name"), run.config.get("dataset.name")
    return " on ".join(str(part) for part in (model, data) if part and part != "nothing") or run.name
