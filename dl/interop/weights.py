"""Files of named arrays: `.npz`, `.safetensors`, and PyTorch's `.pt` and `.pth`, which are read without executing anything."""

import math
import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dl.data.checks import check_memory
from dl.data.sources import npz_file
from dl.errors import UserError

FOLDER_FILE = "weights.safetensors"  # the file in a folder of weights
SUFFIXES = (".npz", ".safetensors", ".pt", ".pth")
WRAPPERS = ("state_dict", "model_state_dict", "model")  # under which checkpoints of training programs keep a state dict
PARALLEL = "module."  # what PyTorch's DataParallel puts before every name


def read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file, float32.

    A PyTorch file holds a state dict, or a dictionary with one under `state_dict`, `model_state_dict` or `model`. It is read by
    PyTorch's restricted unpickler: a file that names any function but those that make tensors is refused.

    Raises:
        UserError: no such file; one that is damaged, cut short, of another kind, larger than the memory, with numbers that are
            NaN or infinite, or that would execute code; a package that is needed to read it is missing.
    """
    if not path.is_file():
        raise UserError(f"weights: there is no file {path}.")
    _check_suffix(path)
    try:
        found = READERS[path.suffix](path)
    except ModuleNotFoundError as error:
        raise UserError(_lacking(path, error)) from error
    except UserError:
        raise
    except MemoryError as error:
        raise UserError(f"the weights {path} do not fit into this machine's memory.") from error
    except Exception as error:  # each reader raises types of its own
        raise UserError(_unreadable(path, error)) from error
    if not found:
        raise UserError(f"weights: {path} holds no arrays.")
    bad = [name for name, array in found.items() if not np.isfinite(array).all()]
    if bad:
        raise UserError(f"weights: {path} has NaN or infinite numbers in {bad[0]!r}; get it anew.")
    return found


def write(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays; a `.pth` or `.pt` is a state dict, for PyTorch's `load_state_dict`.

    Raises:
        UserError: an unknown kind of file, a package that is missing, or the file can't be written.
    """
    _check_suffix(path)
    temporary = path.with_name(f".{path.name}.tmp{path.suffix}")  # np.savez would add a suffix of its own
    try:
        WRITERS[path.suffix](temporary, arrays)
        temporary.replace(path)
    except ModuleNotFoundError as error:
        raise UserError(_lacking(path, error)) from error
    except (OSError, RuntimeError) as error:  # PyTorch raises the latter where a folder is missing
        reason = getattr(error, "strerror", None) or _first_line(error)
        raise UserError(f"cannot write {path}: {reason}.") from error
    finally:
        temporary.unlink(missing_ok=True)


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    found = npz_file.members(path)
    for name, member in found.items():
        if member.dtype.kind not in "fiub":
            raise UserError(f"weights: {path} can't be read: {name!r} has type {member.dtype}; weights must be numbers.")
    check_memory(sum(4 * math.prod(member.shape) for member in found.values()), f"the weights {path}")
    with np.errstate(over="ignore"):  # float64 beyond float32 is infinite, and refused as such
        return {name: np.asarray(npz_file.read(path, member), np.float32) for name, member in found.items()}


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors.flax import load_file  # NumPy's has no bfloat16

    return {name: np.asarray(array, np.float32) for name, array in load_file(path).items()}


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    import torch

    state = torch.load(path, map_location="cpu", weights_only=True)
    for key in WRAPPERS:
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise UserError(f"weights: {path} holds no state dict (names and tensors): save the model's state_dict() alone.")
    if state and all(name.startswith(PARALLEL) for name in state):
        state = {name.removeprefix(PARALLEL): tensor for name, tensor in state.items()}
    return {name: tensor.detach().float().numpy() for name, tensor in state.items()}


def _write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # no array is named as one of its arguments


def _write_safetensors(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    from safetensors.numpy import save

    path.write_bytes(save(dict(arrays), metadata={"format": "pt"}))


def _write_torch(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    import torch

    torch.save({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}, path)


READERS: dict[str, Callable[[Path], dict[str, np.ndarray]]] = {
    ".npz": _read_npz,
    ".safetensors": _read_safetensors,
    ".pt": _read_torch,
    ".pth": _read_torch,
}
WRITERS: dict[str, Callable[[Path, Mapping[str, np.ndarray]], Any]] = {
    ".npz": _write_npz,
    ".safetensors": _write_safetensors,
    ".pt": _write_torch,
    ".pth": _write_torch,
}


def _check_suffix(path: Path) -> None:
    if path.suffix not in SUFFIXES:
        raise UserError(f"weights: {path} must be .npz, .safetensors, .pt or .pth.")


def _lacking(path: Path, error: ModuleNotFoundError) -> str:
    return f"weights: {path} needs the package {error.name}: install it, or take .npz or .safetensors."


def _unreadable(path: Path, error: Exception) -> str:
    """The message for a file that a reader can't make sense of."""
    function = re.search(r"GLOBAL (\S+)", str(error)) if isinstance(error, pickle.UnpicklingError) else None
    if function:
        name = function[1].rstrip(".")
        return (
            f"weights: {path} was refused: to read it, {name} would be called, and a file of weights may not execute code. "
            "Take one of tensors alone (a state_dict)."
        )
    if "Python objects" in str(error):
        return f"weights: {path} was refused: it holds Python objects, which may execute code, and not arrays alone."
    if path.suffix in (".pt", ".pth"):
        return f"weights: {path} can't be read (it is no file of PyTorch's, or was cut short); get it again."
    return f"weights: {path} can't be read ({_first_line(error)}); get it again."


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
