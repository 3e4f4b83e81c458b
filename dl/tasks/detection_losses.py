"""The losses of Faster R-CNN and Mask R-CNN, each of one image whose boxes were sampled."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Integer

from dl.layers.boxes import encode
from dl.layers.roi_align import weights

WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # of a region's regression, which brings its targets to a deviation of about 1
ANCHOR_BETA, BOX_BETA = 1 / 9, 1.0  # where smooth L1 turns from a square into a line: of anchors, of regions


def smooth_l1(error: Float[Array, "*n"], beta: float) -> Float[Array, "*n"]:
    """error^2 / (2 beta) below beta, |error| - beta / 2 from there on (Girshick 2015, eq. 3, where beta is 1)."""
    size = jnp.abs(error)
    return jnp.where(size < beta, size * size / (2 * beta), size - beta / 2)


def average(values: Float[Array, " n"], where: Bool[Array, " n"], counted: Bool[Array, " n"]) -> Float[Array, ""]:
    """The sum of `values` at `where` over the number of those `counted`; 0 of none."""
    return jnp.where(where, values, 0).sum() / jnp.maximum(counted.sum(), 1)


def anchor_losses(
    objectness: Float[Array, " n"],
    deltas: Float[Array, "n 4"],
    anchors: Float[Array, "n 4"],
    truth: Float[Array, "n 4"],
    positive: Bool[Array, " n"],
    counted: Bool[Array, " n"],
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Whether an anchor is an object, and its box (Ren et al. 2015, eq. 1).

    Both are over the number of sampled anchors, which makes the paper's lambda 1 (its note on N_reg).

    Args:
        objectness: before the sigmoid.
        deltas: regression.
        anchors: the sampled ones.
        truth: the box of the object that each is matched with.
        positive: which are objects.
        counted: which are sampled at all.
    """
    wrong = optax.sigmoid_binary_cross_entropy(objectness, positive.astype(jnp.float32))
    off = smooth_l1(deltas - encode(truth, anchors), ANCHOR_BETA).sum(-1)
    return average(wrong, counted, counted), average(off, positive, counted)


def box_losses(
    scores: Float[Array, "n classes"],
    deltas: Float[Array, "n k 4"],
    regions: Float[Array, "n 4"],
    truth: Float[Array, "n 4"],
    labels: Int[Array, " n"],
    positive: Bool[Array, " n"],
    counted: Bool[Array, " n"],
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The class of a region, and the box of that class (Girshick 2015, eq. 1 and 2, lambda 1, over the sampled regions).

    Args:
        scores: class 0 is the background.
        deltas: regression for every class, in units of 1 / `WEIGHTS`.
        regions: the sampled ones.
        truth: the box of the object that each is matched with.
        labels: its class, from 0.
        positive: which are objects; the others are background.
        counted: which are sampled at all.
    """
    classes = jnp.where(positive, labels + 1, 0)
    wrong = optax.softmax_cross_entropy_with_integer_labels(scores, classes)
    own = jnp.take_along_axis(deltas, labels[:, None, None], axis=1)[:, 0]
    off = smooth_l1(own - encode(truth, regions) * jnp.array(WEIGHTS), BOX_BETA).sum(-1)
    return average(wrong, counted, counted), average(off, positive, counted)


def mask_loss(
    logits: Float[Array, "n m m k"], masks: Float[Array, "n m m"], labels: Int[Array, " n"], positive: Bool[Array, " n"]
) -> Float[Array, ""]:
    """The mean binary cross-entropy of the mask of a region's own class (He et al. 2017, section 3): classes do not compete."""
    own = jnp.take_along_axis(logits, labels[:, None, None, None], axis=-1)[..., 0]
    each = optax.sigmoid_binary_cross_entropy(own, masks).mean((1, 2))
    return average(each, positive, positive)


def mask_targets(
    instances: Integer[Array, "h w"], numbers: Int[Array, " n"], boxes: Float[Array, "n 4"], side: int
) -> Float[Array, "n side side"]:
    """What of an instance lies in a box, on a grid: 1 where most of a cell is the instance's.

    Args:
        instances: the number of the instance that each pixel belongs to.
        numbers: the instance wanted, one a box.
        boxes: in pixels.
        side: cells on each side.
    """
    edges = jax.lax.stop_gradient(boxes)
    rows = weights(edges[:, 0], edges[:, 2], instances.shape[0], side)
    columns = weights(edges[:, 1], edges[:, 3], instances.shape[1], side)
    own = (instances == numbers[:, None, None]).astype(jnp.float32)
    return (jnp.einsum("nrh,nhw,ncw->nrc", rows, own, columns) >= 0.5).astype(jnp.float32)
