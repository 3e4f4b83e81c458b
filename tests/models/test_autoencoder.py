"""Autoencoders: tied weights are the transpose, the contractive penalty is the Jacobian's norm, layers compose."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.errors import UserError
from dl.models.autoencoder import ConvAutoencoder, DenseAutoencoder


def made(model, batch=3):
    """Parameters, the biases drawn too, and inputs."""

    @jax.jit
    def make():
        x = jax.random.uniform(jax.random.key(1), (batch, *model.shape))
        params = model.init(jax.random.key(0), x)["params"]
        return jax.tree.map(lambda p: p + 0.1 * jax.random.normal(jax.random.key(p.size), p.shape), params), x

    return make()


def applied(model, params, x, method):
    return jax.jit(lambda p, x: model.apply({"params": p}, x, method=method))(params, x)


def test_parameters_of_a_tied_and_an_untied_layer_on_mnist():
    for tied, count in ((True, 393_284), (False, 785_284)):
        model = DenseAutoencoder((28, 28, 1), tied=tied)
        shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 28, 28, 1)))["params"]
        assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == count


def test_a_tied_decoder_multiplies_with_the_transpose():
    model = DenseAutoencoder((4, 3, 1), hidden=(5,), tied=True)
    params, x = made(model)
    p = params["layer_0"]
    code = nn.sigmoid(x.reshape(3, 12) @ p["kernel"] + p["bias"])
    expected = nn.sigmoid(code @ p["kernel"].T + p["decoder_bias"])
    np.testing.assert_allclose(applied(model, params, x, None).reshape(3, 12), expected, atol=1e-6)
    assert set(p) == {"kernel", "bias", "decoder_bias"}


def test_an_untied_decoder_has_weights_of_its_own():
    model = DenseAutoencoder((4, 3, 1), hidden=(5,), activation="tanh", output="identity", tied=False)
    params, x = made(model)
    p = params["layer_0"]
    code = jnp.tanh(x.reshape(3, 12) @ p["kernel"] + p["bias"])
    expected = code @ p["decoder_kernel"] + p["decoder_bias"]
    np.testing.assert_allclose(applied(model, params, x, None).reshape(3, 12), expected, atol=1e-6)


@pytest.mark.parametrize(
    "model",
    [
        DenseAutoencoder((6, 5, 1), hidden=(7, 4, 3), activation="tanh"),
        DenseAutoencoder((6, 5, 1), hidden=(7, 2), activation="relu", linear_code=True),
        ConvAutoencoder((7, 6, 3), features=(4, 5), code=2),
    ],
)
def test_encoding_layer_by_layer_is_encoding_at_once_and_shapes_come_back(model):
    params, x = made(model)
    layers = len(params)

    @jax.jit
    def one_by_one(params, x):
        for i in range(layers):
            below, x = x, model.apply({"params": params}, x, i, i + 1, method="encode")
            assert model.apply({"params": params}, x, i, i + 1, method="decode").shape == below.shape
        return x

    np.testing.assert_allclose(one_by_one(params, x), applied(model, params, x, "encode"), atol=1e-5)
    assert applied(model, params, x, None).shape == x.shape
    assert sorted(params) == [f"layer_{i}" for i in range(layers)]


def test_codes_of_the_convolutional_one():
    model = ConvAutoencoder((28, 28, 1), features=(16, 32))
    params, x = jax.eval_shape(lambda: made(model))
    assert jax.eval_shape(lambda p, x: applied(model, p, x, "encode"), params, x).shape == (3, 7, 7, 32)
    count = (9 * 16 + 16) + (9 * 16 + 1) + (9 * 16 * 32 + 32) + (9 * 32 * 16 + 16)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == count


@pytest.mark.parametrize("activation", ["logistic", "tanh", "relu"])
def test_the_contractive_penalty_is_the_squared_norm_of_the_jacobian(activation):
    model = DenseAutoencoder((4, 3, 1), hidden=(5,), activation=activation, tied=True)
    params, x = made(model)
    jacobians = jax.vmap(jax.jacobian(lambda one: model.apply({"params": params}, one[None], method="encode")[0]))(x)
    expected = jnp.square(jacobians).sum(axis=(1, 2, 3, 4))
    np.testing.assert_allclose(applied(model, params, x, "contraction"), expected, rtol=1e-5)


def test_the_contractive_penalty_of_logistic_units_is_as_published():
    model = DenseAutoencoder((4, 3, 1), hidden=(5,), tied=True)
    params, x = made(model)
    h = applied(model, params, x, "encode")
    w = params["layer_0"]["kernel"]
    published = (jnp.square(h * (1 - h))[:, None, :] * jnp.square(w)[None]).sum(axis=(1, 2))  # Rifai et al. 2011, section 3
    np.testing.assert_allclose(applied(model, params, x, "contraction"), published, rtol=1e-5)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (DenseAutoencoder((4, 3, 1), hidden=()), "model.hidden must list at least one layer"),
        (ConvAutoencoder((4, 3, 1), features=(4, 0)), "model.features must list"),
        (DenseAutoencoder((4, 3, 1), activation="softmax"), "unknown activation of an autoencoder 'softmax'"),
        (DenseAutoencoder((4, 3, 1), output="sigmoid"), "Choices: arctan, elu, identity"),
    ],
)
def test_mistakes_are_named(model, message):
    with pytest.raises(UserError, match=message):
        jax.eval_shape(lambda: made(model))
