"""The fixtures: what PyTorch gave when `python -m tests.pytorch.make` was last run."""

import functools
import json
import lzma
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).with_name("fixtures")


def arrays(group: str, case: str) -> dict[str, np.ndarray]:
    """The arrays of a case, by name."""
    found = {name.partition("/")[2]: array for name, array in _file(group).items() if name.startswith(f"{case}/")}
    if not found:
        raise KeyError(f"no fixture {group} / {case}: run `python -m tests.pytorch.make`")
    return found


def cases(group: str) -> list[str]:
    """Names of the cases of a group, sorted."""
    return sorted({name.partition("/")[0] for name in _file(group)})


def shapes(group: str, case: str) -> dict[str, tuple[int, ...]]:
    """Name -> shape of a network's state dict, in its order."""
    return {name: tuple(shape) for name, shape in _states()[group][case].items()}


@functools.cache
def _file(group: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / f"{group}.npz") as file:
        return dict(file)


@functools.cache
def _states() -> dict[str, dict[str, dict[str, list[int]]]]:
    return json.loads(lzma.decompress((FOLDER / "states.json.xz").read_bytes()))
