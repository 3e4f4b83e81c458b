"""Numbers that are the same on every machine and with every version of NumPy: bits of Philox, keyed by a name.

Weights, images, inputs and gradients of the fixtures are drawn here wherever they are needed, and so never stored.
"""

import hashlib
import math
import re
from collections.abc import Mapping, Sequence

import numpy as np

COUNTER = "num_batches_tracked"


def uniform(name: str, shape: Sequence[int]) -> np.ndarray:
    """Float32 in -1..1 of 16 random bits each, exact; another name gives other numbers."""
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "little")
    count = math.prod(shape)
    bits = np.random.Philox(key=key).random_raw(-(-count // 4)).astype("<u8").view("<u2")[:count]
    return ((bits.astype(np.float32) + np.float32(0.5)) / 32768 - 1).reshape(shape)


def images(side: int, batch: int) -> np.ndarray:
    """[batch, side, side, 3] of noise, each image in a colour of its own."""
    return np.stack([uniform(f"image {i}", (side, side, 3)) + 2 * uniform(f"colour {i}", (3,)) for i in range(batch)])


def correlated(count: int = 40, side: int = 12) -> np.ndarray:
    """[count, side, side, 3]: images whose neighbouring pixels and channels are alike, and whose mean is not 0."""
    noise = uniform("correlated", (count, side + 2, side + 2, 3))
    smooth = noise[:, 2:, 2:] + noise[:, 1:-1, 1:-1] + noise[:, :-2, 2:]
    return smooth + smooth.mean(-1, keepdims=True) + np.float32(1.2)


def state(shapes: Mapping[str, Sequence[int]], branches: str = "") -> dict[str, np.ndarray]:
    """A PyTorch state dict: weights by He et al. 2015; scales, biases and running statistics about their usual values.

    Signals neither die nor grow, with a BatchNorm's running statistics either. Scales of the BatchNorms whose name `branches`
    matches are smaller: the last ones of residual branches, which are smaller than what they are added to, as in trained nets.
    """
    return {name: _drawn(name, shape, branches) for name, shape in shapes.items()}


def _drawn(name: str, shape: Sequence[int], branches: str) -> np.ndarray:
    if name.endswith(COUNTER):
        return np.zeros((), np.int64)
    u = uniform(name, shape)
    if len(shape) > 1:
        return u * np.float32(math.sqrt(6 / math.prod(shape[1:])))
    if name.endswith("running_var"):
        return 1 + u / 2
    if name.endswith("weight"):  # with such variances scales of 0.9 keep the mean square
        return (1 + u / 2) * np.float32(0.3 if branches and re.search(branches, name) else 0.9)
    return u / 5


def summary(name: str, array: np.ndarray) -> np.ndarray:
    """Of a vector its first and last number, and a weighted sum in which every number counts."""
    flat = np.asarray(array, np.float32).ravel()
    return np.float32([flat[0], flat[-1], flat @ uniform(f"summary {name}", flat.shape) / math.sqrt(flat.size)])
