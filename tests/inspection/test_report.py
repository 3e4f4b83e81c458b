import re

import jax
import numpy as np
import pytest
from PIL import Image

from dl.errors import UserError
from dl.inspection import display, report
from dl.inspection.choices import METHODS, choose, spread
from dl.inspection.network import Network
from dl.inspection.subjects import Subject, from_file
from dl.inspection.views import in_batches
from tests.inspection.nets import Deep, Linear, Pooled, images, network


def subjects(shape, label=None):
    return [Subject(f"image {i}", np.asarray(pixels), label) for i, pixels in enumerate(images(2, shape))]


def headings(html):
    return re.findall(r"<h3>([^<]*?)(?: <small>|</h3>)", html)


def test_a_page_shows_every_method():
    net = network(Pooled(), (16, 16, 3))
    choices = choose(net, pgd_steps=2, ascent_steps=3)
    html = report.render(net, choices, subjects((16, 16, 3), label=1), whose="these")
    assert headings(html) == [
        *("First-layer filters", "Layers"),
        *(2 * ["Top 5", "Evidence", "conv, projected", "conv", "scores"]),
        *("Class maximisation", "Accuracy against epsilon", "Probability of the class", "In numbers", "Examples"),
    ]
    for method in (
        "Simonyan",
        "guided backpropagation",
        "Grad-CAM at conv",
        "guided Grad-CAM",
        "occlusion",
        "FGSM",
        "PGD, 2 steps",
    ):
        assert method in html
    assert "http" not in re.sub(r"data:image/\w+;base64,[\w+/=]+|http://www.w3.org/\S+", "", html)  # nothing beside itself


@pytest.mark.parametrize(("model", "shape"), [(Linear(), (8, 8, 1)), (Deep((jax.nn.relu,)), (8, 8, 3))])
def test_networks_that_name_no_layers(model, shape):
    net = network(model, shape)
    choices = choose(net, pgd_steps=1, ascent_steps=2)
    assert choices.cam == ("conv2" if isinstance(model, Deep) else "")
    html = report.render(net, choices, subjects(shape)[:1])
    for method in ("First-layer filters", "Simonyan", "guided backpropagation", "occlusion", "Class maximisation", "PGD"):
        assert method in html
    assert ("Grad-CAM" in html) == ("conv1, projected" in html) == isinstance(model, Deep)


def test_only_what_is_asked_for():
    net = network(Pooled())
    html = report.render(net, choose(net, methods=("gradients",)), subjects((8, 8, 3))[:1])
    assert headings(html) == ["First-layer filters", "Layers", "Top 5", "Evidence"]
    assert "Grad-CAM" not in html and "occlusion" not in html


def test_the_right_class_is_marked_and_another_s_evidence_can_be_asked_for():
    net = network(Pooled())
    html = report.render(net, choose(net, methods=("gradients",)), subjects((8, 8, 3), label=2)[:1], targets=[1])
    assert "it is: three" in html and "for two" in html and html.count("(correct)") == 1


def test_mistakes_in_what_is_asked_for():
    net = network(Pooled())
    with pytest.raises(UserError, match="unknown layer of pooled 'cnv'. Did you mean 'conv'.* Choices: conv, scores"):
        choose(net, layers=("cnv",))
    with pytest.raises(UserError, match="unknown layer of pooled 'block'"):
        choose(net, projected=("conv", "block"))
    with pytest.raises(UserError, match="Grad-CAM needs a layer that gives maps, and scores gives 3 numbers"):
        choose(net, cam="scores")
    with pytest.raises(UserError, match="epsilons are changes of pixels in 0..1.*got 8"):
        choose(net, epsilons=(8,))
    with pytest.raises(UserError, match="a square of 9 pixels does not fit images of 8"):
        choose(net, square=9)
    assert set(METHODS) == set(choose(net).methods)


def test_an_image_too_small_for_the_network():
    from dl.models.squeezenet import SqueezeNet

    model, every = SqueezeNet(num_classes=3), np.ones(3, np.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), np.zeros((1, 25, 25, 3)))
    net = Network("squeezenet", model, variables, every, every, (25, 25, 3), ("one", "two", "three"))
    assert choose(net).cam == "fire8"  # the last with more than one place
    with pytest.raises(UserError, match="give a larger image|too small"):
        choose(net._replace(shape=(16, 16, 3)))


@pytest.mark.parametrize("kind", ["RGB", "L", "I;16", "CMYK", "P", "RGBA", "LA"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_kind_of_image(kind, channels, tmp_path):
    """A grey step, black to the left, 200 of 255 to the right, is the same in every kind."""
    step = np.zeros((20, 30), np.uint8)
    step[:, 15:] = 200
    if kind == "I;16":
        image = Image.fromarray(step.astype(np.uint16) * 257)
    elif kind == "P":
        image = Image.fromarray(step).convert("RGB").quantize(4)
    else:
        image = Image.fromarray(step).convert("RGB").convert(kind)
    path = tmp_path / ("image.jpg" if kind == "CMYK" else "image.png")
    image.save(path, **({"quality": 100, "subsampling": 0} if kind == "CMYK" else {}))
    found = from_file(str(path), network(Linear(), (10, 10, channels)), resize=10)
    assert found.title == path.name and found.label is None
    assert found.pixels.shape == (10, 10, channels) and found.pixels.dtype == np.float32
    np.testing.assert_allclose(found.pixels[:, :4], 0, atol=0.02)
    np.testing.assert_allclose(found.pixels[:, 6:], 200 / 255, atol=0.02)


def test_an_image_s_middle_is_taken_and_a_small_one_enlarged(tmp_path):
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 255
    Image.fromarray(wide).save(tmp_path / "wide.png")
    assert from_file(str(tmp_path / "wide.png"), network(Linear(), (8, 8, 3)), resize=10).pixels.min() == 1
    Image.fromarray(wide[:2, :3]).save(tmp_path / "small.png")
    assert from_file(str(tmp_path / "small.png"), network(Linear(), (8, 8, 3)), resize=8).pixels.shape == (8, 8, 3)
    with pytest.raises(UserError, match="nowhere.png is missing"):
        from_file("nowhere.png", network(Linear(), (8, 8, 3)), resize=8)


def test_batches_of_one_size_give_what_one_batch_gives():
    sizes = []

    def double(x, y):
        sizes.append(len(x))
        return 2 * x, x.sum(axis=1) + y

    x, y = jax.random.normal(jax.random.key(0), (7, 3)), jax.numpy.arange(7.0)
    for whole, parts in zip(double(x, y), in_batches(double, 3)(x, y), strict=True):
        np.testing.assert_array_equal(whole, parts)
    assert sizes == [7, 3, 3, 3]


def test_images_of_numbers():
    assert display.signed(np.zeros((2, 2, 3), np.float32)).tolist() == np.full((2, 2, 3), 0.5).tolist()
    found = display.signed(np.array([[[-2.0], [0.0], [2.0]]], np.float32))
    assert found.reshape(-1).tolist() == [0, 0.5, 1]
    assert display.grey(np.array([[0.0, 5.0]], np.float32)).reshape(-1).tolist() == [0, 1]
    assert display.heat(np.array([[0.0, 1.0]], np.float32)).tolist() == [display.HEAT[[0, -1]].tolist()]
    assert display.as_square(np.arange(5.0)).tolist() == [[0, 1, 2], [3, 4, 0]]
    spot = np.zeros((10, 12, 3), np.float32)
    spot[9, 3:6] = 1
    assert display.extent(spot, 4) == (slice(6, 10), slice(2, 6))
    assert spread("abcdefghij", 4) == ("a", "d", "g", "j")
