"""Boxes in fixed shapes, under jit: overlap, regression, clipping, and the suppression of those that overlap better ones.

A box is (ymin, xmin, ymax, xmax), in pixels or in fractions of its image; what is compared must be in one unit. Nothing here
depends on how many boxes there are: rows that stand for none have no area, or a mask says so.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

LARGEST = math.log(1000 / 16)  # a decoded box is at most this much larger than its anchor, as in Detectron
LEAST = 1e-6  # of a side that is divided by


class Kept(NamedTuple):
    """The boxes that were not suppressed, the best first.

    indices: int32 [..., k], which they are; 0 where `mask` is False.
    mask: bool [..., k], which rows are boxes at all.
    """

    indices: jax.Array
    mask: jax.Array


def area(boxes: Float[Array, "*n 4"]) -> Float[Array, "*n"]:
    """Of each box; 0 where it is none."""
    sides = jnp.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    return sides[..., 0] * sides[..., 1]


def intersection(a: Float[Array, "*b n 4"], b: Float[Array, "*b m 4"]) -> Float[Array, "*b n m"]:
    """The area that each of `a` has in common with each of `b`."""
    low = jnp.maximum(a[..., :, None, :2], b[..., None, :, :2])
    high = jnp.minimum(a[..., :, None, 2:], b[..., None, :, 2:])
    sides = jnp.maximum(high - low, 0)
    return sides[..., 0] * sides[..., 1]


def iou(a: Float[Array, "*b n 4"], b: Float[Array, "*b m 4"]) -> Float[Array, "*b n m"]:
    """Intersection over union of each of `a` with each of `b`, 0..1; 0 where both are empty."""
    both = intersection(a, b)
    either = area(a)[..., :, None] + area(b)[..., None, :] - both
    return jnp.where(either > 0, both / jnp.where(either > 0, either, 1), 0)


def centred(boxes: Float[Array, "*n 4"]) -> tuple[Float[Array, "*n 2"], Float[Array, "*n 2"]]:
    """The centres (y, x) and the sides (height, width)."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]


def encode(boxes: Float[Array, "*n 4"], anchors: Float[Array, "*n 4"]) -> Float[Array, "*n 4"]:
    """What regression should say of each anchor so that it becomes the box: (t_y, t_x, t_h, t_w) of Ren et al. 2015, eq. 2.

    t_y = (y - y_a) / h_a and t_h = log(h / h_a), of the centres and sides; finite also for boxes without area.
    """
    (centre, sides), (anchor, extent) = centred(boxes), centred(anchors)
    sides, extent = jnp.maximum(sides, LEAST), jnp.maximum(extent, LEAST)
    return jnp.concatenate([(centre - anchor) / extent, jnp.log(sides / extent)], axis=-1)


def decode(deltas: Float[Array, "*n 4"], anchors: Float[Array, "*n 4"]) -> Float[Array, "*n 4"]:
    """The boxes that (t_y, t_x, t_h, t_w) make of anchors: the inverse of `encode`; they grow by 1000 / 16 at most."""
    anchor, extent = centred(anchors)
    centre = anchor + deltas[..., :2] * extent
    sides = extent * jnp.exp(jnp.minimum(deltas[..., 2:], LARGEST))
    return jnp.concatenate([centre - sides / 2, centre + sides / 2], axis=-1)


def clip(boxes: Float[Array, "*n 4"], height: float, width: float) -> Float[Array, "*n 4"]:
    """What of each box lies on an image of that height and width; one beyond it has no area."""
    return jnp.clip(boxes, 0, jnp.array([height, width, height, width], boxes.dtype))


def to_pixels(boxes: Float[Array, "*n 4"], height: float, width: float) -> Float[Array, "*n 4"]:
    """Boxes in fractions of an image, in its pixels."""
    return boxes * jnp.array([height, width, height, width], boxes.dtype)


def nms(
    boxes: Float[Array, "n 4"],
    scores: Float[Array, " n"],
    most: int,
    threshold: float = 0.5,
    classes: Int[Array, " n"] | None = None,
    mask: Bool[Array, " n"] | None = None,
) -> Kept:
    """Greedy non-maximum suppression: the best box is kept, those that overlap it by more go, and so on, `most` times.

    The result has `most` rows whatever is found, so that it is compiled once; `jax.vmap` does a batch. Of equal scores the
    first is the best. Memory is linear in the number of boxes.

    Args:
        boxes: in any unit.
        scores: what is best.
        most: how many are kept at most.
        threshold: the intersection over union above which the worse of two boxes goes.
        classes: a box suppresses those of its own class alone; None: all are of one.
        mask: which rows are boxes; None: all.
    """
    lowest = jnp.array(-jnp.inf, scores.dtype)
    alive = jnp.ones(scores.shape, bool) if mask is None else mask

    def keep(left: jax.Array, _: None) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        best = jnp.argmax(jnp.where(left, scores, lowest)).astype(jnp.int32)
        found = left[best]  # False when nothing is left: then argmax is 0 or a row that went before
        gone = iou(boxes[best][None], boxes)[0] > threshold
        if classes is not None:
            gone &= classes == classes[best]
        left = left & ~(gone & found)
        return left.at[best].set(False), (jnp.where(found, best, 0), found)

    indices, there = jax.lax.scan(keep, alive, None, length=most)[1]
    return Kept(indices, there)
