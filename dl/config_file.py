"""Reading a config file for a program: what is wrong with it is one line, with the file and the line in it."""

import importlib.util
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from ml_collections import ConfigDict

from dl.config import base
from dl.errors import UserError, unknown
from dl.variants import described

_REPLACED = ("augmentation", "model", "task", "optimizer")  # sections that a config may replace whole
_NEEDED = ("model.name", "task.name", "optimizer.name", "optimizer.learning_rate", "dataset.splits")


def load(name: str) -> ConfigDict:
    """The configuration of `FILE[:variant]`.

    Raises:
        UserError: there is no such file or variant, the file cannot be run, or what it gives is no configuration.
    """
    path, _, variant = name.partition(":")
    module = read(path)
    get_config = getattr(module, "get_config", None)
    if not callable(get_config):
        raise UserError(f"{path} has no function get_config(variant) that returns a configuration.")
    if variant and not getattr(module, "VARIANTS", None):
        raise unknown(f"variant of {path}", variant, ())
    try:
        config = get_config(variant)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except (Exception, SystemExit) as error:
        raise _failed(path, error) from error
    for fault in faults(config):
        raise UserError(f"{path}: get_config({variant!r}) {fault}")
    return config


def variants(path: str) -> dict[str, str]:
    """Name -> what it is, of the file's table `VARIANTS`.

    Raises:
        UserError: there is no such file, or it cannot be run.
    """
    return described(getattr(read(path), "VARIANTS", {}))


def read(path: str) -> ModuleType:
    """The module in a config file.

    Raises:
        UserError: there is no such file, or it cannot be run.
    """
    if not Path(path).is_file():
        missing = unknown("config file", path, map(str, sorted(Path("configs").glob("*.py"))))
        raise UserError(f"there is no such config file: {str(missing).removeprefix('unknown config file ')}")
    spec = importlib.util.spec_from_loader("config_file", importlib.machinery.SourceFileLoader("config_file", path))
    assert spec and spec.loader
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise _failed(path, error) from error
    return module


def faults(config: Any) -> Iterator[str]:
    """What a configuration lacks that every program reads."""
    start = "start from dl.config.base()."
    if not isinstance(config, ConfigDict):
        yield f"returns {type(config).__name__}, not a ConfigDict: {start}"
        return
    wanted = _keys({key: {} if key in _REPLACED else value for key, value in base().to_dict().items()})
    for key in (*wanted, *_NEEDED):
        holder: Any = config
        *above, last = key.split(".")
        for part in above:
            holder = holder.get(part) if isinstance(holder, ConfigDict) else None
        if not isinstance(holder, ConfigDict) or last not in holder:
            yield f"lacks config.{key}: {start}"
        elif key in (*_REPLACED, "dataset.splits") and not isinstance(holder[last], ConfigDict):
            yield f"gives config.{key}={holder[last]!r}, which must be a section, such as {{'name': 'mlp'}}."


def _keys(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        yield prefix + key
        if isinstance(value, Mapping) and key != "splits":
            yield from _keys(value, f"{prefix}{key}.")


def _failed(path: str, error: BaseException) -> UserError:
    """Names the line of the config file; of a syntax error, the line where it was found."""
    if isinstance(error, SyntaxError):
        where = f"{error.filename or path}:{error.lineno or 1}"
        return UserError(f"{where}: {type(error).__name__}: {error.msg}")
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == Path(path)]
    text = str(error.args[0] if isinstance(error, KeyError | AttributeError) and error.args else error)
    return UserError(f"{path}:{lines[-1] if lines else 1}: {type(error).__name__}: {text or 'no message'}")
