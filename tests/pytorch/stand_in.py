"""What stands in for the module `torch` where files are read and written: its interface and its refusals, not its format."""

import pickle
from types import SimpleNamespace

import ml_dtypes
import numpy as np

bfloat16 = ml_dtypes.bfloat16


class Tensor:
    """An array."""

    def __init__(self, array):
        self.array = np.asarray(array)

    def detach(self):
        return self

    def float(self):
        return Tensor(self.array.astype(np.float32))

    def numpy(self):
        return self.array


nn = SimpleNamespace(Parameter=lambda tensor: tensor)
from_numpy = Tensor


def ones(count, dtype=np.float32):
    return Tensor(np.ones(count, dtype))


def zeros(count):
    return Tensor(np.zeros(count, np.float32))


class Restricted(pickle.Unpickler):
    """Refuses with PyTorch's words all but what tensors are made of."""

    def find_class(self, module, name):
        if module != __name__ and not module.startswith(("numpy", "ml_dtypes")):
            raise pickle.UnpicklingError(
                f"Weights only load failed. Unsupported global: GLOBAL {module}.{name} was not an allowed global by default."
            )
        return super().find_class(module, name)


def save(tensors, path, _use_new_zipfile_serialization=True):
    with open(path, "wb") as file:
        pickle.dump(tensors, file)


def load(path, map_location, weights_only):
    if not (weights_only and map_location == "cpu"):
        raise AssertionError("a file of weights may not execute code, nor need another machine's accelerator")
    with open(path, "rb") as file:
        return Restricted(file).load()
