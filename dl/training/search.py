"""Searching for settings: which are tried next is optuna's choice, and what was tried stays in the folder of the search.

A space is written as a grid is (`dl.training.sweep`), with ranges in the place of values: `log(1e-4,1e-1)`, `uniform(0,0.5)`,
`int(16,256)`, `logint(16,1024)`. Several values are a choice. `seed=0,1,2` is not searched: every trial has these seeds, and
its value is their mean.

Seeds, and the learning rates of trials that share all other settings, are replicas of one program. Such trials are asked for
together, so that none of them knows what the others reached.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from dl.errors import UserError
from dl.training import sweep
from dl.training.sweep import Grid, Group

PROGRAM = "program"  # the attribute of a trial that says in which folder it runs
STORAGE = "study.jsonl"  # optuna's journal, in the folder of the search
SEARCHES = ("random", "tpe")  # Bergstra & Bengio 2012; Bergstra, Bardenet, Bengio & Kegl 2011
_RANGE = re.compile(r"(log|uniform|int|logint)\(([^,()]+),([^,()]+)\)")


class Range(NamedTuple):
    """Numbers from `low` to `high`, both included; `log`: uniform in the logarithm; `whole`: whole numbers."""

    low: float
    high: float
    log: bool
    whole: bool

    def ends(self) -> tuple[Any, Any]:
        """The least and the largest value."""
        return (int(self.low), int(self.high)) if self.whole else (self.low, self.high)


Space = dict[str, Range | tuple[Any, ...]]


class Trials(NamedTuple):
    """Trials of one program: trial i has the rate `group.rates[i]`, with all seeds. `numbers` are optuna's."""

    numbers: tuple[int, ...]
    group: Group

    @property
    def folder(self) -> str:
        """Of the program."""
        first, last = self.numbers[0], self.numbers[-1]
        return f"trial={first}" if first == last else f"trial={first}-{last}"

    def values(self, line: Mapping[str, Any], name: str) -> list[float] | None:
        """The mean over the seeds of each trial, in a line of `metrics.jsonl`; None where the line lacks the metric."""
        if name not in line:
            return None
        numbers, seeds = line[name]["values"], len(self.group.seeds)
        return [sum(numbers[i : i + seeds]) / seeds for i in range(0, len(numbers), seeds)]


def parse(text: str, config: ConfigDict) -> tuple[Space, tuple[int, ...]]:
    """The space, and the seeds of every trial: those of the text, or else those of the configuration's replicas.

    Raises:
        UserError: a part that is none, or a range that is empty.
    """
    grid = sweep.parse(text)
    given = grid.pop("seed", tuple(range(config.seed, config.seed + config.replicas)))
    if any(not isinstance(seed, int) for seed in given) or given != tuple(range(given[0], given[0] + len(given))):
        raise UserError(f"the seeds of a search follow each other, as in seed=0,1,2; not {given}.")
    space: Space = {}
    for key, values in grid.items():
        found = _range(key, values[0]) if len(values) == 1 and isinstance(values[0], str) else None
        space[key] = found or values
    if not any(isinstance(values, Range) or len(values) > 1 for values in space.values()):
        raise UserError(
            "there is nothing to search: give ranges or several values, as in 'optimizer.learning_rate=log(1e-4,1)'."
        )
    return space, given


def _range(key: str, text: str) -> Range | None:
    match = _RANGE.fullmatch(text.replace(" ", ""))
    if not match:
        return None
    try:
        low, high = float(match[2]), float(match[3])
    except ValueError as error:
        raise UserError(f"{key}={text}: a range has two numbers.") from error
    found = Range(low, high, match[1].startswith("log"), match[1].endswith("int"))
    if not low < high or (found.log and low <= 0):
        raise UserError(f"{key}={text}: the first number must be below the second one, and above 0 where it is logarithmic.")
    return found


def as_grid(space: Space) -> Grid:
    """The ends of the ranges, and the choices: what `sweep.check` can check."""
    return {key: values.ends() if isinstance(values, Range) else values for key, values in space.items()}


def study(folder: Path, better: str, kind: str, prune: bool, seed: int) -> Any:
    """The study of optuna in a folder: a new one, or that which is there with all its trials.

    Args:
        folder: of the search.
        better: "lower" or "higher".
        kind: one of `SEARCHES`.
        prune: whether trials end early whose value at an evaluation is worse than the median of those before it there.
        seed: of what is drawn; what is drawn next depends on how many trials there are too.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    direction: Any = {"lower": "minimize", "higher": "maximize"}[better]
    storage = JournalStorage(JournalFileBackend(str(folder / STORAGE)))
    found = optuna.create_study(storage=storage, study_name="search", direction=direction, load_if_exists=True)
    drawn = seed + len(found.trials)
    found.sampler = optuna.samplers.RandomSampler(drawn) if kind == "random" else optuna.samplers.TPESampler(seed=drawn)
    found.pruner = optuna.pruners.MedianPruner(n_startup_trials=4) if prune else optuna.pruners.NopPruner()
    if found.direction.name.lower() != direction:
        raise UserError(f"{folder} holds a search in which {found.direction.name.lower()[:-1]}ed was another metric.")
    return found


def begun(found: Any, space: Space, seeds: tuple[int, ...]) -> list[Trials]:
    """The programs of trials that were begun and have not ended: the sweep was stopped in them.

    Trials of which a stop came before their settings were complete are given up.
    """
    import optuna

    running = found.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
    for trial in running:
        if PROGRAM not in trial.user_attrs:
            found.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    return together([trial for trial in running if PROGRAM in trial.user_attrs], space, seeds)


def together(trials: Sequence[Any], space: Space, seeds: tuple[int, ...]) -> list[Trials]:
    """The programs of optuna's trials, as they were asked for."""
    programs: dict[str, list[Any]] = {}
    for trial in sorted(trials, key=lambda trial: trial.number):
        programs.setdefault(trial.user_attrs.get(PROGRAM, str(trial.number)), []).append(trial)
    return [_together([(t.number, settings_of(t, space)) for t in several], seeds) for several in programs.values()]


def ask(found: Any, space: Space, seeds: tuple[int, ...], count: int) -> Trials:
    """The next trials, at most `count`: one, or several that differ in their learning rates alone."""

    def suggest(trial: Any) -> Any:
        for key, values in space.items():
            if not isinstance(values, Range):
                trial.suggest_categorical(key, [repr(value) for value in values])
            elif values.whole:
                trial.suggest_int(key, int(values.low), int(values.high), log=values.log)
            else:
                trial.suggest_float(key, values.low, values.high, log=values.log)
        return trial

    first = found.ask()
    made = [suggest(first)]
    if any(sweep.is_rate(key) and isinstance(values, Range) for key, values in space.items()):
        shared = {key: value for key, value in first.params.items() if not sweep.is_rate(key)}
        for _ in range(count - 1):
            found.enqueue_trial(shared)
            made.append(suggest(found.ask()))
    trials = _together([(trial.number, settings_of(trial, space)) for trial in made], seeds)
    for trial in made:
        trial.set_user_attr(PROGRAM, trials.folder)
    return trials


def _together(made: Sequence[tuple[int, dict[str, Any]]], seeds: tuple[int, ...]) -> Trials:
    settings = {key: value for key, value in made[0][1].items() if not sweep.is_rate(key)}
    rates = tuple({key: value for key, value in one.items() if sweep.is_rate(key)} for _, one in made)
    return Trials(tuple(number for number, _ in made), Group(settings, rates, seeds))


def settings_of(trial: Any, space: Space) -> dict[str, Any]:
    """The settings of one of optuna's trials, choices as the values that their texts stand for."""
    chosen: dict[str, Any] = {}
    for key, values in space.items():
        if key in trial.params:
            choices = {} if isinstance(values, Range) else {repr(value): value for value in values}
            chosen[key] = choices.get(trial.params[key], trial.params[key])
    return chosen


def pruning(found: Any, trials: Trials, metric: str) -> Callable[[Sequence[Mapping[str, Any]]], bool]:
    """A function that tells optuna what the lines of `metrics.jsonl` say, and whether all of the trials can end."""
    split, _, name = metric.partition("/")
    handles = [_handle(found, number) for number in trials.numbers]

    def prune(lines: Sequence[Mapping[str, Any]]) -> bool:
        told = False
        for line in lines:
            values = trials.values(line, name) if line["split"] == split else None
            for handle, value in zip(handles, values or (), strict=False):
                told = True
                if line["step"] not in handle.storage.get_trial(handle._trial_id).intermediate_values:
                    handle.report(value, line["step"])
        return told and all(handle.should_prune() for handle in handles)

    return prune


def _handle(found: Any, number: int) -> Any:
    """The trial of a number as one that can be reported to."""
    import optuna

    (frozen,) = [trial for trial in found.get_trials(deepcopy=False) if trial.number == number]
    return optuna.trial.Trial(found, frozen._trial_id)


def tell(found: Any, trials: Trials, values: Sequence[float] | None, pruned: bool) -> None:
    """Ends trials: with their values, as pruned ones, or, without values, as failed."""
    import optuna

    for i, number in enumerate(trials.numbers):
        if values is None:
            found.tell(number, state=optuna.trial.TrialState.FAIL)
        elif pruned:
            found.tell(number, state=optuna.trial.TrialState.PRUNED)
        else:
            found.tell(number, values[i])


def ended(found: Any) -> int:
    """How many trials there are, without those that only wait."""
    import optuna

    return sum(trial.state != optuna.trial.TrialState.WAITING for trial in found.get_trials(deepcopy=False))
