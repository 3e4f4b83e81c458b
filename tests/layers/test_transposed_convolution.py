"""The transposed convolution equals XLA's and Linen's, values and gradients, for any kernel, stride and backend."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from dl.layers.backend import stock_operations
from dl.layers.convolution import convolve
from dl.layers.transposed_convolution import ConvTranspose, convolve_transposed
from tests.pytorch import recorded

CASES = [(4, 4, 2), (5, 5, 2), (3, 3, 2), (2, 2, 2), (3, 5, 3), (4, 3, 1), (3, 3, 4)]


def operands(rows, columns, dtype=jnp.float32):
    a, b = jax.random.split(jax.random.key(0))
    return jax.random.normal(a, (3, 5, 7, 4), dtype), jax.random.normal(b, (rows, columns, 4, 6), dtype)


@pytest.mark.parametrize(("rows", "columns", "stride"), CASES)
def test_values_and_gradients_are_those_of_lax(rows, columns, stride):
    x, kernel = operands(rows, columns)

    def reference(x, kernel):
        return lax.conv_transpose(x, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    weights = jax.random.normal(jax.random.key(2), reference(x, kernel).shape)

    def results(convolution):
        made, back = jax.vjp(convolution, x, kernel)
        return made, *back(weights)

    ours = jax.jit(lambda: results(lambda x, kernel: convolve_transposed(x, kernel, stride)))()
    for a, b in zip(ours, jax.jit(lambda: results(reference))(), strict=True):
        np.testing.assert_allclose(a, b, atol=5e-5)


def test_the_cpu_form_is_taken_and_the_stock_one_elsewhere():
    x, kernel = operands(4, 4)

    def primitives():
        return {str(e.primitive) for e in jax.make_jaxpr(lambda: convolve_transposed(x, kernel))().jaxpr.eqns}

    assert "conv_general_dilated" not in primitives()
    with stock_operations():
        assert "conv_general_dilated" in primitives()


def test_layer_has_linens_parameters_and_results():
    x, _ = operands(4, 4)
    ours = ConvTranspose(6, (4, 4), 2)
    theirs = nn.ConvTranspose(6, (4, 4), (2, 2), padding="SAME")
    params = ours.init(jax.random.key(1), x)
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, theirs.init(jax.random.key(1), x))
    params["params"]["bias"] += jnp.arange(6.0)
    np.testing.assert_allclose(ours.apply(params, x), theirs.apply(params, x), atol=1e-5)


@pytest.mark.parametrize(
    ("taps", "places", "pytorch"),
    [
        (2, [2, 3], [2, 3]),
        (3, [2, 3, 4], [1, 2, 3]),
        (4, [1, 2, 3, 4], [1, 2, 3, 4]),
        (5, [1, 2, 3, 4, 5], [0, 1, 2, 3, 4]),
    ],
)
def test_where_a_kernel_lands_as_the_module_says(taps, places, pytorch):
    """The only bright pixel is at place 1 of 4; of the 8 places of the result these are bright."""
    x = jnp.zeros((1, 4, 4, 1)).at[0, 1, 1, 0].set(1.0)
    y = np.asarray(convolve_transposed(x, jnp.ones((taps, taps, 1, 1))))[0, :, :, 0]
    assert y.shape == (8, 8)
    np.testing.assert_array_equal(np.argwhere(y), [(row, column) for row in places for column in places])
    theirs = recorded.arrays("layers", f"transposed {taps}, one bright pixel")["outputs"]
    np.testing.assert_array_equal(np.argwhere(theirs), [(row, column) for row in pytorch for column in pytorch])


def test_is_the_adjoint_of_a_strided_convolution():
    # <conv(y), x> = <y, conv_transpose(x)>: with the kernel turned by 180 degrees and its channels exchanged.
    x, kernel = operands(4, 4)
    y = jax.random.normal(jax.random.key(3), (3, 10, 14, 6))
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    down = lax.conv_general_dilated(y, turned, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    np.testing.assert_allclose((down * x).sum(), (y * convolve_transposed(x, kernel)).sum(), rtol=1e-4)


def test_bfloat16_computes_in_bfloat16_with_float32_parameters():
    x, _ = operands(4, 4)
    layer = ConvTranspose(6, (4, 4), dtype=jnp.bfloat16)
    y, params = layer.init_with_output(jax.random.key(1), x)
    assert y.dtype == jnp.bfloat16 and {p.dtype for p in jax.tree.leaves(params)} == {jnp.dtype("float32")}


@pytest.mark.parametrize(
    ("rows", "columns", "stride", "padding", "sides"),
    [
        (4, 4, 2, "SAME", (14, 14)),
        (4, 2, 2, "VALID", (9, 12)),
        (3, 6, 3, ((1, 2), (0, 4)), (11, 10)),
        (2, 2, 2, ((-1, 0), (0, -2)), (8, 8)),
    ],
)
def test_a_wide_strided_convolution_in_blocks_is_that_of_lax(rows, columns, stride, padding, sides):
    a, b = jax.random.split(jax.random.key(0))
    x, kernel = jax.random.normal(a, (2, *sides, 16)), jax.random.normal(b, (rows, columns, 16, 64)) / 16

    def reference(x, kernel):
        layout = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=layout)

    def results(convolution):
        return jax.jit(jax.value_and_grad(lambda *a: jnp.sin(convolution(*a)).sum(), (0, 1)))(x, kernel)

    ours, theirs = results(lambda x, kernel: convolve(x, kernel, (stride, stride), padding)), results(reference)
    for p, q in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(p, q, atol=2e-4, rtol=1e-4)
