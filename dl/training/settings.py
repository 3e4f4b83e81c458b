"""What may be set in a configuration beyond the keys of its config: whatever the names in it take.

A section whose `name` stands for a model, a task, an optimizer, a schedule, a dataset or an augmentation takes the settings of
that name: the arguments of its function, or what its module lists in a table `SETTINGS` (name -> setting -> default). Another
name takes settings of its own, so those that the config gave the old one go.
"""

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_origin

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from dl import registry
from dl.config import base
from dl.data import augmentation
from dl.data.cropping import RandomCrop
from dl.errors import UserError, unknown
from dl.training import optimizers, schedules

Settings = Mapping[str, Any]  # setting -> default; a ConfigDict's placeholder where there is none, or one of any type
_GIVEN = ("num_classes", "symbols", "shape", "dtype", "parent", "name")  # of a model, by the data or by Linen
_TYPES = (bool, int, float, str)


def prepare(config: ConfigDict, flags: Mapping[str, str]) -> list[str]:
    """Makes `config` one in which every key of `flags` stands, with the type of its value.

    Args:
        config: what a config file gave; changed in place.
        flags: key (`model.depth`) -> what the command line says, in its order.

    Returns:
        For each name that another one replaces, a sentence with the settings that went with it.

    Raises:
        UserError: a name or a key that does not exist.
    """
    said = []
    with config.unlocked():
        for key in sorted((key for key in flags if _section(key) is not None), key=lambda key: key.count(".")):
            said += _rename(config, key, flags[key])
        for key in flags:
            if "[" not in key:
                _add(config, key)
    return said


def assign(config: ConfigDict, values: Mapping[str, Any], flag: str) -> None:
    """Gives keys that are there their values.

    Raises:
        UserError: a value that a key cannot have; the message begins with `flag`.
    """
    for key, value in values.items():
        try:
            config.update_from_flattened_dict({key: value})
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise UserError(f"{flag}: {key} cannot be {value!r}: {error}") from error


def _section(key: str) -> "Section | None":
    """What the name at `key` stands for: `model.name`, `optimizer.schedule.name`, `dataset.batches`, ..."""
    path, _, last = key.rpartition(".")
    if last == "batches":
        return _DATASET if path == "dataset" else None
    return _find(path) if last == "name" else None


def is_name(key: str) -> bool:
    """Whether a key says what its section is of, and so which settings that takes: `model.name`, `dataset.batches`, ..."""
    return _section(key) is not None


def _rename(config: ConfigDict, key: str, name: str) -> list[str]:
    """Drops the settings of the section's old name, where `name` is another one."""
    path, _, last = key.rpartition(".")
    _add(config, key)
    section, holder = _section(key), _at(config, path)
    if section is None or holder is None or holder[last] == name:
        return []
    old, holder[last] = holder[last], name
    stays = section.stays(holder.to_dict())  # raises where there is no such name
    dropped = [setting for setting in holder if setting not in stays]
    values = ", ".join(f"{setting}={holder[setting]!r}" for setting in dropped if not isinstance(holder[setting], ConfigDict))
    values = ", ".join([values] * bool(values) + [s for s in dropped if isinstance(holder[s], ConfigDict)])
    for setting in dropped:
        del holder[setting]
    return [f"config.{key} is {name!r}, so these settings of {old!r} are dropped: {values}."] if dropped else []


def _add(config: ConfigDict, key: str) -> None:
    """Puts the default of `key` into the configuration, where it is not there but known."""
    parts = key.split(".")
    for depth, part in enumerate(parts):
        path = ".".join(parts[:depth])
        holder = _at(config, path)
        if holder is None:
            raise UserError(f"the configuration has no such key: {key}, as config.{path} is a value.")
        if part in holder:
            continue
        section = _find(path)
        if path == "dataset.splits":  # one may add a split under any name
            known: Settings = {part: placeholder(str)}
        else:
            known = section.takes(holder.to_dict()) if section else _inside(config, path)
        if part not in known:
            raise _no_such_key(key, part, {*holder, *known})
        holder[part] = ConfigDict(known[part]) if isinstance(known[part], Mapping) else known[part]


def _inside(config: ConfigDict, path: str) -> Settings:
    """What a section without a function of its own takes, such as `task.noise`: the default of the setting that it is."""
    above, _, last = path.rpartition(".")
    section, holder = _find(above), _at(config, above)
    default = section.takes(holder.to_dict()).get(last) if section and holder is not None else None
    return default if isinstance(default, Mapping) else {}


def _at(config: ConfigDict, path: str) -> ConfigDict | None:
    found: Any = config
    for part in filter(None, path.split(".")):
        found = found[part]
        if not isinstance(found, ConfigDict):
            return None
    return found


def _no_such_key(key: str, part: str, choices: Iterable[str]) -> UserError:
    near = difflib.get_close_matches(part, sorted(choices), n=1)
    hint = f' Did you mean "{near[0]}"?' if near else ""
    return UserError(f"the configuration has no such key: {key}.{hint} Choices: {', '.join(sorted(choices)) or 'none'}.")


class Section:
    """A kind of section.

    Args:
        own: content of the section -> what its name takes.
        shared: settings that all names have.
        kept: those of `own` that stay under another name that takes them too.
    """

    def __init__(
        self,
        own: Callable[[Settings], Settings],
        shared: Settings | None = None,
        kept: Callable[[str], bool] = lambda key: False,
    ):
        self.own, self.shared, self.kept = own, {"name": placeholder(str), **(shared or {})}, kept

    def takes(self, content: Settings) -> Settings:
        """Every setting that the section may have.

        Raises:
            UserError: there is nothing of its name.
        """
        return {**self.shared, **self.own(content)}

    def stays(self, content: Settings) -> Settings:
        """What a section keeps when its name changes to that in `content`."""
        return {**self.shared, **{key: value for key, value in self.own(content).items() if self.kept(key)}}


def _model(content: Settings) -> Settings:
    return _arguments(registry.find("dl.models", "model", content["name"]), _GIVEN)


def _task(content: Settings) -> Settings:
    registry.find("dl.tasks", "task", content["name"])
    return registry.settings("dl.tasks").get(content["name"], {})


def _optimizer(content: Settings) -> Settings:
    name = content.get("name", "")
    if name not in optimizers.OPTIMIZERS:
        raise unknown("optimizer", name, optimizers.OPTIMIZERS)
    return _arguments(optimizers.OPTIMIZERS[name], optimizers.NOT_SETTINGS)


def _schedule(content: Settings) -> Settings:
    name = content.get("name", "constant")
    if name not in schedules.SCHEDULES:
        raise unknown("schedule", name, schedules.SCHEDULES)
    warmup = {} if name in schedules.OWN_WARMUP else dict.fromkeys(schedules.WARMUP, 0.0)
    return {**_arguments(schedules.SCHEDULES[name], ("rate", "steps", "warmup")), **warmup}


def _dataset(content: Settings) -> Settings:
    """Of the source, and of the way in which batches are made of it; what no module of ours names, TFDS may have."""
    sources, batches = registry.settings("dl.data.sources"), registry.settings("dl.data.batches")
    registry.find("dl.data.batches", "way to make batches", content["batches"])
    name = content["name"].split("/")[0]
    ours = name in registry.public("dl.data.sources")
    if name != content["name"] and name in registry.public("dl.data.sources", "PLAIN"):
        ours = False
    return {**sources.get(name if ours else "tfds", {}), **batches.get(content["batches"], {})}


def _crop(content: Settings) -> Settings:
    return _arguments(RandomCrop, ())


def _augmentation(content: Settings, name: str) -> Settings:
    if name not in augmentation.ORDER:
        raise unknown("augmentation", name, augmentation.ORDER)
    return _arguments(augmentation.ORDER[name][1], ())


def _augmentations(content: Settings) -> Settings:
    return {name: {} for name in augmentation.ORDER}


def _arguments(function: Callable[..., Any], given: Iterable[str]) -> Settings:
    """What a function takes besides what is `given` to it, with defaults."""
    parameters = inspect.signature(function).parameters
    return {key: _default(parameter) for key, parameter in parameters.items() if key not in given}


def _default(parameter: inspect.Parameter) -> Any:
    """The default as a key of a ConfigDict, which holds its values to their type; one that may be of several is left open."""
    annotation, default = parameter.annotation, parameter.default
    kind = tuple if get_origin(annotation) is tuple else annotation
    if kind not in (*_TYPES, tuple):
        return placeholder(object)
    if default is inspect.Parameter.empty or default is None:
        return placeholder(kind)
    return kind(default)


_SCHEDULE = Section(_schedule, kept=lambda key: key in schedules.WARMUP)
# Settings of a dataset are of the data rather than of where they come from.
_DATASET = Section(_dataset, {**base().dataset.to_dict(), "random_crop": {}}, kept=lambda key: True)
_OPTIMIZER = Section(_optimizer, {key: value for key, value in base().optimizer.to_dict().items() if key != "name"})
_SECTIONS = {
    "model": Section(_model),
    "task": Section(_task),
    "optimizer": _OPTIMIZER,
    "optimizer.schedule": _SCHEDULE,
    "dataset": _DATASET,
    "dataset.random_crop": Section(_crop),
    "augmentation": Section(_augmentations),
    "test_time.augmentation": Section(_augmentations),
}


def _find(path: str) -> Section | None:
    """The section at a path; an optimizer or its schedule may stand in a task too, with all that the main ones have."""
    above, _, last = path.rpartition(".")
    if above in ("augmentation", "test_time.augmentation"):
        return Section(functools.partial(_augmentation, name=last))
    if path.startswith("task.") and path.endswith("optimizer"):
        return _OPTIMIZER
    if path.startswith("task.") and path.endswith("optimizer.schedule"):
        return _SCHEDULE
    return _SECTIONS.get(path)
