"""The table of published and reached results, made from result files and from nothing else."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from dl import provenance
from dl.config import UNHASHED, config_hash, differences, flatten
from dl.errors import UserError
from dl.files import read_json
from dl.report import described

PAGE = "results.md"
FOLDER = "results"  # of the kept result files, beside the page
NEEDED = ("command", "commit", "config", "config_hash", "metrics", "steps", "replicas", "parameters", "wall_seconds")
FLAGS_WITH_PATHS = {"workdir": "runs/{name}", "manual_dir": "archives", "data_dir": "data"}

INTRODUCTION = """# Results

Made by `python -m experiments.reproduce` from the files in [results/](results/), each the `result.json` of one run: nothing
here is written by hand. Setting: "published", or the variant and the settings that differ from the published one. Reached: mean
± standard deviation over the replicas (seeds 0, 1, ...) at the last step; where a run kept the checkpoint with the best
validation value, the figure of that checkpoint follows in brackets. **Bold** reaches the reference. Times are wall times of the
training, of a machine that may have done other work beside it.
"""


def collect(runs: Sequence[Path], docs: Path, root: Path = provenance.ROOT) -> list[Path]:
    """Copies the `result.json` of each run to `docs/results/`, named after the run's folder, without paths of this machine.

    Args:
        runs: workdirs of finished runs.
        docs: the folder of the page.
        root: folder of the repository whose history the runs' commits must be in.

    Raises:
        UserError: a run that is not finished, or that nobody could repeat by its command: it was made with several
            configurations, with changes that were not committed, or from a commit that is not in the history. Nothing is
            then copied.
    """
    found = {run: _read(run) for run in runs}
    for run, result in found.items():
        parts = result.get("history") or [result]
        if len({part["config_hash"] for part in parts}) > 1:
            raise UserError(f"{run} was made with several configurations (its history.json): train it again in another folder.")
        for part in parts:
            if wrong := provenance.problem(part["commit"], root):
                raise UserError(f"{run} can't be kept: {wrong}. Commit, then train it again in another folder.")
    kept = []
    for run, result in found.items():
        target = docs / FOLDER / f"{run.name}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(portable(result, run.name), indent=1) + "\n")
        kept.append(target)
    return kept


def _read(run: Path) -> dict[str, Any]:
    if not (run / "result.json").exists():
        raise UserError(f"{run} holds no result.json: the run is not finished.")
    result = read_json(run / "result.json", dict)
    missing = [key for key in NEEDED if key not in result]
    if missing:
        raise UserError(f"{run / 'result.json'} is damaged: it has no {', '.join(missing)}.")
    return result


def problems(result: dict[str, Any], given: ConfigDict, root: Path = provenance.ROOT) -> list[str]:
    """What of a kept result does not hold any more, a line each.

    Args:
        result: as it is kept.
        given: the configuration that its command gives now.
        root: folder of the repository.
    """
    wrong = provenance.problem(result["commit"], root)
    found = [wrong] if wrong else []
    if result["config_hash"] != config_hash(ConfigDict(result["config"])):
        found.append("its hash is not that of the configuration beside it")
    if result["config_hash"] != config_hash(given):
        changed = differences(flatten(ConfigDict(result["config"])), flatten(given))
        changed = [line for line in changed if not line.startswith(UNHASHED)]
        found.append(f"its command now gives another configuration ({'; '.join(changed)})")
    return found


def portable(result: dict[str, Any], name: str) -> dict[str, Any]:
    """A result whose command and paths can be used on any machine."""
    command = result["command"]
    for flag, value in FLAGS_WITH_PATHS.items():
        command = re.sub(rf"--{flag}(=|\s+)\S+", f"--{flag}={value.format(name=name)}", command)
    config = _relative(result["config"])
    others = {key: value for key, value in result.items() if key != "history"}  # of one part: commit, command and hash
    return {**others, "command": command, "config": config, "config_hash": config_hash(ConfigDict(config))}


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
    cited = {name: r for name, r in results.items() if r["reference"].get("metric")}
    rows = [_row(name, r) for name, r in cited.items()]
    header = "| run | setting | measured | published | reached | replicas | parameters | time |"
    table = [header, "|---|---|---|---|---|---|---|---|", *rows]
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
    known = described.describe(metric, described.read(result))
    text = with_deviation(reached)
    text = f"**{text}**" if described.reached(known, reached["mean"], reference["value"]) else text
    text += f" ({with_deviation(result['best']['metrics'][split][metric])})" if result.get("best") else ""
    published = f"{reference['value']:g} ({reference['source']})"
    minutes = f"{result['wall_seconds'] / 60:.1f} min"
    setting, data = reference.get("setting", ""), reference.get("dataset", "").partition(" ")[0]
    measured = f"{reference['metric']} of {data}" if data else reference["metric"]
    cells = (name, setting, measured, published, text, result["replicas"], f"{result['parameters']:,}", minutes)
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
