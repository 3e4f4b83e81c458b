"""VGG: published counts, sizes, biases that BatchNorm subtracts again, and the lecture's table of memory and weights."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import imagenet_vgg16
from dl import registry
from dl.errors import UserError
from dl.models.vgg import VGG
from dl.training.assembly import assemble
from dl.training.explain import explain
from experiments import explain as program

TOTALS = {"vgg11": 132_863_336, "vgg13": 133_047_848, "vgg16": 138_357_544, "vgg19": 143_667_240}
TOTALS |= {"vgg11_bn": 132_868_840, "vgg13_bn": 133_053_736, "vgg16_bn": 138_365_992, "vgg19_bn": 143_678_248}


def build(name, **settings):
    return registry.find("dl.models", "model", name)(**settings)


def shapes(model, side=224):
    return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, side, side, 3)))


@pytest.mark.parametrize("name", TOTALS)
def test_published_parameters(name):
    made = shapes(build(name))
    assert sum(leaf.size for leaf in jax.tree.leaves(made["params"])) == TOTALS[name]
    assert ("batch_stats" in made) == name.endswith("bn")
    assert len([layer for layer in made["params"] if layer.startswith(("conv", "fc"))]) == int(name[3:5])


def test_any_size_from_32():
    for side in (32, 33, 300):
        made = jax.eval_shape(
            lambda side=side: VGG(11, num_classes=7).init_with_output(jax.random.key(0), jnp.zeros((1, side, 32, 3)))[0]
        )
        assert made.shape == (1, 7)
    with pytest.raises(UserError, match="too small for pool5 of vgg13: give one of at least 32x32"):
        shapes(VGG(13), 31)


def test_no_optimizer_moves_the_biases_that_batchnorm_subtracts_again():
    """Their gradient is exactly 0, where rounding would leave noise that Adam makes full steps of; all else moves."""
    model = VGG(11, True, num_classes=3)
    x, wanted = jax.random.normal(jax.random.key(1), (2, 16, 16, 3)), ("conv2_1",)
    variables = jax.jit(lambda: model.init(jax.random.key(0), x, wanted, method="features"))()
    params, rest = variables["params"], {"batch_stats": variables["batch_stats"]}
    adam = optax.adam(0.01)

    def step(params):
        def loss(params):
            variables = {"params": params, **rest}
            found, _ = model.apply(variables, x, wanted, True, method="features", mutable=["batch_stats"])
            return jnp.square(found["conv2_1"] - 1).mean()

        gradient = jax.grad(loss)(params)
        updates, _ = adam.update(gradient, adam.init(params), params)
        return gradient, optax.apply_updates(params, updates)

    gradient, moved = jax.jit(step)(params)
    for layer in ("conv1_1", "conv2_1"):
        assert not np.any(gradient[layer]["bias"])
        np.testing.assert_array_equal(moved[layer]["bias"], params[layer]["bias"])
        assert np.abs(moved[layer]["kernel"] - params[layer]["kernel"]).max() > 0.005
        norm = layer.replace("conv", "norm")
        assert np.abs(moved[norm]["bias"] - params[norm]["bias"]).min() > 0.005


def test_their_true_gradient_is_zero_and_in_evaluation_they_count():
    """What the biases are does not matter to what training gives; it does to evaluation, by the running means."""
    model = VGG(11, True)
    x = jax.random.normal(jax.random.key(1), (4, 16, 16, 3))
    variables = jax.jit(lambda: model.init(jax.random.key(0), x, ("conv1_1",), method="features"))()

    @jax.jit
    def outputs(bias):
        params = {**variables["params"], "conv1_1": {**variables["params"]["conv1_1"], "bias": bias}}
        given = {**variables, "params": params}
        trained, _ = model.apply(given, x, ("conv1_1",), True, method="features", mutable=["batch_stats"])
        return trained["conv1_1"], model.apply(given, x, ("conv1_1",), method="features")["conv1_1"]

    (trained, evaluated), (trained_more, evaluated_more) = outputs(jnp.zeros(64)), outputs(jnp.ones(64))
    np.testing.assert_allclose(trained, trained_more, atol=1e-4)
    assert np.abs(evaluated - evaluated_more).max() > 0.9


# The lectures' table of VGG-16: what each layer remembers of one image, in numbers, and its weights, without biases. With the
# image the rows add up to 15.2 million numbers, 61 MB; the total printed under them, "24M * 4 bytes", is not their sum.
LECTURE = {
    "conv1_1": (224 * 224 * 64, 3 * 3 * 3 * 64),
    "conv1_2": (224 * 224 * 64, 3 * 3 * 64 * 64),
    "pool1": (112 * 112 * 64, 0),
    "conv2_1": (112 * 112 * 128, 3 * 3 * 64 * 128),
    "conv2_2": (112 * 112 * 128, 3 * 3 * 128 * 128),
    "pool2": (56 * 56 * 128, 0),
    "conv3_1": (56 * 56 * 256, 3 * 3 * 128 * 256),
    "conv3_2": (56 * 56 * 256, 3 * 3 * 256 * 256),
    "conv3_3": (56 * 56 * 256, 3 * 3 * 256 * 256),
    "pool3": (28 * 28 * 256, 0),
    "conv4_1": (28 * 28 * 512, 3 * 3 * 256 * 512),
    "conv4_2": (28 * 28 * 512, 3 * 3 * 512 * 512),
    "conv4_3": (28 * 28 * 512, 3 * 3 * 512 * 512),
    "pool4": (14 * 14 * 512, 0),
    "conv5_1": (14 * 14 * 512, 3 * 3 * 512 * 512),
    "conv5_2": (14 * 14 * 512, 3 * 3 * 512 * 512),
    "conv5_3": (14 * 14 * 512, 3 * 3 * 512 * 512),
    "pool5": (7 * 7 * 512, 0),
    "fc6": (4096, 7 * 7 * 512 * 4096),
    "fc7": (4096, 4096 * 4096),
    "fc8": (1000, 4096 * 1000),
}


@pytest.fixture(scope="module")
def explanation():
    config = imagenet_vgg16.get_config("random")
    config.update(batch_size=2)
    config.dataset.examples = 2
    config.mesh.update(replica=1, data=1)
    return explain(assemble(config))


def test_the_lecture_s_table(explanation):
    rows = {layer.path.removeprefix("model/"): layer for layer in explanation.layers if layer.module != "Dropout"}
    for name, (memory, weights) in LECTURE.items():
        biases = 0 if name.startswith("pool") else rows[name].outputs[0][-1]
        assert (rows[name].activation_bytes, rows[name].parameters) == (4 * memory, weights + biases)
    assert explanation.parameters == 138_357_544
    remembered = sum(memory for memory, _ in LECTURE.values())
    assert remembered + 224 * 224 * 3 == 15_237_608
    rectified = sum(memory for name, (memory, _) in LECTURE.items() if name.startswith("conv"))
    assert rows["model"].activation_bytes == 4 * rectified  # the ReLUs' results, which the lecture does not count
    assert explanation.activation_bytes == 4 * (remembered + rectified + 2 * 4096)  # nor the two dropouts'


def test_what_explain_prints_of_it(explanation, capsys):
    program.show(explanation)
    printed = capsys.readouterr().out
    for text in ("conv1_1", "224 x 224 x 64", "12,845,056", "102,764,544", "138,357,544", "114.6 MB of activations, 553.4 MB"):
        assert text in printed
