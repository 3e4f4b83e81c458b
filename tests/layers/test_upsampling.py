"""Upsampling and atrous convolution beside PyTorch's (tests/pytorch/segmentation.py), and worked examples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.layers.backend import stock_operations
from dl.layers.convolution import convolve
from dl.layers.transposed_convolution import convolve_transposed
from dl.layers.upsampling import bilinear_kernel, cut, padded_to, pool_with_places, resized, unpool
from tests.layers.test_pytorch import check, with_gradients
from tests.pytorch import recorded
from tests.pytorch.draw import uniform


@pytest.mark.parametrize("case", [name for name in recorded.cases("segmentation") if name.startswith("bilinear")])
def test_bilinear(case):
    before, _, after = case.removeprefix("bilinear ").partition(" to ")
    sides, size = (tuple(map(int, text.split("x"))) for text in (before, after))
    ours = with_gradients(lambda x: resized(x, size), uniform("x", (1, *sides, 2)))
    check(ours, recorded.arrays("segmentation", case))


def test_unpooling():
    def function(x):
        maxima, places = pool_with_places(x)
        return unpool(maxima * maxima + 1, places)

    check(with_gradients(function, uniform("x", (1, 6, 8, 3))), recorded.arrays("segmentation", "unpooled"))


def test_places_of_a_worked_example():
    x = jnp.array([[1, 9, 3, 3], [4, 2, 5, 3]], jnp.float32)[None, :, :, None]
    maxima, places = pool_with_places(x)
    np.testing.assert_array_equal(maxima[0, :, :, 0], [[9, 5]])
    np.testing.assert_array_equal(places[0, :, :, 0], [[1, 2]])
    np.testing.assert_array_equal(unpool(maxima, places)[0, :, :, 0], [[0, 9, 0, 0], [0, 0, 5, 0]])
    _, first = pool_with_places(jnp.full((1, 2, 2, 1), 7.0))
    assert first.item() == 0


@pytest.mark.parametrize("dilation", [2, 3])
def test_atrous_convolution(dilation):
    x, kernel, pair = *map(jnp.asarray, (uniform("x", (1, 9, 7, 16)), uniform("kernel", (3, 3, 16, 2)))), (dilation, dilation)
    ours = with_gradients(lambda x, kernel: convolve(x, kernel, padding=dilation, dilation=pair), x, kernel)
    check(ours, recorded.arrays("segmentation", f"dilated {dilation}"))
    with stock_operations():
        np.testing.assert_allclose(convolve(x, kernel, padding=dilation, dilation=pair), ours["outputs"], atol=1e-4)


def test_the_bilinear_kernel_interpolates():
    x = jnp.asarray(uniform("x", (1, 4, 5, 3)))
    kernel = bilinear_kernel(jax.random.key(0), (4, 4, 3, 3))
    np.testing.assert_allclose(kernel[:, :, 0, 0], np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 16)
    ours, wanted = convolve_transposed(x, kernel, 2), resized(x, (8, 10))
    np.testing.assert_allclose(ours[:, 1:-1, 1:-1], wanted[:, 1:-1, 1:-1], atol=1e-6)  # rims are faded out and not repeated


def test_images_are_padded_by_their_rims_and_cut_out_again():
    x = jnp.asarray(uniform("x", (2, 5, 8, 3)))
    padded, window = padded_to(x, 4)
    assert padded.shape == (2, 8, 8, 3) and window == ((1, 6), (0, 8))
    np.testing.assert_array_equal(cut(padded, window), x)
    np.testing.assert_array_equal(padded[:, 0], x[:, 0])
    np.testing.assert_array_equal(padded[:, 7], x[:, 4])
