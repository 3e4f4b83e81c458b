"""The variants of a config: named changes of its published setting, in one table a file.

    VARIANTS = {"quick": quick, "smoke": smoke}      # name -> a function that changes the configuration

The first line of a function's docstring says what its variant is. `get_config` ends with `vary(config, VARIANTS, variant)`, so
that the table, `--help` and the errors cannot disagree with what is done.
"""

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from dl.config import flatten
from dl.errors import UserError, unknown

Variants = Mapping[str, Callable[[ConfigDict], None]]


def vary(config: ConfigDict, table: Variants, variant: str) -> ConfigDict:
    """`config` with the variants that `variant` names, several joined by "_", applied in the order of the table; "" is none.

    Raises:
        UserError: a name that the table lacks, or a combination in which one of them changes nothing, so that the others alone
            are meant (`smoke` replaces the dataset that `folder` names).
    """
    names = split(variant, table)
    varied = _applied(config, table, names)
    for name in names if len(names) > 1 else ():
        rest = [other for other in names if other != name]
        if _settings(_applied(config, table, rest)) == _settings(varied):
            raise UserError(f"the variant {name!r} changes nothing beside {'_'.join(rest)!r}: leave it out.")
    return varied


def split(variant: str, table: Variants) -> list[str]:
    """The names in `variant`, in the order of the table; the longest name that fits comes first, as names may hold a "_".

    Raises:
        UserError: something that the table lacks, or a name that is given twice.
    """
    names, rest = [], variant
    while rest:
        fits = [name for name in table if rest == name or rest.startswith(f"{name}_")]
        if not fits or rest == f"{fits[0]}_":
            raise unknown("variant", rest, table)
        names.append(max(fits, key=len))
        rest = rest.removeprefix(names[-1]).removeprefix("_")
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"the variant {name!r} is named twice in {variant!r}.")
    return [name for name in table if name in names]


def described(table: Variants) -> dict[str, str]:
    """Name -> one line that says what the variant is."""
    return {name: (inspect.getdoc(change) or "").partition("\n")[0] for name, change in table.items()}


def _settings(config: ConfigDict) -> dict[str, Any]:
    """What is done; the number that it is measured against is not."""
    return {key: value for key, value in flatten(config).items() if not key.startswith("reference.")}


def _applied(config: ConfigDict, table: Variants, names: Sequence[str]) -> ConfigDict:
    varied = copy.deepcopy(config)
    for name in names:
        table[name](varied)
    return varied
