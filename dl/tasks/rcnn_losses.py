"""What R-CNN's machines learn from: regions that are warped, what each is to a machine, and the machine's loss."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from dl.layers.boxes import centred, iou
from dl.layers.roi_align import roi_align


def warped(
    images: Float[Array, "b h w c"], boxes: Float[Array, "b r 4"], side: int, context: float
) -> Float[Array, "b r s s c"]:
    """What images show in boxes (pixels), each warped to a square, `context` of its side on each side around the box.

    What lies beyond the image is 0, the mean colour of standardised images.
    """
    centre, sides = centred(boxes)
    wide = sides / (1 - 2 * context)
    return roi_align(images, jnp.concatenate([centre - wide / 2, centre + wide / 2], -1), 1.0, side)


def hinge(scores: Float[Array, "*n k"], sign: Float[Array, "*n k"]) -> Float[Array, "*n k"]:
    """max(0, 1 - y s)^2, of labels y = -1 or 1; 0 where y is 0, which is neither."""
    return jnp.where(sign == 0, 0, jnp.square(jnp.maximum(1 - sign * scores, 0)))


def signs(
    boxes: Float[Array, "r 4"], true: Bool[Array, " r"], objects: Float[Array, "n 4"], of: Bool[Array, "n k"], negative: float
) -> Float[Array, "r k"]:
    """What regions are to the machine of each class (section 2.3): 1 a true box of it, -1 far from all of them, else 0.

    Args:
        boxes: the regions.
        true: which of them are true boxes.
        objects: true boxes of the image.
        of: of which class each is; no class, where the row is no object.
        negative: IoU below which a region is far.
    """
    overlap = jnp.where(of[None], iou(boxes, objects)[..., None], 0).max(1)
    return jnp.where(true[:, None] & (overlap > 1 - 1e-4), 1.0, jnp.where(overlap < negative, -1.0, 0.0))
