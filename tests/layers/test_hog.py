"""Histograms of oriented gradients are those of scikit-image."""

import jax
import numpy as np
import pytest
from skimage.feature import hog as theirs

from dl.layers.hog import hog


@pytest.mark.parametrize("shape", [(32, 24, 3), (16, 16, 1)])
def test_descriptors_are_those_of_scikit_image(shape):
    images = np.random.default_rng(0).random((3, *shape)).astype(np.float32)
    given = {"orientations": 9, "pixels_per_cell": (8, 8), "cells_per_block": (2, 2), "block_norm": "L2-Hys"}
    expected = np.stack([theirs(image.astype(np.float64), channel_axis=-1, **given) for image in images])
    found = np.asarray(jax.jit(hog)(images))
    assert found.shape == (3, (shape[0] // 8 - 1) * (shape[1] // 8 - 1) * 36)
    np.testing.assert_allclose(found, expected, atol=2e-4)
    np.testing.assert_allclose(np.asarray(jax.jit(hog)(255 * images - 100)), expected, atol=2e-4)  # in any unit
