"""Writes the fixtures: `python -m tests.pytorch.make [GROUP ...]`, where PyTorch is installed (`./dev install torch`).

The group `authors` needs the archives of public data too.

A fixture is what a module or function of PyTorch gives for drawn weights and inputs (tests/pytorch/draw.py); the tests compare
ours with it everywhere, and tests/pytorch/test_make.py compares the fixtures with PyTorch where it is installed.
"""

import importlib
import json
import lzma
import sys

import numpy as np

from tests.pytorch import recorded
from tests.pytorch.cases import NETS


def main(groups):
    recorded.FOLDER.mkdir(exist_ok=True)
    for group in groups or GROUPS:
        found = {f"{case}/{name}": array for case in list_cases(group) for name, array in made(group, case).items()}
        np.savez_compressed(recorded.FOLDER / f"{group}.npz", **found)
        print(f"{group}: {len(found)} arrays, {sum(array.size for array in found.values())} numbers")
    text = json.dumps(states(), separators=(",", ":"))
    (recorded.FOLDER / "states.json.xz").write_bytes(lzma.compress(text.encode(), preset=9))


def list_cases(group):
    if group in NETS:
        return [case for case, net in NETS[group].items() if net.batch]
    return list(importlib.import_module(f"tests.pytorch.{group}").CASES)


def made(group, case):
    """The arrays of a case, by name, as PyTorch gives them now."""
    if group in NETS:
        from tests.pytorch import nets

        return nets.results(group, case)
    return importlib.import_module(f"tests.pytorch.{group}").CASES[case]()


def states():
    """Names and shapes of every network's state dict."""
    from tests.pytorch import nets

    return {group: {case: nets.shapes(group, case) for case in found} for group, found in NETS.items()}


GROUPS = (*NETS, "authors", "lenet", "layers", "recurrent", "optimizers", "schedules", "segmentation")

if __name__ == "__main__":
    main(sys.argv[1:])
