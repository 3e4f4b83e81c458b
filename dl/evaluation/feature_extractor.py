"""What looks at generated images in order to measure them: features, and the probabilities of classes."""

from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Array, Float

from dl.layers.features import random_features


class FeatureExtractor(NamedTuple):
    """`extract`: images [B, H, W, C] in 0..1 -> features [B, D] and, from a classifier, probabilities [B, K] (else None).

    name: name of the Frechet distance in these features.
    """

    name: str
    extract: Callable[[Float[Array, "b h w c"]], tuple[Float[Array, "b d"], Float[Array, "b k"] | None]]


def random() -> FeatureExtractor:
    """Fixed random features (`dl.layers.features.random_features`)."""
    return FeatureExtractor("frechet_random", lambda images: (random_features(images), None))
