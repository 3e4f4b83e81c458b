"""Finding models, tasks and datasets by name, so that adding one is adding a file.

Each module of a package such as `dl.models` offers what it holds in a dictionary `PUBLIC: dict[str, Callable]`, and may offer
more about the same names in further dictionaries (see `dl.data.batches`).
"""

import functools
import importlib
import inspect
import pkgutil
import types
from collections.abc import Callable, Collection, Mapping
from typing import Any, Union, get_args, get_origin

from dl.errors import UserError, unknown


def public(package: str, table: str = "PUBLIC") -> Mapping[str, Callable[..., Any]]:
    """Every function in the dictionaries `table` of the modules of `package`; the modules are imported on the first call.

    Raises:
        ValueError: two modules offer the same name (a mistake in the project, not of the user).
    """
    return _collected(package, table)


def settings(package: str) -> Mapping[str, Mapping[str, Any]]:
    """Name -> setting -> default, of the dictionaries `SETTINGS` of the modules of `package`, for functions that take theirs
    from the configuration and not as arguments.

    Raises:
        ValueError: two modules offer the same name.
    """
    return _collected(package, "SETTINGS")


@functools.cache
def _collected(package: str, table: str) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        for name, value in getattr(importlib.import_module(f"{package}.{module.name}"), table, {}).items():
            if name in found:
                raise ValueError(f"{package} offers {name!r} twice")
            found[name] = value
    return found


def find(package: str, kind: str, name: str) -> Callable[..., Any]:
    """The public callable `name` of `package`.

    Raises:
        UserError: no such name; the message lists the choices.
    """
    choices = public(package)
    if name not in choices:
        raise unknown(kind, name, choices)
    return choices[name]


def check(function: Callable[..., Any], what: str, settings: Mapping[str, Any], given: Collection[str]) -> None:
    """Checks that `function` takes the `settings`, which come from the user, besides the arguments `given` by us.

    Raises:
        UserError: it does not take one of them, or a value of that type, or needs another; the message lists what it takes.
    """
    accepted = inspect.signature(function).parameters
    # `parent` and `name` are Linen's own fields of every module, not settings of ours.
    takes = [name for name in accepted if name not in given and name not in ("parent", "name")]
    for key in settings:
        if key not in takes:
            raise unknown(f"setting of {what}", key, takes)
        if not of_type(settings[key], accepted[key].annotation):
            wanted = inspect.formatannotation(accepted[key].annotation)
            raise UserError(f"the setting {key!r} of {what} must be {wanted}, not {settings[key]!r}.")
    missing = [n for n in takes if accepted[n].default is inspect.Parameter.empty and n not in settings]
    if missing:
        raise UserError(f"{what} needs the setting {missing[0]!r}.")


def of_type(value: Any, annotation: Any) -> bool:
    """Whether a value from the user fits an annotation of plain types, tuples and unions of them; any value fits another one.

    As everywhere in Python's typing, an int will do for a float; a bool will do for neither. JSON makes lists of tuples.
    """
    kind, inner = get_origin(annotation), get_args(annotation)
    if kind in (Union, types.UnionType):
        return any(of_type(value, choice) for choice in inner)
    if kind is tuple:
        each = inner[:1] * len(value) if inner[-1:] == (...,) and isinstance(value, tuple | list) else inner
        return (
            isinstance(value, tuple | list)
            and len(value) == len(each)
            and all(of_type(v, a) for v, a in zip(value, each, strict=True))
        )
    if annotation in (int, float):
        return isinstance(value, (int, annotation)) and not isinstance(value, bool)
    return isinstance(value, annotation) if annotation in (bool, str, type(None)) else True


def call(function: Callable[..., Any], what: str, settings: Mapping[str, Any], **given: Any) -> Any:
    """`function(**given, **settings)`, where `settings` come from the user and are checked first (see `check`)."""
    check(function, what, settings, given)
    return function(**given, **settings)


def read(kind: Callable[..., Any], what: str, section: Any) -> Any:
    """A section of the configuration as the tuple of settings `kind`, a NamedTuple whose fields are what may be set.

    Args:
        kind: the NamedTuple; a field without a default must be set.
        what: the section is of, for an error: "the task classification".
        section: a ConfigDict; its `name` is no setting.

    Raises:
        UserError: a setting that there is not, a value of another type, or none where one is needed.
    """
    return call(kind, what, {key: value for key, value in section.to_dict().items() if key != "name"})
