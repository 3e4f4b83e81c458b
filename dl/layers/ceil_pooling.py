"""Pooling with overlapping windows in ceil mode, as Caffe's networks have it.

Every window that begins inside the image counts, so that the outputs of a side n are ceil((n - window) / stride) + 1; what lies
outside is not seen. Elsewhere (`dl.layers.pooling`, "VALID") windows that reach over the edge are left out.
"""

import flax.linen as nn
from jaxtyping import Array, Float

from dl.errors import UserError, unknown
from dl.layers import backend
from dl.layers.pooling import max_over_slices

KINDS = ("max", "average")


def ceil_pool(x: Float[Array, "b h w c"], kind: str = "max", window: int = 3, stride: int = 2) -> Float[Array, "b y x c"]:
    """The maximum or the average of each square window.

    On the CPU the maximum is taken over strided slices, whose gradient is faster than the stock one; where several elements of
    a window are the maximum, it is then shared out among them (see `dl.layers.pooling`).

    Raises:
        UserError: an image smaller than `window - stride + 1`, or an unknown kind.
    """
    if kind not in KINDS:
        raise unknown("pooling", kind, KINDS)
    height, width = x.shape[1:3]
    if min(height, width) <= window - stride:
        raise UserError(
            f"a pooling window of {window}x{window} does not fit features of {height}x{width}: give a larger image."
        )
    rows, columns = (-(-(n - window) // stride) + 1 for n in (height, width))
    below, right = (max((count - 1) * stride + window - n, 0) for count, n in ((rows, height), (columns, width)))
    padding = ((0, below), (0, right))
    if kind == "average":
        return nn.avg_pool(x, (window, window), (stride, stride), padding, count_include_pad=False)
    if not backend.prefers_matmul():
        return nn.max_pool(x, (window, window), (stride, stride), padding)
    return max_over_slices(x, (window, window), (stride, stride), padding)
