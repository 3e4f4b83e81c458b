"""Errors meant for people: one line that says what is wrong and what to do about it."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake that the user can mend. Programs print its message alone, without a traceback, and exit with code 1."""


class Busy(UserError):
    """Another process is writing where this one would: nothing has failed, and nothing is to be done again."""


def unknown(kind: str, name: str, choices: Iterable[str]) -> UserError:
    """The error for a name that does not exist: the nearest name first, then all the choices.

    Args:
        kind: what was asked for, e.g. `"optimizer"`.
        name: the name as it was given.
        choices: the names there are.
    """
    known = sorted(choices)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return UserError(f"unknown {kind} {name!r}.{hint} Choices: {', '.join(known) or 'none'}.")
