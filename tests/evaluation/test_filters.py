"""The first layer's weights as images."""

import numpy as np
import pytest

from dl.evaluation.filters import first_layer_filters

RNG = np.random.default_rng(0)


def conv(h, w, c, n):
    return {"kernel": RNG.normal(size=(h, w, c, n)).astype(np.float32), "bias": np.zeros(n)}


def dense(n, m):
    return {"kernel": RNG.normal(size=(n, m)).astype(np.float32), "bias": np.zeros(m)}


def test_a_convolution_that_reads_the_image():
    params = {"model": {"conv2": conv(5, 5, 6, 16), "conv1": conv(5, 5, 1, 6), "dense": dense(784, 10)}}
    images = first_layer_filters(params, (28, 28, 1))
    assert images.pixels.shape == (6, 5, 5, 1)
    kernel = params["model"]["conv1"]["kernel"]
    np.testing.assert_allclose(images.pixels[2], 0.5 + 0.5 * kernel[..., 2] / np.abs(kernel[..., 2]).max(), rtol=1e-6)


def test_zero_is_mid_grey_and_the_largest_is_black_or_white():
    kernel = np.zeros((2, 2, 1, 2), np.float32)
    kernel[..., 0] = [[[-4], [2]], [[0], [1]]]
    pixels = first_layer_filters({"c": {"kernel": kernel}}, (9, 9, 1)).pixels
    assert pixels[0, ..., 0].tolist() == [[0.0, 0.75], [0.5, 0.625]]
    assert (pixels[1] == 0.5).all()


def test_a_dense_layer_that_reads_the_pixels():
    params = {"model": {"hidden": dense(8 * 7 * 3, 100), "output": dense(100, 10)}}
    images = first_layer_filters(params, (8, 7, 3))
    assert images.pixels.shape == (64, 8, 7, 3)
    column = params["model"]["hidden"]["kernel"][:, 5].reshape(8, 7, 3)
    np.testing.assert_allclose(images.pixels[5], 0.5 + 0.5 * column / np.abs(column).max(), rtol=1e-6)
    assert first_layer_filters(params, (8, 7, 3), limit=9).pixels.shape == (9, 8, 7, 3)


def test_of_several_the_first_by_number():
    params = {f"Dense_{i}": dense(64, 64 - i) for i in (10, 2, 9)}
    assert first_layer_filters(params, (8, 8, 1)).pixels.shape[0] == 62


@pytest.mark.parametrize(
    ("params", "shape"),
    [
        ({}, (8, 8, 1)),
        ({"embedding": {"embedding": np.zeros((100, 16))}}, (8, 8, 1)),
        ({"conv": conv(1, 1, 3, 8)}, (8, 8, 3)),  # one pixel is no image
        ({"conv": conv(3, 3, 2, 8)}, (8, 8, 2)),  # two channels are no colour
        ({"dense": dense(64, 10)}, (64,)),
    ],
)
def test_none_where_nothing_reads_the_image(params, shape):
    assert first_layer_filters(params, shape) is None
