"""Anchors: boxes of a few sizes and shapes at every place of a feature pyramid (Ren et al. 2015, sec. 3.1; Lin et al. 2017).

They are constants of the shapes of the maps, in pixels of the image: (ymin, xmin, ymax, xmax).
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from dl.layers.boxes import centred


def of_level(shape: tuple[int, int], stride: int, sizes: Sequence[float], ratios: Sequence[float]) -> Float[np.ndarray, "n 4"]:
    """The anchors of one map, float32 [height * width * len(sizes) * len(ratios), 4].

    They come in the order of the map's rows, then its columns, then sizes, then ratios, which is that of a convolution's
    outputs [height, width, sizes * ratios].

    Args:
        shape: height and width of the map.
        stride: pixels of the image from one place to the next; place 0 is centred at stride / 2.
        sizes: roots of the areas, in pixels.
        ratios: height / width.
    """
    centres = [(np.arange(side) + 0.5) * stride for side in shape]
    y, x = np.meshgrid(*centres, indexing="ij")
    sides = np.array([(size * ratio**0.5, size / ratio**0.5) for size in sizes for ratio in ratios])
    middle = np.stack([y, x], axis=-1)[:, :, None]
    return np.concatenate([middle - sides / 2, middle + sides / 2], axis=-1).reshape(-1, 4).astype(np.float32)


def of_pyramid(
    shapes: Sequence[tuple[int, int]], strides: Sequence[int], sizes: Sequence[Sequence[float]], ratios: Sequence[float]
) -> Float[np.ndarray, "n 4"]:
    """The anchors of all maps, one map after another; `sizes` are those of each map."""
    levels = zip(shapes, strides, sizes, strict=True)
    return np.concatenate([of_level(shape, stride, own, ratios) for shape, stride, own in levels])


def level_of(boxes: Float[Array, "*n 4"], levels: int, smallest: float) -> Int[Array, "*n"]:
    """The map that a box is read from, 0 the finest: one coarser for every doubling of its size (Lin et al. 2017, eq. 1).

    Args:
        boxes: in pixels.
        levels: how many maps there are.
        smallest: boxes are read from map 0 while the root of their area is below twice this many pixels. The paper's 224 for
            the fourth of maps of stride 4, 8, 16, 32 is 56 here, as 112 is read from the second.
    """
    sides = jnp.maximum(centred(boxes)[1], 1e-6)
    number = jnp.floor(jnp.log2(jnp.sqrt(sides[..., 0] * sides[..., 1]) / smallest + 1e-6))
    return jax.lax.stop_gradient(jnp.clip(number, 0, levels - 1).astype(jnp.int32))
