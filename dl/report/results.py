"""The table of published and reached results, made from result files and from nothing else."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dl.errors import UserError

PAGE = "results.md"
FOLDER = "results"  # of the kept result files, beside the page
FLAGS_WITH_PATHS = {"workdir": "runs/{name}", "manual_dir": "archives", "data_dir": "data"}

INTRODUCTION = """# Results

Made by `python -m experiments.reproduce` from the files in [results/](results/), each the `result.json` of one run: nothing
here is written by hand. Reached: mean ± standard deviation over the replicas (seeds 0, 1, ...) at the last step; where a run
kept the checkpoint with the best validation value, the figure of that checkpoint follows in brackets. **Bold** reaches the
reference. Times are wall times of the training, of a machine that may have done other work beside it.
"""


def collect(runs: Sequence[Path], docs: Path) -> list[Path]:
    """Copies the `result.json` of each run to `docs/results/`, named after the run's folder, without paths of this machine.

    Raises:
        UserError: a run that is not finished.
    """
    kept = []
    for run in runs:
        try:
            result = json.loads((run / "result.json").read_text())
        except FileNotFoundError as error:
            raise UserError(f"{run} holds no result.json: the run is not finished.") from error
        target = docs / FOLDER / f"{run.name}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(portable(result, run.name), indent=1) + "\n")
        kept.append(target)
    return kept


def portable(result: dict[str, Any], name: str) -> dict[str, Any]:
    """A result whose command and paths can be used on any machine."""
    command = result["command"]
    for flag, value in FLAGS_WITH_PATHS.items():
        command = re.sub(rf"--{flag}(=|\s+)\S+", f"--{flag}={value.format(name=name)}", command)
    return {**result, "command": command, "config": _relative(result["config"])}


def _relative(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _relative(entry) for key, entry in value.items()}
    return Path(value).name if isinstance(value, str) and value.startswith("/") else value


def kept(docs: Path) -> dict[str, dict[str, Any]]:
    """The results in `docs/results/`, by name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted((docs / FOLDER).glob("*.json"))}


def page(docs: Path) -> str:
    """The page in Markdown."""
    results = kept(docs)
    cited = {name: r for name, r in results.items() if r["reference"]["metric"]}
    rows = [_row(name, r) for name, r in cited.items()]
    table = ["| run | measured | published | reached | replicas | parameters | time |", "|---|---|---|---|---|---|---|", *rows]
    others = [f"| {name} | {_numbers(r)} |" for name, r in results.items() if name not in cited]
    parts = [INTRODUCTION, "\n".join(table) + "\n"]
    if others:
        parts.append("## Without a published figure\n\n| run | reached |\n|---|---|\n" + "\n".join(others) + "\n")
    parts.append("## Commands\n\n" + "\n".join(_command(name, r) for name, r in results.items()))
    return "\n".join(parts)


def _row(name: str, result: dict[str, Any]) -> str:
    reference = result["reference"]
    split, _, metric = reference["metric"].partition("/")
    reached = result["metrics"][split][metric]
    sign = -1 if reference.get("mode", "min") == "max" else 1
    text = with_deviation(reached)
    text = f"**{text}**" if sign * reached["mean"] <= sign * reference["value"] else text
    text += f" ({with_deviation(result['best']['metrics'][split][metric])})" if result.get("best") else ""
    published = f"{reference['value']:g} ({reference['source']})"
    minutes = f"{result['wall_seconds'] / 60:.1f} min"
    cells = (name, reference["metric"], published, text, result["replicas"], f"{result['parameters']:,}", minutes)
    return "| " + " | ".join(map(str, cells)) + " |"


def with_deviation(statistics: dict[str, Any]) -> str:
    """Mean ± standard deviation; the number alone where there is one."""
    mean = f"{statistics['mean']:.4g}"
    return mean if len(statistics["values"]) == 1 else f"{mean} ± {statistics['std']:.2g}"


def _numbers(result: dict[str, Any]) -> str:
    return ", ".join(f"{s}/{m} {with_deviation(v)}" for s, metrics in result["metrics"].items() for m, v in metrics.items())


def _command(name: str, result: dict[str, Any]) -> str:
    devices, versions = result["devices"], result["versions"]
    commit = result["commit"][:12] + ("+changes" if result["commit"].endswith("+changes") else "")
    machine = f"{devices['count']} x {devices['kind']} ({devices['processor']})"
    return (
        f"**{name}**: jax {versions['jax']}, {machine}, commit {commit}, configuration "
        f"{result['config_hash'][:12]}, {result['steps']:,} steps\n\n    {result['command']}\n"
    )
