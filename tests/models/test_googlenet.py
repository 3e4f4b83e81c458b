"""GoogLeNet: the published counts, sizes and table, in both forms, and the auxiliary classifiers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.errors import UserError
from dl.models.googlenet import INCEPTIONS, GoogLeNet, Inception, Widths

TOTALS = {("torchvision", False): 6_624_904, ("torchvision", True): 13_004_888}
TOTALS |= {("paper", False): 6_998_552, ("paper", True): 13_378_280}


def shapes(model, side=224):
    return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, side, side, 3)))


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def kernels(tree):
    return sum(leaf.size for path, leaf in jax.tree.leaves_with_path(tree) if path[-1].key == "kernel")


@pytest.mark.parametrize(("form", "auxiliary"), TOTALS)
def test_published_parameters(form, auxiliary):
    made = shapes(GoogLeNet(form=form, auxiliary=auxiliary))
    assert count(made["params"]) == TOTALS[form, auxiliary]
    assert set(made) == ({"params", "batch_stats"} if form == "torchvision" else {"params"})


def test_the_paper_s_table_of_weights():
    """Table 1, "params" in K of 1024, where it agrees with the table's own widths; the rest worked out from those."""
    params = shapes(GoogLeNet(form="paper"))["params"]
    for name, published in {"3a": 159, "3b": 380, "4b": 437}.items():
        assert abs(kernels(params[f"inception{name}"]) / 1024 - published) <= 1
    inputs = 192
    for name, w in INCEPTIONS.items():
        worked = inputs * (w.conv1x1 + w.reduce3x3 + w.reduce5x5 + w.projection)
        worked += 9 * w.reduce3x3 * w.conv3x3 + 25 * w.reduce5x5 * w.conv5x5
        assert kernels(params[name]) == worked
        inputs = w.conv1x1 + w.conv3x3 + w.conv5x5 + w.projection


@pytest.mark.parametrize("form", ["torchvision", "paper"])
def test_outputs_have_the_published_sizes(form):
    model = GoogLeNet(form=form)
    x = jnp.zeros((1, 224, 224, 3))
    made = jax.eval_shape(lambda: model.init_with_output(jax.random.key(0), x, model.layers, method="features")[0])
    sizes = {
        "conv1": (112, 112, 64),
        "maxpool1": (56, 56, 64),
        "conv3": (56, 56, 192),
        "maxpool2": (28, 28, 192),
        "inception3a": (28, 28, 256),
        "inception3b": (28, 28, 480),
        "maxpool3": (14, 14, 480),
        "inception4a": (14, 14, 512),
        "inception4b": (14, 14, 512),
        "inception4c": (14, 14, 512),
        "inception4d": (14, 14, 528),
        "inception4e": (14, 14, 832),
        "maxpool4": (7, 7, 832),
        "inception5a": (7, 7, 832),
        "inception5b": (7, 7, 1024),
        "pool": (1024,),
        "fc": (1000,),
    }
    assert {name: made[name].shape[1:] for name in sizes} == sizes
    assert ("norm1" in made) == ("norm2" in made) == (form == "paper")


def sown(model, side, **settings):
    def run():
        variables = model.init(jax.random.key(0), jnp.zeros((2, side, side, 3)))
        rngs = {"dropout": jax.random.key(1)}
        return model.apply(
            variables, jnp.zeros((2, side, side, 3)), mutable=["auxiliary", "batch_stats"], rngs=rngs, **settings
        )

    return jax.tree.map(lambda leaf: leaf.shape, jax.eval_shape(run)[1].get("auxiliary", {}))


def test_auxiliary_scores_in_training_only():
    model = GoogLeNet(num_classes=7)
    assert sown(model, 64, train=True) == {"auxiliary1_scores": ((2, 7),), "auxiliary2_scores": ((2, 7),)}
    assert sown(model, 64) == {}
    assert sown(GoogLeNet(num_classes=7, auxiliary=False), 64, train=True) == {}


def test_a_5x5_convolution_in_the_paper_s_form_alone():
    for form, side in (("torchvision", 3), ("paper", 5)):
        assert shapes(GoogLeNet(form=form))["params"]["inception3a"]["conv5x5"]["conv"]["kernel"].shape == (side, side, 16, 32)


@pytest.mark.parametrize(("form", "side"), [("torchvision", 15), ("paper", 31)])
def test_any_size(form, side):
    model = GoogLeNet(num_classes=7, form=form, auxiliary=False)
    with pytest.raises(UserError, match="does not fit features of"):
        shapes(model, side - 1)
    assert jax.eval_shape(lambda: model.init_with_output(jax.random.key(0), jnp.zeros((1, side, 40, 3)))[0]).shape == (1, 7)


def test_what_lies_after_the_last_wanted_layer_is_not_made():
    wanted, x = ("inception4a",), jnp.zeros((1, 32, 32, 3))
    made = jax.eval_shape(lambda: GoogLeNet().init(jax.random.key(0), x, wanted, method="features"))["params"]
    assert set(made) == {"conv1", "conv2", "conv3", "inception3a", "inception3b", "inception4a"}


def test_a_projection_follows_the_pooling():
    """Of an inception module of the paper's form, each branch by hand."""
    module = Inception(Widths(1, 1, 1, 1, 1, 2), "paper")
    x = jax.random.uniform(jax.random.key(1), (1, 3, 3, 2))
    y, variables = jax.jit(module.init_with_output)(jax.random.key(0), x)
    kernel = variables["params"]["projection"]["conv"]["kernel"][0, 0]
    largest = np.asarray(x).max((1, 2))  # the window around the middle pixel
    np.testing.assert_allclose(y[:, 1, 1, 3:], np.maximum(largest @ kernel, 0), rtol=1e-5)


def test_bad_input():
    with pytest.raises(UserError, match="unknown form of googlenet 'caffe'. Choices: paper, torchvision"):
        shapes(GoogLeNet(form="caffe"))
    with pytest.raises(UserError, match="take images of 223 to 270 pixels: set auxiliary or form else"):
        shapes(GoogLeNet(form="paper"), 222)
    assert count(shapes(GoogLeNet(form="paper"), 223)["params"]) == count(shapes(GoogLeNet(form="paper"), 270)["params"])
    assert count(shapes(GoogLeNet(form="paper", auxiliary=False), 64)["params"]) == 6_998_552
    with pytest.raises(UserError, match="unknown layer of googlenet 'norm1'"):
        GoogLeNet().init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)), ("norm1",), method="features")
