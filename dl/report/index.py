"""The index of the experiments: docs/experiments.md, made from the configs, kept results, and what was counted of each."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dl.metric import Metric
from dl.report import described
from dl.report.results import kept, with_deviation

PAGE = "experiments.md"
COUNTED = "experiments.json"  # beside the page: what takes long to find out, by the name of the config
INTRODUCTION = """# Experiments

Made by `python -m experiments.list --write` from [configs/](../configs), [results/](results/) and what
`experiments.explain` counts: nothing here is written by hand. `python -m experiments.list` prints it in short.

A name leads to the file of the experiment, on top of which its command stands: `experiments.train --config=configs/NAME.py`
with a `--workdir`, and `--manual_dir` where it needs files. A variant is `--config=configs/NAME.py:VARIANT`. Every config has
`smoke`, which takes seconds and needs no files. Parameters are those of the published setting. Reached: mean ± deviation over
the replicas, and the time of the training on a CPU; **bold** reaches the published figure. [Results](results.md) has all
metrics, with commits and commands.
"""


class Entry(NamedTuple):
    """An experiment.

    name: of its file. title: the first paragraph of the file. dataset: name. reference: `config.reference` as a dictionary.
    variants: name -> what it is. parameters: of the published setting. files: that the dataset is made of. places: where those
    are published.
    """

    name: str
    title: str
    dataset: str
    reference: Mapping[str, Any]
    variants: Mapping[str, str]
    parameters: int
    files: Sequence[str]
    places: Sequence[str]


class Reached(NamedTuple):
    """A kept result. `reference`: whether it is as good as the published figure; None where that cannot be said."""

    variant: str
    text: str
    reference: bool | None
    minutes: float


def counted(docs: Path) -> dict[str, dict[str, Any]]:
    """What is kept beside the page."""
    path = docs / COUNTED
    found: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}
    return found


def title(documentation: str) -> str:
    """The first paragraph of a docstring, in one line, without its full stop."""
    return " ".join(documentation.strip().partition("\n\n")[0].split()).removesuffix(".")


def reached(docs: Path) -> dict[str, list[Reached]]:
    """Config -> the kept results of its settings without further changes that measure what its reference names."""
    found: dict[str, list[Reached]] = {}
    for result in kept(docs).values():
        name, _, variant = config_of(result["command"]).partition(":")
        reference = result["reference"]
        split, _, metric = str(reference.get("metric") or "").partition("/")
        if not metric or metric not in result["metrics"].get(split, {}) or "," in reference.get("setting", ""):
            continue
        known, statistics = described.describe(metric, described.read(result)), result["metrics"][split][metric]
        good = described.reached(known, statistics["mean"], reference["value"])
        one = Reached(variant, _value(known, statistics), good, result["wall_seconds"] / 60)
        found.setdefault(name, []).append(one)
    return found


def _value(metric: Metric, statistics: Mapping[str, Any]) -> str:
    """`0.93 ± 0.07 %` of a fraction; otherwise as docs/results.md has it."""
    if not described.percent(metric, statistics["mean"]):
        return with_deviation(dict(statistics))
    deviation = f" ± {100 * statistics['std']:.2f}" if len(statistics["values"]) > 1 else ""
    return f"{100 * statistics['mean']:.2f}{deviation} %"


def config_of(command: str) -> str:
    """`NAME[:variant]` of the config in a command."""
    try:
        words = shlex.split(command)
    except ValueError:  # a quotation that does not end
        words = command.split()
    found = [word for word in words if word.startswith("--config=")]
    match = re.fullmatch(r"--config=(?:.*/)?(\w+)\.py(:\w+)?", found[-1]) if found else None
    return match[1] + (match[2] or "") if match else ""


def published(entry: Entry) -> str:
    """The published figure with its metric; empty where there is none."""
    reference = entry.reference
    if not reference.get("metric"):
        return ""
    split, _, metric = str(reference["metric"]).partition("/")
    value = float(reference["value"])
    known = described.describe(metric, {})
    return f"{metric} {described.percent(known, value) or f'{value:g}'} ({split})"


def page(entries: Sequence[Entry], docs: Path) -> str:
    """The page in Markdown."""
    results = reached(docs)
    head = "| experiment | what was claimed | data | parameters | variants | published | reached, time |"
    rows = [_row(entry, results.get(entry.name, [])) for entry in entries]
    data = {entry.dataset: entry for entry in entries}
    lines = [_data(entry) for _, entry in sorted(data.items())]
    return "\n".join(
        [
            INTRODUCTION,
            head,
            "|---|---|---|---|---|---|---|",
            *rows,
            "\n## Data\n",
            "The files that a dataset is made of lie in a folder of `--manual_dir`; their SHA-256 sums are checked.",
            "[Data](data.md) tells of other ways to have them.\n",
            "| dataset | files | published at |",
            "|---|---|---|",
            *lines,
            "",
        ]
    )


def _row(entry: Entry, results: Sequence[Reached]) -> str:
    found = [
        f"{one.variant or 'published'}: " + (f"**{one.text}**" if one.reference else one.text) + f", {one.minutes:.3g} min"
        for one in sorted(results)
    ]
    variants = ", ".join(f"`{name}`" for name in entry.variants)
    cells = (
        f"[{entry.name}](../configs/{entry.name}.py)",
        _escaped(entry.title),
        f"[{entry.dataset}](#data)",
        f"{entry.parameters:,}",
        variants,
        published(entry),
        "; ".join(found),
    )
    return "| " + " | ".join(cells) + " |"


def _data(entry: Entry) -> str:
    files = ", ".join(f"`{file}`" for file in entry.files) or "none: it comes with the installation, or is made"
    return f"| {entry.dataset} | {files} | {', '.join(f'<{place}>' for place in entry.places)} |"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")
