"""What is measured of generated images, on images of one pixel."""

import jax.numpy as jnp
import numpy as np
import pytest

from dl.dataset import labelled_images
from dl.evaluation.feature_extractor import FeatureExtractor
from dl.evaluation.generated_images import GeneratedImages

INFO = labelled_images("pixels", (1, 1, 1), 3)


def view(**changes):
    extractor = FeatureExtractor("frechet", lambda images: (images.reshape(len(images), -1), None))
    return GeneratedImages(INFO, extractor, np.float32([0.25]), np.float32([0.5]), **changes)


def pixels(values):
    return np.array(values, np.uint8).reshape(-1, 1, 1, 1)


OUTPUTS = {
    "real": pixels([0, 51, 255, 204]),
    "sample": pixels([0, 110, 110, 229]),
    "real_features": np.array([[0.0], [2.0], [0.0], [2.0]]),
    "sample_features": np.array([[3.0], [5.0], [3.0], [5.0]]),
    "label": np.array([0, 1, 2, 1]),
    "sample_class": np.array([0, 1, 1, 1]),
    "sample_confidence": np.array([0.95, 0.9, 0.5, 0.2]),
    "real_confidence": np.array([0.95, 0.9, 0.99, 0.2]),
}


def test_the_measures_by_hand():
    """Of 255 levels the images are 0, 51, 255, 204 and the samples 0, 110, 110, 229."""
    measured = view().summarize(OUTPUTS, conditional=True)
    assert measured["frechet"] == pytest.approx(9)  # means 3 apart, the same deviation
    assert measured["nearest"] == pytest.approx((0 + 59 + 59 + 25) / 255 / 4, rel=1e-5)
    assert measured["nearest_real"] == pytest.approx((51 + 51 + 51 + 51) / 255 / 4, rel=1e-5)  # no image is its own neighbour
    assert (measured["confident"], measured["confident_real"]) == (0.5, 0.75)
    assert measured["coverage"] == pytest.approx(2 / 3) and measured["class_error"] == 0.25
    # Images 0 and 51 lie next to the samples 0 (class 0) and 0 (class 0), 255 and 204 next to 229 (class 1).
    assert measured["neighbour_error"] == 0.5


def test_without_labels_or_a_classifier_there_are_fewer():
    measured = view().summarize({k: v for k, v in OUTPUTS.items() if "class" not in k}, conditional=False)
    assert set(measured) == {"frechet", "nearest", "nearest_real"}


def test_outputs_are_pixels_again():
    """Standardised by 0.25 and 0.5: -0.5, 0.5 and 9 are the pixels 0, 0.5 and (clipped) 1."""
    made = view().outputs(jnp.array([-0.5, 0.5, 9.0]).reshape(-1, 1, 1, 1), jnp.zeros((3, 1, 1, 1)))
    np.testing.assert_array_equal(made["real"].ravel(), [0, 128, 255])
    np.testing.assert_allclose(made["real_features"].ravel(), [0, 0.5, 1])
    np.testing.assert_array_equal(made["sample"].ravel(), [64] * 3)
