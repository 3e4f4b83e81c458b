"""Published numbers of parameters, layer by layer, the shapes of outputs, and what all models of images have in common."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl import registry
from dl.errors import UserError

COUNTS = {
    "logistic_regression": {"dense1": 7850},
    "mlp": {"dense1": 401_920, "dense2": 5130},
    "lenet5": {"C1": 156, "S2": 12, "C3": 1516, "S4": 32, "C5": 48_120, "F6": 10_164},
    "lenet5_modern": {"conv1": 156, "conv2": 2416, "dense1": 48_120, "dense2": 10_164, "dense3": 850},
    "sigmoid_convnet": {"conv1": 832, "conv2": 51_264, "dense1": 313_700, "dense2": 1010},
}
TOTALS = {"logistic_regression": 7850, "mlp": 407_050, "lenet5": 60_000, "lenet5_modern": 61_706, "sigmoid_convnet": 366_806}


def build(name, **settings):
    return registry.find("dl.models", "model", name)(**settings)


def images(name, batch=2):
    side = 32 if name == "lenet5" else 28
    return jax.random.normal(jax.random.key(7), (batch, side, side, 1))


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_of_each_layer(name):
    shapes = jax.eval_shape(build(name).init, jax.random.key(0), images(name))["params"]
    counts = {layer: sum(leaf.size for leaf in jax.tree.leaves(tree)) for layer, tree in shapes.items()}
    assert counts == COUNTS[name]
    assert sum(counts.values()) == TOTALS[name]


def test_mlp_of_two_hidden_layers():
    shapes = jax.eval_shape(build("mlp", hidden=(30, 20)).init, jax.random.key(0), images("mlp"))["params"]
    assert {k: v["kernel"].shape for k, v in shapes.items()} == {"dense1": (784, 30), "dense2": (30, 20), "dense3": (20, 10)}


@pytest.mark.parametrize("name", COUNTS)
def test_bfloat16_keeps_float32_parameters_and_logits(name):
    model, x = build(name, num_classes=7, dtype=jnp.bfloat16), images(name, 3)
    logits, variables = jax.jit(model.init_with_output)(jax.random.key(0), x)
    assert (logits.shape, logits.dtype) == ((3, 7), jnp.float32)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    exact = jax.jit(build(name, num_classes=7).apply)(variables, x)
    np.testing.assert_allclose(logits, exact, rtol=0.05, atol=0.05 * float(jnp.abs(exact).max()) + 1e-6)


@pytest.mark.parametrize("name", ["mlp", "lenet5_modern", "sigmoid_convnet"])
def test_dropout_in_training_only(name):
    model, x = build(name, dropout=0.5), images(name)
    params = jax.jit(model.init)(jax.random.key(0), x)
    train = jax.jit(lambda key: model.apply(params, x, True, rngs={"dropout": key}))
    assert not np.allclose(train(jax.random.key(1)), train(jax.random.key(2)))
    np.testing.assert_allclose(jax.jit(model.apply)(params, x), build(name).apply(params, x), atol=1e-5)


@pytest.mark.parametrize("activation", ["prelu", "rrelu", "softmax"])
def test_mlp_passes_training_on_to_its_activations(activation):
    model, x = build("mlp", hidden=(16,), activation=activation), images("mlp")
    params = model.init(jax.random.key(0), x)
    assert ("activation1" in params["params"]) == (activation == "prelu")
    training = model.apply(params, x, True, rngs={"dropout": jax.random.key(1)})
    assert np.array_equal(training, model.apply(params, x)) == (activation != "rrelu")


def test_padded_and_larger_images_have_the_same_parameters():
    model = build("lenet5_modern")
    x = images("lenet5_modern")
    params = jax.jit(model.init)(jax.random.key(0), x)
    padded = jnp.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)))
    np.testing.assert_allclose(model.apply(params, x), model.apply(params, padded), atol=1e-5)


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_sigmoid_convnet_pools_what_the_logistic_function_gives(pooling):
    # The lecture's order, written out: convolution, logistic function, pooling.
    model, x = build("sigmoid_convnet", pooling=pooling), images("sigmoid_convnet")
    params = jax.jit(model.init)(jax.random.key(0), x)["params"]
    y = x
    for layer in ("conv1", "conv2"):
        layout = ("NHWC", "HWIO", "NHWC")
        y = jax.lax.conv_general_dilated(y, params[layer]["kernel"], (1, 1), "SAME", dimension_numbers=layout)
        y = jax.nn.sigmoid(y + params[layer]["bias"])
        y = y.reshape(len(y), y.shape[1] // 2, 2, y.shape[2] // 2, 2, -1)
        y = y.max((2, 4)) if pooling == "max" else y.mean((2, 4))
    y = jax.nn.sigmoid(y.reshape(len(y), -1) @ params["dense1"]["kernel"] + params["dense1"]["bias"])
    y = y @ params["dense2"]["kernel"] + params["dense2"]["bias"]
    np.testing.assert_allclose(model.apply({"params": params}, x), y, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("lenet5", (28, 28, 1), r"lenet5 takes 32x32x1 images, got 28x28x1: set --config.dataset.size=\(32,32\)"),
        ("lenet5", (32, 32, 3), "got 32x32x3"),
        ("lenet5_modern", (8, 8, 1), "lenet5_modern takes 28x28 or 32x32 images, got 8x8x1"),
        ("sigmoid_convnet", (3, 8, 1), "at least 4x4, got 3x8"),
    ],
)
def test_an_image_size_that_does_not_fit_is_a_clear_error(name, shape, message):
    with pytest.raises(UserError, match=message):
        jax.eval_shape(build(name).init, jax.random.key(0), jnp.ones((1, *shape)))


def test_logistic_regression_starts_at_uniform_predictions():
    logits, _ = build("logistic_regression").init_with_output(jax.random.key(0), images("logistic_regression"))
    np.testing.assert_array_equal(logits, np.zeros((2, 10)))
