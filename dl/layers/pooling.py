"""Pooling. Windows that tile the image are reduced over slices on the CPU, where that is faster than `lax.reduce_window`.

Where several elements of a window are the maximum, the stock gradient goes to the first of them, and the one here is shared out
among them (a half to each side at every `jnp.maximum`); both are subgradients. Without ties the two agree.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from dl.errors import UserError, unknown
from dl.layers import backend

Reduce = Callable[[Array, Array], Array]


def max_pool(
    x: Float[Array, "b h w c"], window: tuple[int, int], strides: tuple[int, int] | None = None, padding: str = "VALID"
) -> Float[Array, "b y x c"]:
    """The maximum over each window; `strides` defaults to the window.

    Raises:
        UserError: the window is larger than the image.
    """
    if _tiles(x, window, strides, padding):
        return _reduce(x, window, jnp.maximum)
    return nn.max_pool(x, window, strides or window, padding)


def avg_pool(
    x: Float[Array, "b h w c"], window: tuple[int, int], strides: tuple[int, int] | None = None, padding: str = "VALID"
) -> Float[Array, "b y x c"]:
    """The mean over each window, padding counted as zeros; `strides` defaults to the window.

    Raises:
        UserError: the window is larger than the image.
    """
    if _tiles(x, window, strides, padding):
        return _reduce(x, window, jnp.add) / (window[0] * window[1])
    return nn.avg_pool(x, window, strides or window, padding)


POOLS = {"max": max_pool, "average": avg_pool}


def pool(kind: str) -> Callable[..., Array]:
    """The pooling of that name: "max" or "average".

    Raises:
        UserError: no such name; the message lists the choices.
    """
    if kind not in POOLS:
        raise unknown("pooling", kind, POOLS)
    return POOLS[kind]


def _tiles(x: Array, window: tuple[int, int], strides: tuple[int, int] | None, padding: str) -> bool:
    """Whether the sliced form applies: windows side by side, no padding (nor any need of it), on a backend that likes it."""
    sides = x.shape[1:3]
    if padding == "VALID" and any(n < k for n, k in zip(sides, window, strict=True)):
        raise UserError(f"a pooling window of {window[0]}x{window[1]} does not fit images of {sides[0]}x{sides[1]}.")
    unpadded = padding == "VALID" or all(n % k == 0 for n, k in zip(sides, window, strict=True))
    return backend.prefers_matmul() and unpadded and strides in (None, window)


def _reduce(x: Array, window: tuple[int, int], combine: Reduce) -> Array:
    """Windows side by side, rows first, then columns: each a slice of a reshaped view, so nothing is gathered."""
    (rows, columns), channels = window, x.shape[3]
    height, width = x.shape[1] // rows, x.shape[2] // columns
    x = x[:, : height * rows, : width * columns].reshape(-1, height, rows, width, columns * channels)
    x = functools.reduce(combine, [x[:, :, r] for r in range(rows)])
    return functools.reduce(combine, [x[..., c * channels : (c + 1) * channels] for c in range(columns)])
