"""Published weights: files of named arrays, and whether they fit a model.

A module of this package offers in `WEIGHTS` a `Published` for each model that it knows published weights of.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from dl.errors import UserError

LISTED = 4  # differences that a message names


class Published(NamedTuple):
    """What is published for a model.

    convert: arrays by their published names -> arrays by ours ("conv1/kernel"), [h, w, in, out] and [in, out].
    mean, std: of the network's input: it takes (rgb - mean) / std of RGB in 0..1, one number a channel.
    settings: of the model, that these weights were made for.
    """

    convert: Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    settings: Mapping[str, Any] = {}


def read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a `.npz`, `.safetensors` or PyTorch (`.pt`, `.pth`) file, float32.

    Raises:
        UserError: no such file, one that is damaged or of another kind, or a package that is needed to read it is missing.
    """
    if not path.is_file():
        raise UserError(f"weights: there is no file {path}.")
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return {name: np.asarray(file[name], np.float32) for name in file.files}
        if path.suffix == ".safetensors":
            from safetensors.numpy import load_file

            return {name: np.asarray(array, np.float32) for name, array in load_file(path).items()}
        if path.suffix in (".pt", ".pth"):
            import torch

            state = torch.load(path, map_location="cpu", weights_only=True)
            return {name: tensor.float().numpy() for name, tensor in state.items()}
    except ModuleNotFoundError as error:
        raise UserError(f"weights: {path} needs the package {error.name}: install it, or convert the file to .npz.") from error
    except Exception as error:  # each reader raises types of its own
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise UserError(f"weights: {path} can't be read ({reason}); get it anew.") from error
    raise UserError(f"weights: {path} must be .npz, .safetensors, .pt or .pth.")


def converted(published: Published, arrays: Mapping[str, np.ndarray], source: str) -> dict[str, np.ndarray]:
    """The arrays under our names.

    Raises:
        UserError: they are not what is published for the model.
    """
    try:
        return published.convert(arrays)
    except (KeyError, ValueError, IndexError) as error:
        names = ", ".join(list(arrays)[:LISTED])
        raise UserError(f"the weights {source} are not those published for this model; they begin with {names}.") from error


def fitted(found: Mapping[str, np.ndarray], wanted: Any, source: str) -> Any:
    """The parameter tree `wanted` (of arrays or `ShapeDtypeStruct`s) filled with the arrays `found` by path.

    Arrays that nothing in `wanted` asks for are left out, since a part of a network may be enough.

    Raises:
        UserError: parameters that are missing or of another shape, each named.
    """
    shapes = {path: leaf.shape for path, leaf in flatten_dict(wanted, sep="/").items()}
    wrong = [
        f"{path} is {'x'.join(map(str, found[path].shape))} and should be {'x'.join(map(str, shape))}"
        for path, shape in shapes.items()
        if path in found and found[path].shape != shape
    ]
    wrong += [f"{path} is missing" for path in shapes if path not in found]
    if wrong:
        more = f", and {len(wrong) - LISTED} more" if len(wrong) > LISTED else ""
        raise UserError(f"the weights {source} do not fit the model: {', '.join(wrong[:LISTED])}{more}.")
    return unflatten_dict({path: np.asarray(found[path], np.float32) for path in shapes}, sep="/")
