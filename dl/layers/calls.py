"""Which modules a traced function calls, seen from outside: the function may be any that applies Linen modules."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import flax.linen as nn
import jax

_MARK = re.compile(r"call:(\d+)")


class Call(NamedTuple):
    """One call of a method of a module.

    path: the parameter path of the module, `model/conv1`; its class comes first where the function has no such parameters.
    module: the name of its class; `method` that of the method.
    outputs: shape and dtype of each array that it returned.
    fresh: those of them that it made, and did not only pass on from its arguments or from a module that it called.
    """

    path: str
    module: str
    method: str
    outputs: tuple[jax.ShapeDtypeStruct, ...]
    fresh: tuple[jax.ShapeDtypeStruct, ...]


def numbers(name_stack: str) -> list[int]:
    """The calls (their places in what `recording` gives) that an operation of this name stack is in, the outermost first."""
    return [int(number) for number in _MARK.findall(name_stack)]


@contextmanager
def recording(params: Mapping[str, Any]) -> Iterator[list[Call]]:
    """Records the calls of modules that are traced within, callers before callees.

    Each operation traced within gets the number of its call into its name stack; a call whose number is in no operation of the
    final program was made for its shapes alone.

    Args:
        params: the parameter groups given to the function, by which the modules are named.
    """
    calls: list[Call | None] = []
    roots: list[str] = []  # the prefixes of the module trees that are being applied, the innermost last
    seen: dict[int, Any] = {}  # arrays that are accounted for, kept alive so that their ids stay theirs

    def intercept(method: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        module = context.module
        if context.method_name in ("setup", "<lambda>"):  # the latter is how Linen lifts a module into a transformation
            return method(*args, **kwargs)
        if root := module.path == ():
            roots.append(_prefix(module, params))
        number = len(calls)
        calls.append(None)
        seen.update((id(leaf), leaf) for leaf in jax.tree.leaves((args, kwargs)))
        try:
            with jax.named_scope(f"call:{number}"):
                result = method(*args, **kwargs)
            above = roots[-1] if roots else type(module).__name__
            path = "/".join(name for name in (above, *module.path) if name) or type(module).__name__
        finally:
            if root:
                roots.pop()
        arrays = [leaf for leaf in jax.tree.leaves(result) if isinstance(leaf, jax.Array)]
        fresh = [leaf for leaf in arrays if id(leaf) not in seen]
        seen.update((id(leaf), leaf) for leaf in arrays)
        calls[number] = Call(path, type(module).__name__, context.method_name, _shapes(arrays), _shapes(fresh))
        return result

    finished: list[Call] = []
    with nn.intercept_methods(intercept):
        yield finished
    finished += [call or Call("", "", "", (), ()) for call in calls]


def _shapes(arrays: list[jax.Array]) -> tuple[jax.ShapeDtypeStruct, ...]:
    return tuple(jax.ShapeDtypeStruct(a.shape, a.dtype) for a in arrays)


def _prefix(module: nn.Module, params: Mapping[str, Any]) -> str:
    """Where in `params` the parameters of a root module are; where they are nowhere, its name or that of its class.

    "" says that they are groups themselves, as those of a stack whose layers learn one after another.
    """
    own = module.variables.get("params", {})
    if not own:
        return module.name or type(module).__name__
    if all(name in params and _layout(tree) == _layout(params[name]) for name, tree in own.items()):
        return ""
    leaf, shape = jax.tree.leaves(own)[0], _layout(own)
    same = [(path, tree) for path, tree in _subtrees(params, "") if _layout(tree) == shape]
    # Twins, such as the two networks of a cycle, are told apart by the arrays themselves.
    exact = [path for path, tree in same if jax.tree.leaves(tree)[0] is leaf]
    return (exact or [path for path, _ in same] or [type(module).__name__])[0]


def _layout(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.shape, tree)


def _subtrees(tree: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield f"{path}{name}", value
            yield from _subtrees(value, f"{path}{name}/")
