"""PSNR and SSIM against scikit-image, the luminance against MATLAB's, and what images of several sizes in one array give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from dl.evaluation import image_quality as quality

SIZES = ((30, 41), (37, 25))


@pytest.fixture(scope="module")
def images() -> tuple[np.ndarray, np.ndarray]:
    """An original [2, 40, 44, 1] and what was made of it; beyond an image stands what must not count."""
    random = np.random.default_rng(0)
    original = random.random((2, 40, 44, 1)).astype(np.float32)
    made = (original + 0.1 * random.standard_normal(original.shape)).astype(np.float32)
    for row, (height, width) in enumerate(SIZES):
        made[row, height:], made[row, :, width:] = 7.0, -5.0
    return made, original


@pytest.mark.parametrize("border", [4])
def test_psnr_and_ssim_are_those_of_scikit_image(images, border):
    made, original = images
    size = jnp.array(SIZES, jnp.int32)
    measure = jax.jit(lambda x, y: {"psnr": quality.psnr(x, y, size, border), "ssim": quality.ssim(x, y, size, border)})
    ours = measure(jnp.asarray(made), jnp.asarray(original))
    for row, (height, width) in enumerate(SIZES):
        x, y = (a[row, border : height - border, border : width - border, 0].astype(np.float64) for a in (made, original))
        similarity = structural_similarity(y, x, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0)
        assert ours["psnr"][row] == pytest.approx(peak_signal_noise_ratio(y, x, data_range=1.0), abs=1e-4)
        assert ours["ssim"][row] == pytest.approx(similarity, abs=1e-5)
        assert similarity < 0.99


def test_the_luminance_is_that_of_rgb2ycbcr_and_colours_come_back():
    rgb = np.random.default_rng(1).random((1, 5, 6, 3)).astype(np.float32)
    theirs = rgb2ycbcr(rgb) / 255
    y, chroma = quality.luminance(jnp.asarray(rgb)), quality.chrominance(jnp.asarray(rgb))
    np.testing.assert_allclose(np.concatenate([y, chroma], -1), theirs, atol=1e-6)
    np.testing.assert_allclose(quality.coloured(y, chroma), rgb, atol=1e-5)


def test_a_grey_image_is_measured_by_its_levels():
    rgb = jnp.broadcast_to(jnp.linspace(0, 1, 8).reshape(1, 1, 8, 1), (2, 1, 8, 3))
    found = quality.levels(rgb, jnp.array([True, False]))
    np.testing.assert_allclose(found[0, 0, :, 0], np.linspace(0, 1, 8), atol=1e-6)
    np.testing.assert_allclose(found[1, 0, [0, -1], 0], [16 / 255, 235 / 255], atol=1e-6)
