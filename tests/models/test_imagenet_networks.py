"""SqueezeNet's counts, and what the networks of ImageNet have in common: features by name, computing in bfloat16, weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl import registry
from dl.data import image_files
from dl.errors import UserError
from dl.interop import classifier
from dl.models.squeezenet import SqueezeNet
from dl.models.vgg import VGG

SQUEEZENET = {"conv1": 14_208, "conv10": 513_000, "fire2": 11_920, "fire3": 12_432, "fire4": 45_344, "fire5": 49_440}
SQUEEZENET |= {"fire6": 104_880, "fire7": 111_024, "fire8": 188_992, "fire9": 197_184}
FILE = "squeezenet_imagenet/squeezenet_v1.0_oihw_float32.npz"


def parameters(model, side=224):
    return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, side, side, 3)))["params"]


def counts(tree):
    return {layer: sum(leaf.size for leaf in jax.tree.leaves(part)) for layer, part in tree.items()}


def test_squeezenet_s_published_parameters():
    assert counts(parameters(SqueezeNet())) == SQUEEZENET
    assert sum(counts(parameters(SqueezeNet())).values()) == 1_248_424
    assert sum(counts(parameters(SqueezeNet(version="1.1"))).values()) == 1_235_496  # torchvision's squeezenet1_1


@pytest.mark.parametrize("name", ["alexnet", "alexnet_one_tower", "vgg11", "vgg11_bn", "googlenet", "squeezenet"])
def test_bfloat16_keeps_float32_parameters_and_scores(name):
    model = registry.find("dl.models", "model", name)(num_classes=7, dtype=jnp.bfloat16)
    x = jnp.zeros((2, 227, 227, 3))
    scores, variables = jax.eval_shape(model.init_with_output, jax.random.key(0), x)
    assert (scores.shape, scores.dtype) == ((2, 7), jnp.float32)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    found = jax.eval_shape(lambda v: model.apply(v, x, model.layers[:-1], method="features"), variables)
    assert {leaf.dtype for leaf in found.values()} == {jnp.dtype("bfloat16")}


def test_squeezenet_s_outputs_have_the_published_sizes():
    model = SqueezeNet()
    shapes = jax.eval_shape(
        lambda: model.init_with_output(jax.random.key(0), jnp.zeros((1, 227, 227, 3)), model.layers, method="features")[0]
    )
    sizes = {name: (found.shape[1], found.shape[3]) for name, found in shapes.items()}
    assert sizes == {
        "conv1": (111, 96),
        "pool1": (55, 96),
        "fire2": (55, 128),
        "fire3": (55, 128),
        "fire4": (55, 256),
        "pool4": (27, 256),
        "fire5": (27, 256),
        "fire6": (27, 384),
        "fire7": (27, 384),
        "fire8": (27, 512),
        "pool8": (13, 512),
        "fire9": (13, 512),
        "conv10": (13, 1000),
    }


@pytest.mark.parametrize("model", [SqueezeNet(), VGG(19)], ids=["squeezenet", "vgg19"])
def test_what_lies_after_the_last_wanted_layer_is_not_made(model):
    wanted = model.layers[1:3]
    made = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, wanted, method="features"), jnp.zeros((1, 32, 32, 3)))
    assert set(made["params"]) == {name for name in model.layers[:3] if not name.startswith("pool")}


def test_unknown_layers_and_small_images():
    with pytest.raises(UserError, match="unknown layer of squeezenet 'fire10'. Did you mean"):
        SqueezeNet().init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)), ("fire10",), method="features")
    with pytest.raises(UserError, match="unknown layer of vgg19 'conv4_5'"):
        VGG(19).init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)), ("conv4_5",), method="features")
    with pytest.raises(UserError, match="too small for pool5 of vgg16"):
        parameters(VGG(16), 16)
    with pytest.raises(UserError, match="does not fit features of 1x1"):
        parameters(SqueezeNet(), 8)


@pytest.fixture(scope="session")
def classify(shared_data):
    """An image's five likeliest classes, by the published weights."""
    found = classifier.load(shared_data / FILE, "squeezenet")
    names = [line.split(" ", 1)[1] for line in (shared_data / "squeezenet_imagenet/synset_words.txt").read_text().splitlines()]
    apply = jax.jit(found.model.apply)

    def classify(name):
        import PIL.Image

        image = PIL.Image.fromarray(np.round(255 * image_files.read(name)).astype(np.uint8)).resize((227, 227))
        x = (np.asarray(image, np.float32) / 255 - found.mean) / found.std
        return [names[i] for i in np.argsort(-np.asarray(apply(found.variables, x[None])[0]))[:5]]

    return classify


def test_published_weights_name_what_is_on_photographs(classify):
    """A Chinese temple among trees; a dahlia, which ImageNet has not: round, with a pattern around a centre."""
    assert {"stupa, tope", "bell cote, bell cot", "monastery"} <= set(classify("china"))
    assert {"brain coral", "sea urchin"} <= set(classify("flower"))
