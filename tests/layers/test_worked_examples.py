"""The lectures' worked examples of the blocks of convolutional nets."""

from itertools import product

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl.layers.convolution import Conv, convolve
from dl.layers.initializers import initializer
from dl.layers.pooling import max_pool
from dl.layers.residual import batch_norm
from dl.models.mlp import MLP


def grey_image(rows):
    return jnp.asarray(rows, jnp.float32)[None, ..., None]


def kernel(rows):
    return jnp.asarray(rows, jnp.float32)[..., None, None]


# --- convolution ---


def test_cross_correlation_of_a_3x3_image():
    """0*0 + 1*1 + 3*2 + 4*3 = 19: the kernel is not turned over, as convolution in mathematics would have it."""
    image = grey_image([[0, 1, 2], [3, 4, 5], [6, 7, 8]])
    found = convolve(image, kernel([[0, 1], [2, 3]]), padding="VALID")
    np.testing.assert_array_equal(found[0, ..., 0], [[19, 25], [37, 43]])


def test_a_3x3_kernel_that_slides_over_a_5x5_image():
    image = [[1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 0], [0, 1, 1, 0, 0]]
    found = convolve(grey_image(image), kernel([[1, 0, 1], [0, 1, 0], [1, 0, 1]]), padding="VALID")
    np.testing.assert_array_equal(found[0, ..., 0], [[4, 3, 4], [2, 4, 3], [2, 3, 4]])


@pytest.mark.parametrize(
    ("side", "k", "padding", "stride", "dilation", "out"),
    [
        (7, 3, 0, 1, 1, 5),
        (7, 3, 0, 2, 1, 3),
        (7, 3, 1, 1, 1, 7),
        (7, 3, 0, 3, 1, 2),  # 2.33: what is left over at the edge is not seen
        (32, 5, 2, 1, 1, 32),
        (227, 11, 0, 4, 1, 55),  # AlexNet
        (224, 7, 3, 2, 1, 112),  # ResNet and GoogLeNet
        (7, 3, 0, 1, 2, 3),  # dilated by 2, a 3x3 kernel reaches over 5x5
        (9, 3, 2, 2, 2, 5),
    ],
)
def test_sizes(side, k, padding, stride, dilation, out):
    """floor((n + 2 p - d (k - 1) - 1) / s) + 1."""
    assert (side + 2 * padding - dilation * (k - 1) - 1) // stride + 1 == out
    conv = Conv(2, (k, k), stride, padding, dilation)
    made = jax.eval_shape(lambda: conv.init_with_output(jax.random.key(0), jnp.zeros((1, side, side, 3)))[0])
    assert made.shape == (1, out, out, 2)


@pytest.mark.parametrize(("k", "a", "b", "count"), [(5, 3, 10, 760), (11, 3, 96, 34_944), (3, 512, 512, 2_359_808)])
def test_k_k_a_plus_1_b_parameters(k, a, b, count):
    """Whatever the size of the image."""
    params = jax.eval_shape(Conv(b, (k, k)).init, jax.random.key(0), jnp.zeros((1, 16, 16, a)))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == (k * k * a + 1) * b == count


def test_an_atrous_kernel_is_a_larger_one_with_holes():
    x, weights = jax.random.normal(jax.random.key(0), (2, 9, 9, 3)), jax.random.normal(jax.random.key(1), (3, 3, 3, 4))
    holes = jnp.zeros((5, 5, 3, 4)).at[::2, ::2].set(weights)
    np.testing.assert_allclose(convolve(x, weights, padding=2, dilation=(2, 2)), convolve(x, holes, padding=2), atol=1e-5)


def test_what_atrous_layers_see_grows_as_a_power_of_two():
    """Three 3x3 layers with dilations 1, 2 and 4 see 15 x 15 pixels, three common ones 7 x 7."""
    ones = jnp.ones((3, 3, 1, 1))

    def seen(*dilations):
        def middle(x):
            for d in dilations:
                x = convolve(x, ones, padding=d, dilation=(d, d))
            return x[0, 10, 10, 0]

        return int((jax.jit(jax.grad(middle))(jnp.zeros((1, 21, 21, 1))) != 0).sum())

    assert (seen(1, 2, 4), seen(1, 1, 1)) == (15**2, 7**2)


# --- pooling ---


def test_2x2_maxima_and_their_gradient():
    """Each window's gradient goes to its largest element alone."""
    image = grey_image([[1, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]])
    np.testing.assert_array_equal(max_pool(image, (2, 2))[0, ..., 0], [[6, 8], [3, 4]])
    weights = grey_image([[10, 20], [30, 40]])
    gradient = jax.grad(lambda x: (max_pool(x, (2, 2)) * weights).sum())(image)
    np.testing.assert_array_equal(gradient[0, ..., 0], [[0, 0, 0, 0], [0, 10, 0, 20], [30, 0, 0, 0], [0, 0, 0, 40]])


def test_the_gradients_of_overlapping_windows_add_up():
    """The 9 is the largest of all four 3x3 windows with stride 2 of a 5x5 image."""
    image = grey_image(np.zeros((5, 5))).at[0, 2, 2, 0].set(9)
    gradient = jax.grad(lambda x: max_pool(x, (3, 3), (2, 2)).sum())(image)
    assert gradient[0, 2, 2, 0] == 4 == gradient.sum()


def test_sizes_of_overlapping_pooling():
    """(n - 3) / 2 + 1, in AlexNet."""
    sizes = [55]
    for _ in range(3):
        made = jax.eval_shape(lambda n=sizes[-1]: max_pool(jnp.zeros((1, n, n, 1)), (3, 3), (2, 2)))
        sizes.append(made.shape[1])
    assert sizes == [55, 27, 13, 6]


# --- dropout and batch normalisation ---


def test_halved_weights_are_the_geometric_mean_of_all_sub_networks():
    """One hidden layer of 8 units and a softmax (Hinton et al. 2012, section 2): exactly, over all 2^8 masks."""
    units = 8
    model = MLP(num_classes=3, hidden=(units,), dropout=0.5, activation="relu")
    x = jax.random.normal(jax.random.key(1), (5, 2, 2, 1))
    params = jax.jit(model.init)(jax.random.key(0), x)["params"]
    params = {**params, "dense2": {"kernel": 3 * params["dense2"]["kernel"], "bias": jnp.array([0.3, -0.2, 0.1])}}

    def scores(kernel, **settings):
        return model.apply({"params": {**params, "dense2": {**params["dense2"], "kernel": kernel}}}, x, **settings)

    whole = params["dense2"]["kernel"]
    masks = jnp.array(list(product([0.0, 1.0], repeat=units)))
    of_each = jax.jit(jax.vmap(lambda mask: jax.nn.softmax(scores(mask[:, None] * whole))))(masks)
    geometric = np.exp(np.log(of_each).mean(0))
    geometric /= geometric.sum(-1, keepdims=True)
    mean_network = jax.nn.softmax(scores(whole / 2))
    np.testing.assert_allclose(mean_network, geometric, rtol=1e-5)
    assert np.abs(mean_network - of_each.mean(0)).max() > 1e-3  # the arithmetic mean is another

    # In training every example meets one of these sub-networks; Linen doubles what is kept, in place of halving the weights.
    trained = jax.nn.softmax(scores(whole / 2, train=True, rngs={"dropout": jax.random.key(2)}))
    distance = np.abs(np.asarray(trained)[None] - of_each).max(-1).min(0)
    assert distance.max() < 1e-5


def test_batch_normalisation_by_hand():
    """Ioffe & Szegedy 2015, algorithms 1 and 2, over a batch of 1, 3, 5 and 7: mean 4, variance 5."""
    x = jnp.array([1.0, 3.0, 5.0, 7.0]).reshape(2, 2, 1, 1)
    affine = {"scale": jnp.array([2.0]), "bias": jnp.array([10.0])}
    start = {"params": affine, "batch_stats": {"mean": jnp.array([2.0]), "var": jnp.array([1.0])}}
    y, new = batch_norm(True, jnp.float32, "norm").apply(start, x, mutable=["batch_stats"])
    np.testing.assert_allclose(y.ravel(), 10 + 2 * (x.ravel() - 4) / np.sqrt(5 + 1e-5), rtol=1e-6)
    running = new["batch_stats"]
    np.testing.assert_allclose(running["mean"], [0.9 * 2 + 0.1 * 4], rtol=1e-6)
    np.testing.assert_allclose(running["var"], [0.9 * 1 + 0.1 * 5], rtol=1e-6)
    y = batch_norm(False, jnp.float32, "norm").apply({"params": affine, **new}, x)
    np.testing.assert_allclose(y.ravel(), 10 + 2 * (x.ravel() - 2.2) / np.sqrt(1.4 + 1e-5), rtol=1e-6)


def test_batch_normalisation_does_not_see_scale_and_shift_of_its_input():
    norm = batch_norm(True, jnp.float32, "norm")
    x = jax.random.normal(jax.random.key(0), (8, 3, 3, 4))
    variables = norm.init(jax.random.key(0), x)
    same, shifted = (norm.apply(variables, v, mutable=["batch_stats"])[0] for v in (x, 7 * x + 3))
    np.testing.assert_allclose(same, shifted, atol=1e-4)


# --- initial weights ---

DEPTH, WIDTH = 20, 256
ACTIVATIONS = {"identity": lambda z: z, "relu": nn.relu, "tanh": jnp.tanh, "logistic": lambda z: nn.sigmoid(z) - 0.5}
KEPT = {  # what a layer multiplies the mean square of its inputs with, with this activation
    ("lecun", "identity"): 1.0,
    ("one_over_sqrt_n", "identity"): 1.0,
    ("orthogonal", "identity"): 1.0,
    ("glorot", "identity"): 1.0,
    ("glorot_normal", "identity"): 1.0,
    ("glorot", "tanh"): 1.0,
    ("glorot_logistic", "logistic"): 1.0,
    ("he", "relu"): 1.0,
    ("glorot", "relu"): 0.5,
    ("lecun", "relu"): 0.5,
    ("he", "identity"): 2.0,
    ("normal", "identity"): WIDTH,
    ("zeros", "relu"): 0.0,
}


@pytest.mark.parametrize(("name", "activation"), KEPT)
def test_the_variance_through_20_layers(name, activation):
    """Kept by the right initialiser for the activation; halved or more a layer by the others, or multiplied by the width."""

    @jax.jit
    def last(x, keys):
        def layer(x, key):
            return ACTIVATIONS[activation](x @ initializer(name)(key, (WIDTH, WIDTH), jnp.float32)), None

        return jax.lax.scan(layer, x, keys)[0]

    x = 0.01 * jax.random.normal(jax.random.key(0), (64, WIDTH))  # small, where tanh and the logistic function are straight
    found = np.square(np.asarray(last(x, jax.random.split(jax.random.key(1), DEPTH)), np.float64)).mean()
    factor = (found / np.square(x).mean()) ** (1 / DEPTH)
    np.testing.assert_allclose(factor, KEPT[name, activation], rtol=0.06)


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_equal_weights_stay_equal_and_zeros_do_not_learn(value):
    """Units that begin alike get the same gradient for ever; from zeros, a rectifier's never begin to move."""
    model = MLP(num_classes=2, hidden=(6, 6), activation="relu")
    x = jax.random.normal(jax.random.key(0), (32, 2, 2, 1))
    label = (x.reshape(32, 4).prod(-1) > 0).astype(jnp.int32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), x)["params"]

    def loss(params):
        scores = model.apply({"params": params}, x)
        return optax.softmax_cross_entropy_with_integer_labels(scores, label).mean()

    @jax.jit
    def trained(params):
        return jax.lax.fori_loop(0, 200, lambda _, p: jax.tree.map(lambda w, g: w - 0.1 * g, p, jax.grad(loss)(p)), params)

    start = jax.tree.map(lambda s: jnp.full(s.shape, 0.0 if len(s.shape) == 1 else value), shapes)
    end = trained(start)
    for name in ("dense1", "dense2"):
        units = end[name]["kernel"]
        np.testing.assert_allclose(units, jnp.broadcast_to(units[:, :1], units.shape), atol=1e-6)
    if value == 0:
        jax.tree.map(
            np.testing.assert_array_equal,
            [end[f"dense{n}"]["kernel"] for n in (1, 2, 3)],
            [start[f"dense{n}"]["kernel"] for n in (1, 2, 3)],
        )
        assert np.any(end["dense3"]["bias"])  # the output's alone: the frequencies of the classes
    random = trained(jax.jit(model.init)(jax.random.key(1), x)["params"])
    assert loss(random) < 0.8 * loss(end)
