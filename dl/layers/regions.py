"""Which anchors and regions a detector learns from, and which it proposes, in fixed shapes: the sampling of Faster R-CNN.

All functions are of one image; `jax.vmap` does a batch. Truth is padded: `there` says which of its rows are objects, and those
of `ignored` (crowds, difficult ones) count neither as objects nor as background.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from dl.layers.boxes import area, clip, decode, intersection, iou, nms

COVERED = 0.5  # of a box, by something that is ignored: from there on it is no background


class Truth(NamedTuple):
    """What is on images: boxes [..., t, 4] in pixels, labels int32, which rows are objects, and which of those are ignored."""

    boxes: jax.Array
    labels: jax.Array
    there: jax.Array
    ignored: jax.Array


class Matched(NamedTuple):
    """overlap [n]: the largest IoU of a box with an object. which int32 [n]: that object's row. covered bool [n]: by what is
    ignored. nearest bool [n]: whether no other box overlaps some object more.
    """

    overlap: jax.Array
    which: jax.Array
    covered: jax.Array
    nearest: jax.Array


class Sampled(NamedTuple):
    """Boxes that are learned from, the positive ones first.

    indices: int32 [m]. positive: bool [m]. counted: bool [m], False where there were not enough.
    """

    indices: jax.Array
    positive: jax.Array
    counted: jax.Array


def matched(
    boxes: Float[Array, "n 4"], truth: Float[Array, "t 4"], there: Bool[Array, " t"], ignored: Bool[Array, " t"]
) -> Matched:
    """The object that each box is matched with, if any (Ren et al. 2015, section 3.1.2)."""
    counted = there & ~ignored
    overlap = jnp.where(counted, iou(boxes, truth), 0)
    best = overlap.max(0)  # of each object
    nearest = ((overlap == best) & (best > 0)).any(1)
    inside = intersection(boxes, truth) / jnp.maximum(area(boxes), 1e-6)[:, None]
    covered = (jnp.where(there & ignored, inside, 0) > COVERED).any(1)
    return Matched(overlap.max(1), overlap.argmax(1).astype(jnp.int32), covered, nearest)


def sampled(key: Key[Array, ""], positive: Bool[Array, " n"], negative: Bool[Array, " n"], most: int, share: float) -> Sampled:
    """So many boxes at random, of which `share` at most are positive; where these are fewer, negative ones fill up.

    Args:
        key: of the draw.
        positive: boxes that may be drawn as objects.
        negative: as background; what is neither is not drawn.
        most: boxes that are drawn; all, where there are not more.
        share: of the positive ones.
    """
    most = min(most, len(positive))
    at_most = max(int(most * share), 1)
    # Below 1/2, so that no sum below is rounded up to the next whole number.
    drawn = jax.random.uniform(key, positive.shape) / 2
    last = jax.lax.top_k(jnp.where(positive, drawn, -1), at_most)[0][-1]
    rank = jnp.where(positive & (drawn >= last), 2 + drawn, jnp.where(negative, 1 + drawn, 0))
    values, indices = jax.lax.top_k(rank, most)
    return Sampled(indices, values >= 2, values >= 1)


def proposals(
    objectness: Float[Array, " a"],
    deltas: Float[Array, "a 4"],
    anchors: Sequence[Float[Array, "_ 4"]],
    shape: tuple[int, int],
    before: int,
    most: int,
    threshold: float,
) -> tuple[Float[Array, "m 4"], Bool[Array, " m"]]:
    """Where there may be objects, the likeliest first, and which of these rows are proposals; no gradient reaches them.

    Args:
        objectness: of every anchor, one map after another.
        deltas: regression of every anchor.
        anchors: of each map.
        shape: height and width of the image in pixels.
        before: how many anchors of each map are looked at, the likeliest.
        most: proposals, of all maps.
        threshold: IoU of non-maximum suppression, which is done for each map by itself.
    """
    objectness, deltas = jax.lax.stop_gradient((objectness, deltas))
    boxes, scores, levels, start = [], [], [], 0
    for number, own in enumerate(anchors):
        part = slice(start, start + len(own))
        best, indices = jax.lax.top_k(objectness[part], min(before, len(own)))
        boxes.append(clip(decode(deltas[part][indices], own[indices]), *shape))
        scores.append(best)
        levels.append(jnp.full(best.shape, number))
        start += len(own)
    all_boxes, all_scores = jnp.concatenate(boxes), jnp.concatenate(scores)
    sides = all_boxes[:, 2:] - all_boxes[:, :2]
    kept = nms(all_boxes, all_scores, most, threshold, jnp.concatenate(levels), (sides >= 1).all(1))
    return jnp.where(kept.mask[:, None], all_boxes[kept.indices], 0), kept.mask


def detections(
    boxes: Float[Array, "r k 4"], scores: Float[Array, "r k"], least: float, most: int, threshold: float
) -> tuple[Float[Array, "m 4"], Float[Array, " m"], Int[Array, " m"], Bool[Array, " m"]]:
    """Boxes, scores and classes of what is found, the best first, and which of these rows are finds.

    Args:
        boxes: of every region for every class.
        scores: of every region and class; 0 where there is no region.
        least: of a score.
        most: finds.
        threshold: IoU of non-maximum suppression, which is done for each class by itself.
    """
    regions, classes = scores.shape
    number = jnp.tile(jnp.arange(classes, dtype=jnp.int32), regions)
    flat, score = boxes.reshape(-1, 4), scores.reshape(-1)
    kept = nms(flat, score, most, threshold, number, (score > least) & (area(flat) > 0))
    found = [jnp.where(kept.mask.reshape(-1, *[1] * (x.ndim - 1)), x[kept.indices], 0) for x in (flat, score, number)]
    return found[0], found[1], found[2], kept.mask
