import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.errors import UserError
from dl.inspection import deconvolution, gradients, programs
from dl.inspection.gradients import input_gradient, saliency, scores_and_gradient
from dl.inspection.programs import with_rule
from tests.inspection.nets import Deep, Linear, Pooled, images, network

LABELS = jnp.array([2, 0])


def test_springenberg_s_figure_1():
    x = jnp.array([[1.0, -1, 5], [2, -5, -7], [-3, 2, 4]])
    signal = jnp.array([[-2.0, 3, -1], [6, -3, 1], [2, -1, 3]])
    back = {rule: jax.vjp(with_rule(nn.relu, rule), x)[1](signal)[0].tolist() for rule in programs.RULES}
    assert back == {
        "gradient": [[-2, 0, -1], [6, 0, 0], [0, -1, 3]],
        "deconvnet": [[0, 3, 0], [6, 0, 1], [2, 0, 3]],
        "guided": [[0, 0, 0], [6, 0, 0], [0, 0, 3]],
    }


def test_the_gradient_of_a_linear_model_is_its_weights_over_the_deviation():
    net = network(Linear(), std=0.5)
    kernel = net.variables["params"]["dense"]["kernel"]
    found = net.compiled(input_gradient)(images(), LABELS)
    np.testing.assert_allclose(found.reshape(2, -1), kernel.T[LABELS] / 0.5, rtol=1e-6)
    np.testing.assert_allclose(saliency(found), np.abs(found).max(-1))


@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
def test_without_relus_every_rule_is_the_gradient(rule):
    net = network(Deep((jnp.tanh, lambda x: nn.max_pool(x, (2, 2), (2, 2)))))
    plain = net.compiled(input_gradient)(images(), LABELS)
    assert np.abs(plain).max() > 0
    other = net.compiled(lambda scores, x, labels: input_gradient(scores, x, labels, rule))(images(), LABELS)
    np.testing.assert_array_equal(other, plain)


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit, jax.checkpoint, lambda f: jax.jit(lambda x: f(2 * f(x)))])
def test_relus_are_found_inside_of_calls(wrap):
    """The derivative of -relu(x) by the rule "guided" is 0, whatever ReLU is wrapped in; its values stay."""
    rectify = wrap(nn.relu)
    changed = with_rule(lambda x: -rectify(x).sum(), "guided")
    x = jnp.array([-1.0, 0.0, 3.0])
    assert changed(x) == -rectify(x).sum()
    assert jax.grad(lambda x: -rectify(x).sum())(x)[2] < 0
    assert jax.grad(changed)(x).tolist() == [0, 0, 0]


def test_what_is_out_of_reach():
    def loop(x):
        return jax.lax.fori_loop(0, 2, lambda i, x: nn.relu(x), x)

    with pytest.raises(UserError, match="a ReLU inside of .* can't be given another rule"):
        with_rule(loop, "guided")(jnp.ones(3))
    with pytest.raises(UserError, match="unknown rule for ReLUs 'guide'. Did you mean 'guided'"):
        with_rule(loop, "guide")


def test_guided_backpropagation_by_hand():
    """conv1 - ReLU - conv2 - mean - dense, each step of the way back written out."""
    net = network(Deep((nn.relu,)))
    p, x = net.variables["params"], images()

    def conv(x, layer):
        return jax.lax.conv_general_dilated(x, layer["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    before, from_pixels = jax.vjp(lambda x: conv(x, p["conv1"]) + p["conv1"]["bias"], x)
    _, from_hidden = jax.vjp(lambda h: conv(h, p["conv2"]), before)
    top = jnp.broadcast_to(p["dense"]["kernel"].T[LABELS][:, None, None] / 64, (2, 8, 8, 5))
    signal = from_hidden(top)[0]
    wanted = {"gradient": signal * (before > 0), "guided": jnp.maximum(signal, 0) * (before > 0)}
    for rule, expected in wanted.items():
        found = net.compiled(lambda scores, x, labels, rule=rule: input_gradient(scores, x, labels, rule))(x, LABELS)
        np.testing.assert_allclose(found, from_pixels(expected)[0], atol=1e-6)


def test_the_loss_s_gradient_over_the_probability_of_an_error():
    net = network(Pooled())
    values, found = net.compiled(scores_and_gradient)(images(), LABELS, True)

    def losses(x):
        return -jnp.take_along_axis(jax.nn.log_softmax(net.scores(net.variables, x)), LABELS[:, None], axis=1)[:, 0]

    errs = 1 - jnp.exp(-losses(images()))[:, None, None, None]
    np.testing.assert_allclose(found * errs, jax.grad(lambda x: losses(x).sum())(images()), atol=1e-6)
    np.testing.assert_allclose(values, net.scores(net.variables, images()), atol=1e-6)
    _, score = net.compiled(scores_and_gradient)(images(), LABELS, False)
    np.testing.assert_allclose(score, net.compiled(input_gradient)(images(), LABELS), atol=1e-6)


def test_a_network_that_is_sure_has_a_gradient_to_follow():
    net = network(Linear())
    sure = net._replace(variables=jax.tree.map(lambda w: 1e3 * w, net.variables))
    labels = sure.scores(sure.variables, images()).argmax(-1)
    assert jax.nn.softmax(sure.scores(sure.variables, images())).max(-1).tolist() == [1, 1]
    assert (jnp.abs(sure.compiled(scores_and_gradient)(images(), labels, True)[1]).max((1, 2, 3)) > 1).all()


def test_a_projection_through_a_convolution_is_the_kernel_at_its_place():
    """Of the activation at (r, c) of channel k, stamped there: kernel[..., k] times the activation; bias plays no part."""
    net, image = network(Pooled()), images(1)[0]
    found = net.compiled(lambda look, x: deconvolution.projections(lambda x: look(x)[1], x, 3), "conv")(image)
    maps = net.at(net.variables, "conv", image[None])[1][0]
    assert found.peaks.tolist() == pytest.approx(np.sort(maps.max((0, 1)))[::-1][:3].tolist())
    for projection, channel, peak, (row, column) in zip(*found, strict=True):
        assert maps[row, column, channel] == pytest.approx(float(peak))
        stamped = np.zeros((10, 10, 3), np.float32)
        stamped[row : row + 3, column : column + 3] = peak * net.variables["params"]["conv"]["kernel"][..., channel]
        np.testing.assert_allclose(projection, stamped[1:-1, 1:-1], atol=1e-6)


def test_unpooling_goes_to_the_switches():
    """Zeiler & Fergus 2014, figure 1: the pooled maximum goes back to where it was, the first place where there are two."""

    def layer(x):
        return nn.max_pool(x, (2, 2), (2, 2))

    image = jnp.array([[1.0, 2, 5, 5], [4, 3, 0, 5], [0, 0, 7, 1], [0, 6, 2, 3]])[..., None]
    found = deconvolution.projections(layer, image, 1)
    assert found.images[0, ..., 0].tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 7, 0], [0, 0, 0, 0]]
    _, back = jax.vjp(with_rule(layer, "deconvnet"), image[None])
    assert back(layer(image[None]))[0][0, ..., 0].tolist() == [[0, 0, 5, 0], [4, 0, 0, 0], [0, 0, 7, 0], [0, 6, 0, 0]]


def test_without_relus_and_pooling_a_projection_is_the_gradient():
    net, image = network(Deep(())), images(1)[0]
    project = net.compiled(lambda look, x: deconvolution.projections(lambda x: look(x)[1], x, 2), "conv2")
    found = project(image)
    for projection, channel, peak, (row, column) in zip(*found, strict=True):
        slope = jax.grad(lambda x, at: net.at(net.variables, "conv2", x[None])[1][0][at])(image, (row, column, channel))
        np.testing.assert_allclose(projection, peak * slope, atol=1e-5)


def test_sums_over_labels_keep_images_apart():
    net = network(Pooled())
    both = gradients.input_gradient(lambda x: net.scores(net.variables, x), images(), LABELS)
    one = gradients.input_gradient(lambda x: net.scores(net.variables, x), images()[1:], LABELS[1:])
    np.testing.assert_allclose(both[1:], one, atol=1e-6)
