"""RoIAlign: what a feature map shows within boxes, sampled without rounding (He et al. 2017, section 3).

Bilinear samples on a regular grid, averaged, are a product of two matrices with the map: how much each row of the map counts
for each row of the output, and the same for columns. So there is no gather, and the gradient with respect to the map is
two matrix products more, instead of a scatter whose sums come in any order.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

SAMPLES = 2  # of a cell of the output along each axis


def weights(
    start: Float[Array, "*r"], stop: Float[Array, "*r"], size: int, cells: int, samples: int = SAMPLES
) -> Float[Array, "*r cells size"]:
    """How much each of `size` places of an axis counts for each of `cells` cells between `start` and `stop`.

    Args:
        start: where boxes begin, in places; place i is centred at i + 0.5 ("aligned").
        stop: where they end.
        size: of the axis.
        cells: into which a box is cut.
        samples: in each cell, evenly; one that is more than a place off the map counts as 0, others are moved to its rim.
    """
    step = (jnp.arange(cells * samples) + 0.5) / (cells * samples)
    at = start[..., None] + (stop - start)[..., None] * step - 0.5
    inside = (at >= -1) & (at <= size)
    near = 1 - jnp.abs(jnp.clip(at, 0, size - 1)[..., None] - jnp.arange(size))
    each = jnp.where(inside[..., None], jnp.maximum(near, 0), 0)
    return each.reshape(*start.shape, cells, samples, size).mean(-2)


def roi_align(
    features: Float[Array, "b h w c"],
    boxes: Float[Array, "b r 4"],
    stride: float,
    cells: int,
    mask: Bool[Array, "b r"] | None = None,
    samples: int = SAMPLES,
) -> Float[Array, "b r cells cells c"]:
    """What each image's map shows in each of its boxes; no gradient reaches the boxes.

    Args:
        features: a map of each image.
        boxes: (ymin, xmin, ymax, xmax) in pixels of the image.
        stride: pixels of the image to a place of the map.
        cells: on each side of the output.
        mask: boxes that are wanted; the others give zeros. None: all.
        samples: of a cell along each axis.
    """
    edges = jax.lax.stop_gradient(boxes) / stride
    rows = weights(edges[..., 0], edges[..., 2], features.shape[1], cells, samples)
    columns = weights(edges[..., 1], edges[..., 3], features.shape[2], cells, samples)
    if mask is not None:
        rows = jnp.where(mask[..., None, None], rows, 0)
    rows, columns = rows.astype(features.dtype), columns.astype(features.dtype)
    bands = jnp.einsum("brph,bhwc->brpwc", rows, features)
    return jnp.einsum("brqw,brpwc->brpqc", columns, bands)


def pyramid_roi_align(
    maps: Sequence[Float[Array, "b _ _ c"]],
    boxes: Float[Array, "b r 4"],
    level: Int[Array, "b r"],
    strides: Sequence[float],
    cells: int,
    samples: int = SAMPLES,
) -> Float[Array, "b r cells cells c"]:
    """As `roi_align`, each box from the map of its `level` (Lin et al. 2017, section 4.2)."""
    parts = [
        roi_align(features, boxes, stride, cells, level == number, samples)
        for number, (features, stride) in enumerate(zip(maps, strides, strict=True))
    ]
    return sum(parts[1:], start=parts[0])
