"""Histograms of oriented gradients (Dalal & Triggs 2005), as scikit-image computes them, for a batch and under jit.

Of each pixel the channel with the longest gradient counts (central differences, none at the rim). A cell has a histogram of 9
directions from 0 to 180 degrees, the mean of the gradients' lengths in it; 2x2 cells make a block, normalised by its length,
cut at 0.2 and normalised again ("L2-Hys", Lowe 2004); blocks overlap. Deviation from the paper, as there: a gradient counts for
one cell and one direction, without interpolation.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

DIRECTIONS, CELL, BLOCK = 9, 8, 2
CLIP, LEAST = 0.2, 1e-5


def hog(images: Float[Array, "b h w c"]) -> Float[Array, "b d"]:
    """The descriptors of images in any unit, (h/8 - 1) (w/8 - 1) 36 numbers each; sides are multiples of 8, 16 at least."""
    down = jnp.pad(images[:, 2:] - images[:, :-2], ((0, 0), (1, 1), (0, 0), (0, 0)))
    right = jnp.pad(images[:, :, 2:] - images[:, :, :-2], ((0, 0), (0, 0), (1, 1), (0, 0)))
    strongest = (down**2 + right**2).argmax(-1)[..., None]
    down, right = (jnp.take_along_axis(g, strongest, -1)[..., 0] for g in (down, right))
    angle = jnp.degrees(jnp.arctan2(down, right)) % 180
    which = jnp.floor(angle / (180 / DIRECTIONS)).astype(jnp.int32) % DIRECTIONS
    votes = jax.nn.one_hot(which, DIRECTIONS) * jnp.hypot(down, right)[..., None]
    batch, height, width = votes.shape[0], images.shape[1] // CELL, images.shape[2] // CELL
    cells = votes.reshape(batch, height, CELL, width, CELL, DIRECTIONS).mean((2, 4))
    parts = [cells[:, y : height - BLOCK + 1 + y, x : width - BLOCK + 1 + x] for y in range(BLOCK) for x in range(BLOCK)]
    blocks = jnp.stack(parts, 3).reshape(batch, height - BLOCK + 1, width - BLOCK + 1, -1)
    clipped = jnp.minimum(_unit(blocks), CLIP)
    return _unit(clipped).reshape(batch, -1)


def _unit(blocks: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
    return blocks / jnp.sqrt(jnp.square(blocks).sum(-1, keepdims=True) + LEAST**2)
