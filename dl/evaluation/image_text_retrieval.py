"""Finding the captions of an image among all captions, and the image of a caption among all images (Hodosh et al. 2013)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

FIRST = (1, 5, 10)


class Ranks(NamedTuple):
    """How many others are nearer, or as near: of each image than the nearest of its captions int [N], of each caption than its
    image int [M]; M are the captions that count, image by image.
    """

    captions: Int[np.ndarray, " n"]
    images: Int[np.ndarray, " m"]


def ranks(images: Float[np.ndarray, "n d"], captions: Float[np.ndarray, "n r d"], there: Bool[np.ndarray, "n r"]) -> Ranks:
    """Ranks by the scalar product of unit vectors.

    Args:
        images: embedding of each image.
        captions: of its captions.
        there: which captions there are; the others are padding.
    """
    of = np.broadcast_to(np.arange(len(images))[:, None], there.shape)[there]  # the image of each caption
    texts = captions[there]
    likeness = images @ texts.T
    own = np.where(of == np.arange(len(images))[:, None], likeness, -np.inf).max(1)
    other = np.where(of == np.arange(len(images))[:, None], -np.inf, likeness)
    of_images = (other >= own[:, None]).sum(1)
    right = likeness[of, np.arange(len(of))]
    return Ranks(of_images, (likeness >= right).sum(0) - 1)


def recalls(found: Ranks) -> dict[str, float]:
    """`recall_at_K` of captions for an image and `search_recall_at_K` of images for a caption, 0 to 1; `median_rank` and
    `search_median_rank`, from 1.
    """
    numbers: dict[str, float] = {}
    for prefix, rank in (("", found.captions), ("search_", found.images)):
        numbers |= {f"{prefix}recall_at_{k}": float((rank < k).mean()) for k in FIRST}
        numbers[f"{prefix}median_rank"] = float(np.median(rank + 1))
    return numbers


def nearest(query: Float[np.ndarray, " d"], among: Float[np.ndarray, "n d"], count: int) -> Sequence[int]:
    """The nearest of some unit vectors, the nearest first."""
    found: list[int] = np.argsort(-(among @ query), kind="stable")[:count].tolist()
    return found
