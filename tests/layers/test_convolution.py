"""The convolution by patches against a loop in NumPy, and against Linen's own, gradients included."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.errors import UserError
from dl.layers import backend, convolution
from dl.layers.convolution import Conv, convolve


@pytest.fixture(params=[True, False], ids=["matmul", "stock"])
def implementation(request, monkeypatch):
    monkeypatch.setattr(backend, "prefers_matmul", lambda: request.param)


def by_hand(x, kernel, strides, pads, dilation, groups):
    """The definition, one output at a time."""
    x = np.pad(x, ((0, 0), *pads, (0, 0)))
    rows, columns, _, features = kernel.shape
    (down, right), (apart, aside) = strides, dilation
    height = (x.shape[1] - (rows - 1) * apart - 1) // down + 1
    width = (x.shape[2] - (columns - 1) * aside - 1) // right + 1
    y = np.zeros((len(x), height, width, features))
    for n, i, j, o in np.ndindex(*y.shape):
        group = o // (features // groups)
        inputs = range(group * kernel.shape[2], (group + 1) * kernel.shape[2])
        for r, c in np.ndindex(rows, columns):
            pixel = x[n, i * down + r * apart, j * right + c * aside]
            y[n, i, j, o] += pixel[list(inputs)] @ kernel[r, c, :, o]
    return y


CASES = {
    # name: image, kernel, strides, padding, the same in pads, dilation, groups
    "valid": ((7, 8, 3), (3, 3, 3, 4), (1, 1), "VALID", ((0, 0), (0, 0)), (1, 1), 1),
    "same": ((6, 9, 2), (3, 3, 2, 4), (1, 1), "SAME", ((1, 1), (1, 1)), (1, 1), 1),
    "even kernel, same": ((6, 6, 1), (2, 4, 1, 3), (1, 1), "SAME", ((0, 1), (1, 2)), (1, 1), 1),
    "strides 2, same": ((8, 8, 2), (3, 3, 2, 4), (2, 2), "SAME", ((0, 1), (0, 1)), (1, 1), 1),
    "strides 1 and 3": ((7, 12, 2), (5, 4, 2, 4), (1, 3), "VALID", ((0, 0), (0, 0)), (1, 1), 1),
    "strides over the kernel": ((9, 9, 2), (1, 1, 2, 4), (2, 2), "VALID", ((0, 0), (0, 0)), (1, 1), 1),
    "padding 2": ((8, 8, 1), (5, 5, 1, 6), (1, 1), 2, ((2, 2), (2, 2)), (1, 1), 1),
    "padding by side": ((5, 6, 2), (3, 3, 2, 2), (2, 1), ((1, 0), (2, 1)), ((1, 0), (2, 1)), (1, 1), 1),
    "whole image": ((5, 5, 4), (5, 5, 4, 7), (1, 1), "VALID", ((0, 0), (0, 0)), (1, 1), 1),
    "many maps": ((4, 4, 2), (3, 3, 2, 64), (1, 1), "SAME", ((1, 1), (1, 1)), (1, 1), 1),
    "dilation": ((9, 9, 2), (3, 3, 2, 4), (1, 1), "VALID", ((0, 0), (0, 0)), (2, 3), 1),
    "groups": ((6, 6, 4), (3, 3, 2, 6), (1, 1), "SAME", ((1, 1), (1, 1)), (1, 1), 2),
    "deep groups": ((4, 5, 32), (3, 3, 16, 4), (1, 1), "SAME", ((1, 1), (1, 1)), (1, 1), 2),
}


@pytest.mark.usefixtures("implementation")
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_equals_the_definition(case):
    image, shape, strides, padding, pads, dilation, groups = case
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, *image)).astype(np.float32), rng.normal(size=shape).astype(np.float32)
    y = jax.jit(lambda x, kernel: convolve(x, kernel, strides, padding, dilation, groups))(x, kernel)
    np.testing.assert_allclose(y, by_hand(x, kernel, strides, pads, dilation, groups), atol=1e-5, rtol=1e-5)


def test_worked_example():
    # A Sobel kernel on a vertical edge of height 1: 1 + 2 + 1 where the edge is.
    image = jnp.array([[0.0, 0.0, 1.0, 1.0]] * 3).reshape(1, 3, 4, 1)
    sobel = jnp.array([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]).reshape(3, 3, 1, 1)
    np.testing.assert_array_equal(convolve(image, sobel, padding="VALID").ravel(), [4.0, 4.0])


@pytest.mark.parametrize("parts", [1, 4], ids=["whole", "in parts"])
@pytest.mark.parametrize(
    "settings",
    [
        {"features": 6, "kernel_size": (5, 5), "padding": 2},
        {"features": 5, "kernel_size": (3, 3), "strides": 2},
        {"features": 4, "kernel_size": (3, 3), "padding": "VALID", "use_bias": False},
        {"features": 6, "kernel_size": (3, 3), "feature_group_count": 3},
    ],
    ids=str,
)
def test_equals_linen_with_its_gradients(settings, parts, monkeypatch):
    monkeypatch.setattr(backend, "prefers_matmul", lambda: True)
    x = jax.random.normal(jax.random.key(1), (8, 10, 10, 3))
    if parts > 1:
        monkeypatch.setattr(convolution, "PATCH_BYTES", 10_000)
    stock, ours = nn.Conv(**settings), Conv(**settings)
    params = stock.init(jax.random.key(0), x)
    assert jax.tree.map(jnp.shape, jax.eval_shape(ours.init, jax.random.key(0), x)) == jax.tree.map(jnp.shape, params)

    def value_and_gradients(module):
        def loss(params, x):
            y = module.apply(params, x)
            return (jnp.sin(y) * jnp.arange(y.size).reshape(y.shape) / y.size).sum(), y

        return jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(params, x)

    (_, expected), expected_gradients = value_and_gradients(stock)
    (_, y), gradients = value_and_gradients(ours)
    np.testing.assert_allclose(y, expected, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4, rtol=1e-4), gradients, expected_gradients)


def test_parts_are_taken_where_the_patches_are_large(monkeypatch):
    monkeypatch.setattr(backend, "prefers_matmul", lambda: True)
    x, kernel = jnp.ones((8, 10, 10, 3)), jnp.ones((3, 3, 3, 4))
    assert "scan" not in str(jax.make_jaxpr(convolve)(x, kernel))
    monkeypatch.setattr(convolution, "PATCH_BYTES", 10_000)
    assert "scan" in str(jax.make_jaxpr(lambda x, k: convolve(x, k))(x, kernel))


@pytest.mark.usefixtures("implementation")
def test_bfloat16_computes_in_it_and_keeps_float32_parameters():
    conv, x = Conv(4, (3, 3), dtype=jnp.bfloat16), jnp.ones((2, 6, 6, 1))
    y, params = jax.eval_shape(conv.init_with_output, jax.random.key(0), x)
    assert {p.dtype for p in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    assert y.dtype == jnp.bfloat16


@pytest.mark.usefixtures("implementation")
def test_a_kernel_larger_than_the_image_is_a_clear_error():
    with pytest.raises(UserError, match="5x5 convolution does not fit images of 4x6"):
        convolve(jnp.ones((1, 4, 6, 1)), jnp.ones((5, 5, 1, 1)), padding="VALID")


def test_an_image_with_too_many_patches_is_left_to_xla(monkeypatch):
    monkeypatch.setattr(backend, "prefers_matmul", lambda: True)
    x, kernel = jnp.ones((1, 12, 12, 2)), jnp.ones((3, 3, 2, 4))

    def operations(limit: int) -> str:
        monkeypatch.setattr(convolution, "IMAGE_BYTES", limit)
        return str(jax.make_jaxpr(lambda x: convolve(x, kernel))(x))

    assert "conv_general_dilated" in operations(1000) and "conv_general_dilated" not in operations(100_000)
