"""Our variables and PyTorch's state dicts under torchvision's names, both ways, the same for every architecture.

    ours                                          torchvision's
    params/layer1_0/conv1/kernel  [h, w, i, o]    layer1.0.conv1.weight   [o, i, h, w]
    params/fc/kernel              [i, o]          fc.weight               [o, i]
    params/layer1_0/norm1/scale   [c]             layer1.0.bn1.weight     [c]
    params/.../bias               [c]             ....bias                [c]
    batch_stats/.../mean, var     [c]             ....running_mean, ....running_var [c]
                                                  ....num_batches_tracked []  not read; written as 0

A dense layer that reads a flattened map reads it as channels, rows, columns there, and as rows, columns, channels here.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from dl.errors import UserError

LISTED = 4  # differences of a kind that a message names
LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}
COUNTER = "num_batches_tracked"

Arrays = Mapping[str, np.ndarray]


class Layout(NamedTuple):
    """Where torchvision keeps a network's layers.

    module: our layer's path, "layer1_0/conv1" -> torchvision's, "layer1.0.conv1".
    flattened: dense layers (our path) that read a flattened map -> its rows and columns, e.g. {"fc6": (7, 7)}.
    optional: beginnings of torchvision's names that files may have and the network does without, e.g. ("aux1.", "aux2.").
    """

    module: Callable[[str], str]
    flattened: Mapping[str, tuple[int, int]] = {}
    optional: tuple[str, ...] = ()


class Place(NamedTuple):
    """One of our variables: its name and shape in a state dict, and what its layer reads if that is a flattened map."""

    name: str
    shape: tuple[int, ...]
    kernel: bool  # whether its axes are in another order there
    flattened: tuple[int, int] | None


def places(layout: Layout, template: Any) -> dict[str, Place]:
    """Our path, "params/fc/kernel" -> its place in a state dict, for every variable of `template` (arrays or their shapes)."""
    out = {}
    leaves = flatten_dict(template, sep="/")
    for path in sorted(leaves, key=lambda path: path.startswith("batch_stats")):  # statistics last, in messages too
        leaf, (_, module, kind) = leaves[path], _parts(path)
        flattened = layout.flattened.get(module) if kind == "kernel" else None
        place = Place(".".join(filter(None, (layout.module(module), LEAVES.get(kind, kind)))), (), kind == "kernel", flattened)
        shape = _transposed(np.empty(leaf.shape, np.bool_), place).shape  # of bytes that nobody touches
        out[path] = place._replace(shape=shape)
    return out


def from_state(layout: Layout, template: Any, state: Arrays, source: str, model: str, whole: bool = True) -> Any:
    """The variables of a state dict.

    Args:
        layout: layout of the network.
        template: the variables wanted, arrays or their shapes: {"params": ..., "batch_stats": ...}.
        state: arrays by torchvision's names.
        source: where they are from, for messages.
        model: the network's name, for messages.
        whole: whether names that `template` has no place for are a mistake; False where it is a part of the network.

    Returns:
        Arrays float32 in the structure of `template`.

    Raises:
        UserError: names are missing, unexpected or of a wrong shape; the first few of each are named.
    """
    found = places(layout, template)
    names = {place.name: place.shape for place in found.values()}
    check(names, state, source, model, layout.optional, whole)
    keys = {"/".join(key): key for key in flatten_dict(template)}  # a name in them may have a slash of its own
    return unflatten_dict({keys[path]: _inverse(state[place.name], place) for path, place in found.items()})


def to_state(layout: Layout, variables: Any) -> dict[str, np.ndarray]:
    """The state dict of variables: float32 arrays, and for each BatchNorm a counter, int64 0."""
    leaves = flatten_dict(variables, sep="/")
    out = {}
    for path, place in places(layout, variables).items():
        out[place.name] = np.array(_transposed(np.asarray(leaves[path], np.float32), place), order="C")
        if place.name.endswith("running_var"):
            out[place.name.replace("running_var", COUNTER)] = np.zeros((), np.int64)
    return out


def check(
    wanted: Mapping[str, tuple[int, ...]], state: Arrays, source: str, model: str, optional: tuple[str, ...], whole: bool
) -> None:
    """Compares names and shapes with those wanted; see `from_state`."""
    surplus = [name for name in state if name not in wanted and not name.endswith(COUNTER) and not name.startswith(optional)]
    differences = {
        "missing": [name for name in wanted if name not in state],
        "unexpected": surplus if whole else [],
        "wrong shape": [
            f"{name} is {_size(state[name].shape)} and should be {_size(shape)}"
            for name, shape in wanted.items()
            if name in state and state[name].shape != shape
        ],
    }
    lines = [f"{kind}: {_listed(names)}" for kind, names in differences.items() if names]
    if lines:
        raise UserError(f"the weights {source} do not fit {model}: {'; '.join(lines)}.")


def _listed(names: list[str]) -> str:
    more = f", and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a number"


def _parts(path: str) -> tuple[str, str, str]:
    """Collection, layer and kind of a variable's path."""
    collection, *module, kind = path.split("/")
    return collection, "/".join(module), kind


def _transposed(array: np.ndarray, place: Place) -> np.ndarray:
    """Our array as PyTorch has it. A kernel of three axes is of a layer that PyTorch has not."""
    if not place.kernel or array.ndim == 3:
        return array
    if array.ndim == 4:
        return array.transpose(3, 2, 0, 1)
    if place.flattened:
        return array.reshape(*place.flattened, -1, array.shape[-1]).transpose(3, 2, 0, 1).reshape(array.shape[-1], -1)
    return array.T


def _inverse(array: np.ndarray, place: Place) -> np.ndarray:
    """PyTorch's array as we have it."""
    array = np.asarray(array, np.float32)
    if not place.kernel or array.ndim == 3:
        return array
    if array.ndim == 4:
        return array.transpose(2, 3, 1, 0)
    if place.flattened:
        return array.reshape(len(array), -1, *place.flattened).transpose(2, 3, 1, 0).reshape(-1, len(array))
    return array.T
