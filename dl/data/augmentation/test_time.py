"""Augmentation at test time: copies of an image, whose predictions are averaged (Krizhevsky et al. 2012, section 4.1)."""

from collections.abc import Callable

import jax
import numpy as np
from ml_collections import ConfigDict

from dl.data import augmentation
from dl.data.augmentation.geometry import with_masks
from dl.dataset import ONE_IMAGE, Features, Kind
from dl.task import Batch


def test_time_augmentation(config: ConfigDict, features: Features = ONE_IMAGE) -> Callable[[jax.Array, Batch], Batch] | None:
    """The augmentation of `config.test_time`, by default that of the training, on standardised images; None for one sample.

    Augmentations work on pixels in 0..1, so the images are taken back there and standardised again. What lies on an image moves
    with it, as `features` say.
    """
    if config.test_time.samples == 1:
        return None
    settings = (config.test_time.augmentation or config.augmentation).to_dict()
    settings.pop("mixup", None)  # it would mix examples of different labels
    augment = augmentation.build(settings, features)
    mean_, std = np.float32(config.dataset.mean), np.float32(config.dataset.std)
    names = [name for name, feature in features.items() if feature.kind is Kind.IMAGE]

    def augmented(key: jax.Array, batch: Batch) -> Batch:
        images = [name for name in names if name in batch]
        moved = augment(key, {**batch, **{name: batch[name] * std + mean_ for name in images}})
        return {**with_masks(moved, features), **{name: (moved[name] - mean_) / std for name in images}}

    return augmented
