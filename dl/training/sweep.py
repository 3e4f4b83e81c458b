"""A grid of settings as groups of runs: what can differ between replicas of one program goes into one group.

Replicas of one program differ in their seeds (`config.replicas`) and their learning rates (a tuple in place of the rate, see
`dl.config.variants`); whatever else differs may change shapes, or the data, and is a group of its own.
"""

import ast
import fcntl
import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from dl.config import flatten
from dl.errors import Busy, UserError, unknown
from dl.training import settings

Grid = dict[str, tuple[Any, ...]]  # key of the configuration -> its values

NO_KEYS = {
    "replicas": "list the seeds, as in --grid='seed=0,1,2'",
    "deterministic": "it is one for all that a process computes, --config.deterministic",
}
_OPENING, _CLOSING = "([{", ")]}"


class Group(NamedTuple):
    """Runs of one program: every rate of `rates` with every seed of `seeds`, in this order.

    settings: key -> value, those that all of them share.
    rates: key -> learning rate; one empty dictionary where the grid has none.
    seeds: consecutive.
    """

    settings: dict[str, Any]
    rates: tuple[dict[str, Any], ...]
    seeds: tuple[int, ...]


def parse(text: str) -> Grid:
    """`"optimizer.learning_rate=0.01,0.1;seed=0,1"` -> key -> values. A value is a Python literal, or else a string.

    Raises:
        UserError: a part is not of the form KEY=VALUE,VALUE,..., or a key or value is there twice.
    """
    form = "write --grid='KEY=VALUE,VALUE,...;KEY=VALUE,...'"
    grid: Grid = {}
    for part in _split(text, ";"):
        key, equals, values = (piece.strip() for piece in part.partition("="))
        items = _split(values, ",")
        if not key or not equals or not all(items):
            raise UserError(f"the grid has the part {part.strip()!r}, which is not a key with its values: {form}.")
        if key in grid:
            raise UserError(f"the grid has the key {key!r} twice: {form}.")
        read = [_literal(item) for item in items]
        if len({repr(value) for value in read}) < len(read):
            raise UserError(f"the grid gives {key!r} the same value twice: {values}.")
        grid[key] = tuple(read)
    return grid


def _split(text: str, separator: str) -> list[str]:
    """`text` at the separators that are in no bracket and no quotes; the pieces stripped."""
    pieces, depth, quote = [""], 0, ""
    for c in text:
        if quote:
            quote = "" if c == quote else quote
        elif c in "'\"":
            quote = c
        else:
            depth += (c in _OPENING) - (c in _CLOSING)
        if c == separator and not depth and not quote:
            pieces.append("")
        else:
            pieces[-1] += c
    return [piece.strip() for piece in pieces]


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def check(config: ConfigDict, grid: Grid) -> list[str]:
    """Checks that the grid's keys are the configuration's, or those of the names in the grid, and its values of the right type.

    Returns:
        What the names in the grid make of the settings that the config has for others, a sentence each.

    Raises:
        UserError: one is not.
    """
    for key, why in NO_KEYS.items():
        if key in grid:
            raise UserError(f"{key} is no key for the grid: {why}.")
    names = [key for key in grid if settings.is_name(key)]
    said: dict[str, None] = {}
    for chosen in _product(grid, names):
        one = config.copy_and_resolve_references()
        others = {key: values[0] for key, values in grid.items() if key not in chosen}
        said |= dict.fromkeys(_prepare(one, {**chosen, **others}))
        known = flatten(one)
        for key, values in grid.items():
            if key not in known:
                raise unknown("key of the configuration in --grid", key, known)
            for value in values if key not in chosen else (chosen[key],):
                settings.assign(one.copy_and_resolve_references(), {key: value}, "--grid")
    if "seed" in grid and config.replicas > 1:
        raise UserError("give the seeds in --grid or --config.replicas, not both.")
    if any(seed < 0 for seed in grid.get("seed", ())):
        raise UserError("seeds must not be negative.")
    return list(said)


def _prepare(config: ConfigDict, values: Mapping[str, Any]) -> list[str]:
    """Makes room for these keys, as for flags; see `dl.training.settings.prepare`."""
    try:
        return settings.prepare(config, {key: str(value) for key, value in values.items()})
    except UserError as error:
        names = ", ".join(f"{key}={value}" for key, value in values.items() if settings.is_name(key))
        raise UserError(f"--grid{' with ' * bool(names)}{names}: {error}") from error


def groups(config: ConfigDict, grid: Grid, limit: int) -> list[Group]:
    """The groups of the whole grid, at most `limit` replicas each.

    Learning rates are not put into one program where something is decided by the mean over the replicas: early stopping, or
    which checkpoint is the best.
    """
    seeds = grid.get("seed") or range(config.seed, config.seed + config.replicas)
    rate_keys = [key for key in grid if is_rate(key)]
    others = [key for key in grid if key not in rate_keys and key != "seed"]
    rates = list(_product(grid, rate_keys))
    made = []
    for shared in _product(grid, others):
        one = configure(config, Group(shared, ({},), (0,)))
        apart = bool(one.early_stopping.metric or one.best.metric)
        for run in _consecutive(sorted(seeds), limit):
            size = 1 if apart else max(limit // len(run), 1)
            made += [Group(shared, tuple(rates[i : i + size]), run) for i in range(0, len(rates), size)]
    return made


def is_rate(key: str) -> bool:
    """Whether the key is the learning rate of what `dl.training.optimizers.build` is given."""
    section, _, name = key.rpartition(".")
    return name == "learning_rate" and section.endswith("optimizer")


def _product(grid: Grid, keys: Sequence[str]) -> Iterator[dict[str, Any]]:
    for values in itertools.product(*(grid[key] for key in keys)):
        yield dict(zip(keys, values, strict=True))


def _consecutive(seeds: Sequence[int], limit: int) -> list[tuple[int, ...]]:
    """0, 1, 2, 5 -> (0, 1, 2), (5,); at most `limit` in a run."""
    runs: list[list[int]] = []
    for seed in seeds:
        if runs and seed == runs[-1][-1] + 1 and len(runs[-1]) < limit:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return [tuple(run) for run in runs]


def split(group: Group) -> list[Group]:
    """The group in parts that fail alone: one a rate, or one a seed; a single run is itself."""
    if len(group.rates) > 1:
        return [group._replace(rates=(rate,)) for rate in group.rates]
    return [group._replace(seeds=(seed,)) for seed in group.seeds]


def configure(config: ConfigDict, group: Group) -> ConfigDict:
    """The configuration of a group's program.

    Raises:
        UserError: a value is of the wrong type.
    """
    config = config.copy_and_resolve_references()
    _prepare(config, {**group.settings, **group.rates[0]})
    settings.assign(config, group.settings, "--grid")
    for key in group.rates[0]:
        values = [float(rate[key]) for rate in group.rates]
        with config.ignore_type():
            config.update_from_flattened_dict({key: tuple(values) if len(values) > 1 else values[0]})
    config.seed = group.seeds[0]
    config.replicas = len(group.rates) * len(group.seeds)
    return config


def short_names(grid: Grid) -> dict[str, str]:
    """Key -> its last part, or the whole key where two have the same."""
    last = [key.rpartition(".")[2] for key in grid]
    return {key: name if last.count(name) == 1 else key for key, name in zip(grid, last, strict=True)}


def label(settings: Mapping[str, Any], grid: Grid) -> str:
    """`learning_rate=0.1, batch_size=64`."""
    names = short_names(grid)
    return ", ".join(f"{names[key]}={value}" for key, value in settings.items())


def folder_name(group: Group, grid: Grid) -> str:
    """A readable name for the group's workdir: `batch_size=64,learning_rate=0.01+0.1,seed=0-2`, the same for the same group."""
    names = short_names(grid)
    parts = [f"{names[key]}={value}" for key, value in group.settings.items()]
    parts += [f"{names[key]}=" + "+".join(str(rate[key]) for rate in group.rates) for key in group.rates[0]]
    if "seed" in grid or len(parts) == 0:
        first, last = group.seeds[0], group.seeds[-1]
        parts.append(f"seed={first}" if first == last else f"seed={first}-{last}")
    text = ",".join(parts)
    plain = re.sub(r"[^\w.,=+-]+", "_", text).strip("_")
    if plain == text and len(plain) <= 120:
        return plain
    return f"{plain[:110]}-{sha256(os.fsencode(text)).hexdigest()[:8]}"  # else "a b" and "a_b" would share a folder


@contextmanager
def alone(workdir: Path, job: int | None = None) -> Iterator[None]:
    """Holds the folder of a sweep: for one sweep, or for its jobs, each of which runs once at a time.

    Raises:
        Busy: another sweep, or the same job, is writing there.
        UserError: the folder can't be written.
    """
    with ExitStack() as held:
        _hold(held, workdir, ".lock", fcntl.LOCK_EX if job is None else fcntl.LOCK_SH, "another sweep")
        if job is not None:
            _hold(held, workdir, f".lock-{job}", fcntl.LOCK_EX, f"another --job={job}")
        yield


def _hold(held: ExitStack, workdir: Path, name: str, kind: int, who: str) -> None:
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        file = held.enter_context((workdir / name).open("a+"))
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise Busy(f"{who} is writing to --workdir={workdir}: wait for it, or give another folder.") from error
    except OSError as error:
        raise UserError(f"cannot write to --workdir={workdir}: {error.strerror}. Give a folder that can be written.") from error
