"""Pooling. On the CPU windows are reduced over slices, where that is faster than `lax.reduce_window` or its gradient.

Where several elements of a window are the maximum, the stock gradient goes to the first of them, and the one here is shared out
among them (a half to each side at every `jnp.maximum`); both are subgradients. Without ties the two agree.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from dl.errors import UserError, unknown
from dl.layers import backend

Reduce = Callable[[Array, Array], Array]
Pads = tuple[tuple[int, int], tuple[int, int]]


def max_pool(
    x: Float[Array, "b h w c"], window: tuple[int, int], strides: tuple[int, int] | None = None, padding: str = "VALID"
) -> Float[Array, "b y x c"]:
    """The maximum over each window, what lies outside the image not seen; `strides` defaults to the window.

    Raises:
        UserError: the window is larger than the image.
    """
    if _tiles(x, window, strides, padding):
        return _reduce(x, window, jnp.maximum)
    steps = strides or window
    if backend.prefers_matmul():
        (top, bottom), (left, right) = lax.padtype_to_pads(x.shape[1:3], window, steps, padding)
        return max_over_slices(x, window, steps, ((top, bottom), (left, right)))
    return nn.max_pool(x, window, steps, padding)


def max_over_slices(
    x: Float[Array, "b h w c"], window: tuple[int, int], strides: tuple[int, int], pads: Pads
) -> Float[Array, "b y x c"]:
    """The maximum over windows that may overlap: first of strided slices of the rows, then of the columns.

    Args:
        x: images.
        window: its height and width.
        strides: distances of the windows, down and right.
        pads: rows above and below the image, columns left and right of it, never the maximum.
    """
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)), constant_values=-jnp.inf)
    down, right = (((n - k) // s) * s + 1 for n, k, s in zip(x.shape[1:3], window, strides, strict=True))
    x = functools.reduce(jnp.maximum, [x[:, r : r + down : strides[0]] for r in range(window[0])])
    return functools.reduce(jnp.maximum, [x[:, :, c : c + right : strides[1]] for c in range(window[1])])


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


def adaptive_avg_pool(x: Float[Array, "b h w c"], size: tuple[int, int]) -> Float[Array, "b y x c"]:
    """The mean over a grid of windows, whatever the size of the image, as PyTorch's `AdaptiveAvgPool2d` has it.

    Of a side n and m windows, window i takes the pixels from floor(i n / m) up to ceil((i + 1) n / m): windows may share a row,
    and a side smaller than m has its pixels repeated.

    Args:
        x: images.
        size: rows and columns of the result.
    """
    for axis, count in enumerate(size, 1):
        side = x.shape[axis]
        if side == count:
            continue
        edges = [(i * side // count, -(-(i + 1) * side // count)) for i in range(count)]
        x = jnp.stack([lax.slice_in_dim(x, low, high, axis=axis).mean(axis) for low, high in edges], axis)
    return x


POOLS = {"max": max_pool, "average": avg_pool}


def pool(kind: str) -> Callable[..., Array]:
    """The pooling of that name: "max" or "average".

    Raises:
        UserError: no such name; the message lists the choices.
    """
    if kind not in POOLS:
        raise unknown("pooling", kind, POOLS)
    return POOLS[kind]


class Pool(nn.Module):
    """A pooling as a layer with a name: what `experiments.explain` lists, and without parameters.

    Attributes:
        operation: function of images [B, H, W, C].
    """

    operation: Callable[[Array], Array]

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b y x c"]:
        return self.operation(x)


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
