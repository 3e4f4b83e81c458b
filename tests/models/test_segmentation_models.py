"""U-Net, FCN, SegNet and DeepLab: published numbers of parameters, sizes, and where a score looks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from dl.errors import UserError
from dl.layers.backend import stock_operations
from dl.models.deeplab import DeepLab
from dl.models.fcn import FCN
from dl.models.image_encoders import ENCODERS, encoder
from dl.models.segnet import SegNet
from dl.models.squeezenet import SqueezeNet
from dl.models.unet import UNet
from dl.models.vgg import VGG

RGB = (1, 64, 64, 3)


def shapes(model, image=RGB):
    with stock_operations():
        return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros(image))


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


# Of the published networks. U-Net's 31,031,745, DeepLab-LargeFOV's 20.5 M (Chen et al. 2015, table 3), SegNet's 29.45 M and
# FCN-8s' 134.5 M are quoted numbers; the others are sums of k * k * inputs * outputs + outputs, as the modules list them.
PUBLISHED = {
    "U-Net, figure 1": (UNet(2, norm=False), (1, 64, 64, 1), 31_030_658),
    "U-Net, RGB, one class": (UNet(1, norm=False), RGB, 31_031_745),
    "SegNet": (SegNet(11), RGB, 29_449_355),
    "FCN-8s": (FCN(21), RGB, 134_489_759 - 16 * 16 * 21 * 21),  # less the fixed kernel in the published file
    "FCN-32s": (FCN(21, stride=32), RGB, 134_260_544 + 86_037),
    "DeepLab-LargeFOV": (DeepLab(21, rates=(12,)), RGB, 20_505_429),
    "DeepLab-ASPP-L": (DeepLab(21), RGB, 37_877_652),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_numbers_of_parameters(name):
    model, image, wanted = PUBLISHED[name]
    assert count(shapes(model, image)["params"]) == wanted


def test_the_blocks_of_the_first_u_net():
    params = shapes(UNet(2, norm=False), (1, 64, 64, 1))["params"]
    blocks = [count({k: v for k, v in params["encoder"].items() if k.startswith(f"conv{n}_")}) for n in range(1, 6)]
    assert blocks == [37_568, 221_440, 885_248, 3_539_968, 14_157_824]
    ups = [count({k: v for k, v in params.items() if k.startswith(f"up{n}")}) for n in range(4, 0, -1)]
    assert ups == [9_176_576, 2_294_528, 573_824, 143_552]


def test_the_first_u_net_sees_572_pixels_for_388():
    x, _ = UNet(2, padded=False)._mirrored(jnp.arange(388.0)[None, :, None, None] * jnp.ones((1, 1, 388, 1)))
    assert x.shape == (1, 572, 572, 1)
    np.testing.assert_array_equal(x[0, :, 0, 0], np.pad(np.arange(388.0), 92, mode="symmetric"))


SMALL = {
    "unet": UNet(5, (4, 8, 8)),
    "unet, not padded": UNet(5, (4, 8, 8), padded=False),
    "unet, squeezenet": UNet(5, (4, 4, 8, 8), backbone="squeezenet"),
    "fcn": FCN(5, stride=4, backbone="plain", widths=(4, 8, 8), hidden=8, window=3, norm=True),
    "fcn, squeezenet": FCN(5, stride=2, backbone="squeezenet", hidden=8, window=3),
    "segnet": SegNet(5, (4, 8), (2, 1)),
    "deeplab": DeepLab(5, "plain", (4, 4, 8, 8), (1, 2), 8, norm=True, skip=2),
    "deeplab, squeezenet": DeepLab(5, "squeezenet", hidden=8, rates=(1, 2)),
}


@pytest.mark.parametrize("name", SMALL)
def test_scores_are_of_the_size_of_the_image(name):
    with stock_operations():
        scores, _ = jax.eval_shape(SMALL[name].init_with_output, jax.random.key(0), jnp.zeros((2, 22, 30, 3)))
    assert scores.shape == (2, 22, 30, 5) and scores.dtype == jnp.float32


def test_a_score_of_the_first_u_net_looks_at_the_pixels_around_it():
    """The middle of what the score of a pixel depends on is that pixel, to half of the coarsest map's stride."""
    model, x = UNet(2, (8, 8), norm=False, padded=False), jax.random.uniform(jax.random.key(1), (1, 40, 40, 1))
    place = (21, 18)

    @jax.jit
    def looked_at(x):
        variables = model.init(jax.random.key(0), x)
        return jax.grad(lambda x: model.apply(variables, x)[0, *place].sum())(x)

    with stock_operations():
        rows, columns = np.nonzero(np.abs(np.asarray(looked_at(x))).sum(-1)[0])
    for found, wanted in zip((rows, columns), place, strict=True):
        assert abs((found.min() + found.max()) / 2 - wanted) <= 1
        assert 8 < found.max() - found.min() < 24


def test_encoders_have_the_layers_of_the_classifiers():
    """Names and shapes, so that published weights fill them."""
    for name, classifier in (
        ("squeezenet", SqueezeNet()),
        ("vgg16", VGG(16)),
        ("vgg16_bn", VGG(16, True)),
    ):
        ours, theirs = (flatten_dict(dict(shapes(model)), sep="/") for model in (ENCODERS[name]((), ()), classifier))
        rest = ("conv10",) if name == "squeezenet" else ("fc6", "fc7", "fc8")
        assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items() if k.split("/")[1] not in rest}


@pytest.mark.slow
def test_squeezenet_as_an_encoder():
    """Its maps are the classifier's, of the padded image; atrous, the coarsest is seen at every place (section 3.1)."""
    x = jax.random.normal(jax.random.key(0), (1, 48, 48, 3))
    plain, atrous = (ENCODERS["squeezenet"]((), (), atrous=atrous) for atrous in (False, True))
    classifier = SqueezeNet()

    @jax.jit
    def maps(x):
        variables = plain.init(jax.random.key(1), x)
        padded = jnp.pad(x, ((0, 0), (3, 3), (3, 3), (0, 0)))
        wanted = classifier.apply(variables, padded, ("conv1", "fire4", "fire8", "fire9"), method="features")
        return plain.apply(variables, x).maps, atrous.apply(variables, x).maps, wanted

    with stock_operations():
        ours, dense, wanted = maps(x)
    assert sorted(ours) == [2, 4, 8, 16] and sorted(dense) == [2, 4, 8]
    for stride, name in ((2, "conv1"), (4, "fire4"), (8, "fire8"), (16, "fire9")):
        assert ours[stride].shape[1:3] == (48 // stride, 48 // stride)
        np.testing.assert_allclose(ours[stride], wanted[name], atol=1e-5)
    np.testing.assert_allclose(dense[8][:, 1::2, 1::2], ours[16], atol=1e-5)


def test_mistakes_are_clear():
    for model, message in (
        (FCN(5, stride=64), r"model.stride=64: the backbone vgg16 has maps of strides \[2, 4, 8, 16, 32\]"),
        (DeepLab(5, rates=()), "must be dilations, at least one"),
        (DeepLab(5, skip=16), r"model.skip=16: vgg16 has the strides \[1, 2, 4, 8\]; 0 is none"),
        (SegNet(5, backbone="squeezenet"), "segnet takes 'plain' or 'vgg16_bn'"),
        (UNet(5, backbone="squeezenet"), "model.widths must be 4 numbers with the backbone squeezenet"),
        (UNet(5, backbone="squeezent"), "unknown encoder 'squeezent'. Did you mean 'squeezenet'"),
    ):
        with pytest.raises(UserError, match=message):
            shapes(model)
    with pytest.raises(UserError, match="must name as many blocks"):
        encoder("plain", (4, 8), (1,))
