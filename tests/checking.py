"""beartype for the import hook of the tests, which asks it for each function, and for one inside a function at every call."""

from collections.abc import Callable
from typing import Any

from beartype import BeartypeConf, beartype

CHECK = beartype(conf=BeartypeConf(is_pep484_tower=True))  # as everywhere in Python's typing, an int will do for a float
CHECKERS: dict[Any, Callable] = {}


def checked(function: Callable) -> Callable:
    """The function with its annotations checked at every call.

    jaxtyping gives a function that does nothing, with the name and the signature of one in the source. What checks it is a
    function of these alone, so that it is made once, and not whenever a definition inside another function is met.
    """
    code = function.__code__
    counts = (code.co_posonlyargcount, code.co_argcount, code.co_kwonlyargcount, code.co_flags, code.co_varnames)
    key = (function.__module__, function.__qualname__, counts, *function.__annotations__.items())
    try:
        if key not in CHECKERS or function.__defaults__ or function.__kwdefaults__:
            CHECKERS[key] = CHECK(function)
    except TypeError:  # an annotation that cannot be hashed
        return CHECK(function)
    return CHECKERS[key]
