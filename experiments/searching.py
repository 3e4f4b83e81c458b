"""The part of `experiments.sweep` that searches: `--search=random|tpe --trials=N`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dl.errors import UserError
from dl.signals import EXIT_CODES
from experiments import sweep as programs

if TYPE_CHECKING:
    from dl.training.search import Space, Trials


def run(
    config: Any,
    text: str,
    workdir: Path,
    kind: str,
    count: int,
    metric: str = "",
    rates: int = 4,
    prune: bool = True,
    data_dir: str | None = None,
    manual_dir: str | None = None,
) -> str:
    """Tries settings until there are `count` trials, the best of which it prints; what an earlier start tried counts.

    Args:
        config: the configuration that the search changes.
        text: the space (`dl.training.search`).
        workdir: folder of the search; each program has a folder in it.
        kind: of `dl.training.search.SEARCHES`.
        count: of trials in all.
        metric: "split/name" that is searched by; by default `config.best.metric`, or that of the reference.
        rates: learning rates that are tried in one program, at most.
        prune: whether to end trials early that are worse than the median.
        data_dir: folder of prepared datasets.
        manual_dir: folder of archives.

    Returns:
        As `experiments.sweep.run`.

    Raises:
        UserError: a mistake in the space or the metric, or a folder that cannot be written or holds another search.
    """
    from dl.training import search, sweep
    from dl.training.assembly import assemble, metric_of

    space, seeds = search.parse(text, config)
    given = {key: values for key, values in sweep.parse(text).items() if key == "seed"}
    for sentence in sweep.check(config, {**search.as_grid(space), **given}):
        print(f"note: {sentence}")
    metric = metric or config.best.metric or config.reference.metric
    if not metric:
        raise UserError("by which metric? Give --metric, such as --metric=validation/error.")
    if config.best.metric or config.early_stopping.metric:
        rates = 1  # what is decided by the mean over the replicas is decided for each trial alone
    better = metric_of(assemble(config, data_dir, manual_dir), metric, "--metric").better
    with sweep.alone(workdir):
        _check_same(workdir, {"space": text, "metric": metric, "search": kind})
        found = search.study(workdir, better, kind, prune, config.seed)
        waiting, statuses = search.begun(found, space, seeds), [programs.FINISHED]
        while programs.worst(statuses) not in EXIT_CODES and (waiting or search.ended(found) < count):
            left = count - search.ended(found)
            trials = waiting.pop(0) if waiting else search.ask(found, space, seeds, min(rates, left))
            print(f"[{max(trials.numbers) + 1}/{count}] {_said(trials)}", flush=True)
            statuses.append(_try(config, found, trials, workdir / trials.folder, metric, (data_dir, manual_dir)))
        _tabulate(found, space, seeds, workdir, better)
    return programs.worst([status for status in statuses if status != programs.FAILURE])


def _check_same(workdir: Path, asked: dict[str, str]) -> None:
    """Raises UserError where the folder holds a search of something else."""
    from dl.files import read_json
    from dl.training.json_files import write_json

    path = workdir / "search.json"
    if path.exists() and (before := read_json(path, dict)) != asked:
        changed = [f"{key}: {before.get(key)} -> {asked[key]}" for key in asked if before.get(key) != asked[key]]
        raise UserError(f"{workdir} holds another search ({'; '.join(changed)}): give another --workdir.")
    write_json(path, asked)


def _said(trials: "Trials") -> str:
    from dl.training import sweep

    keys = dict.fromkeys((*trials.group.settings, *trials.group.rates[0]))
    each = [sweep.label({**trials.group.settings, **rate}, dict.fromkeys(keys, ())) for rate in trials.group.rates]
    return "; ".join(each)


def _try(config: Any, found: Any, trials: "Trials", folder: Path, metric: str, where: tuple[str | None, str | None]) -> str:
    """Trains the program of trials, or goes on with it, and tells optuna what they reached; where it fails, each alone."""
    from dl.files import read_json
    from dl.training import search, sweep

    one = sweep.configure(config, trials.group)
    if not (folder / "result.json").exists():
        status = programs.train(one, folder, *where, prune=search.pruning(found, trials, metric))
        if status == programs.FAILURE and len(trials.numbers) > 1:
            parts = zip(trials.numbers, trials.group.rates, strict=True)
            alone = [search.Trials((number,), trials.group._replace(rates=(rate,))) for number, rate in parts]
            return programs.worst([_try(config, found, part, folder.parent / part.folder, metric, where) for part in alone])
        if status == programs.FAILURE:
            search.tell(found, trials, None, pruned=False)
        if status != programs.FINISHED:
            return status
    result = read_json(folder / "result.json", dict)
    split, _, name = metric.partition("/")
    values = trials.values(result["metrics"].get(split, {}), name)
    search.tell(found, trials, values, pruned=result["steps"] < sum(phase["steps"] for phase in result["phases"]))
    return programs.FINISHED


def _tabulate(found: Any, space: "Space", seeds: tuple[int, ...], workdir: Path, better: str) -> None:
    """Writes and prints the table, the best first, with the flags that set it."""
    from dl.report import console
    from dl.report import sweep as results
    from dl.training import search, sweep

    done = [trial for trial in found.get_trials(deepcopy=False) if trial.params]
    ranked = sorted(done, key=lambda t: (t.value is None, (t.value or 0) if better == "lower" else -(t.value or 0), t.number))
    places = {number: (trials, i) for trials in search.together(done, space, seeds) for i, number in enumerate(trials.numbers)}
    points = []
    for trial in ranked:
        trials, i = places[trial.number]
        folder = workdir / trials.folder
        if not (folder / "result.json").exists() and (workdir / f"trial={trial.number}").exists():
            folder, i = workdir / f"trial={trial.number}", 0
        status = "finished" if (folder / "result.json").exists() else "failed" if trial.state.name == "FAIL" else "not run"
        settings = {"trial": trial.number, **search.settings_of(trial, space)}
        points.append(results.Point(settings, seeds, folder, i * len(seeds), status, ""))
    table = results.rows(points)
    names = {"trial": "trial", **sweep.short_names(search.as_grid(space))}
    page = results.write(workdir, table, names)
    header, lines = results.cells(table, names)
    console.show(console.Columns("Trials, the best first; a pruned one at the step where it ended", header, lines))
    if ranked and ranked[0].value is not None:
        best = search.settings_of(ranked[0], space)
        flags = " ".join(
            f"--config.{key}={value!r}" if isinstance(value, str | tuple) else f"--config.{key}={value}"
            for key, value in best.items()
        )
        print(f"best: {ranked[0].value:.6g} by {flags}")
        (workdir / "best.json").write_text(json.dumps({"value": ranked[0].value, "settings": best}, indent=2) + "\n")
    print(f"table: {workdir / 'table.md'}" + (f"\nreport: {page}" if page else ""))
