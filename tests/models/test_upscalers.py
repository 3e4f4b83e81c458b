"""SRCNN, SRResNet and SRGAN's discriminator: published counts, sizes, shuffled pixels, images of several sizes in one batch."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.layers import bicubic
from dl.models.srcnn import SRCNN
from dl.models.srresnet import Discriminator, SRResNet, shuffled, srgan


def count(model: nn.Module, *shape: int) -> dict[str, int]:
    """Parameters and, of those, weights of kernels."""
    params = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros(shape))["params"]
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {
        "all": sum(leaf.size for _, leaf in leaves),
        "kernels": sum(leaf.size for path, leaf in leaves if "kernel" in str(path)),
    }


@pytest.mark.parametrize(("kernels", "weights"), [((9, 1, 5), 8032), ((9, 5, 5), 57184)])
def test_srcnn_has_the_published_weights(kernels, weights):
    """Dong et al. 2016, section 4.3.1 and table 4; the 64 + 32 + 1 biases are not counted there."""
    assert count(SRCNN(kernels=kernels), 1, 8, 8, 1) == {"kernels": weights, "all": weights + 97}


def test_srresnet_and_its_adversary_have_the_counts_of_figure_4():
    made = srgan()
    assert count(made.generator, 1, 8, 8, 3)["all"] == 1_548_547
    assert count(made.discriminator, 1, 96, 96, 3)["all"] == 23_563_649


def drawn(model: nn.Module, *inputs: jax.Array) -> dict:
    """Variables of a model, positive and not all alike; nothing is compiled."""
    random = np.random.default_rng(1)
    shapes = jax.eval_shape(model.init, jax.random.key(0), *inputs)
    return jax.tree.map(lambda x: jnp.asarray(random.normal(0.3, 0.2, x.shape) ** 2, jnp.float32), shapes)


def test_srcnn_is_three_valid_convolutions_of_the_bicubic_image_in_training_and_keeps_its_size_afterwards():
    model = SRCNN(kernels=(5, 1, 3), features=(6, 4))
    low = jnp.asarray(np.random.default_rng(0).random((2, 7, 6, 1)), jnp.float32)
    variables = drawn(model, low)

    @jax.jit
    def by_hand(params, x):
        for name in ("patches", "mapping", "output"):
            own = params[name]
            x = jax.lax.conv_general_dilated(x, own["kernel"], (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
            x = x + own["bias"] if name == "output" else nn.relu(x + own["bias"])
        return x

    whole = np.stack([bicubic.resized(image, (28, 24)) for image in np.asarray(low, np.float64)])
    expected = by_hand(variables["params"], jnp.asarray(whole, jnp.float32))
    trained, used = jax.jit(lambda v, x: (model.apply(v, x, train=True), model.apply(v, x)))(variables, low)
    assert trained.shape == (2, 22, 18, 1) and used.shape == (2, 28, 24, 1)
    np.testing.assert_allclose(trained, expected, rtol=1e-4)
    np.testing.assert_allclose(used[:, 3:-3, 3:-3], expected, rtol=1e-4)


def test_pixels_are_shuffled_as_published():
    """Shi et al. 2016, eq. 4: output (y, x) of channel c is input (y // r, x // r) of channel c r^2 + r (y mod r) + x mod r."""
    x = jnp.asarray(np.random.default_rng(0).random((1, 3, 4, 18)), jnp.float32)
    made = shuffled(x, 3)
    assert made.shape == (1, 9, 12, 2)
    for y, z, c in ((0, 0, 0), (4, 7, 1), (8, 11, 0), (5, 3, 1)):
        assert made[0, y, z, c] == x[0, y // 3, z // 3, 9 * c + 3 * (y % 3) + z % 3]


MODELS = {
    "srcnn": SRCNN(channels=3, kernels=(5, 3, 3), features=(4, 4)),
    "srresnet": SRResNet(width=4, blocks=1),
    "direct": SRResNet(width=4, blocks=1, norm=False, direct=True, scale=3),
}


@pytest.mark.parametrize("name", MODELS)
def test_images_of_several_sizes_in_one_batch_are_enlarged_as_each_alone(name):
    model = MODELS[name]
    low, (height, width) = np.random.default_rng(0).random((2, 8, 9, 3)).astype(np.float32), (6, 5)
    variables, apply = drawn(model, jnp.asarray(low)), jax.jit(model.apply)
    together = apply(variables, jnp.asarray(low), jnp.array([(8, 9), (height, width)], jnp.int32))
    alone = apply(variables, jnp.asarray(low[1:, :height, :width]))[0]
    assert alone.shape == (model.scale * height, model.scale * width, 3)
    np.testing.assert_allclose(together[1, : alone.shape[0], : alone.shape[1]], alone, rtol=1e-4, atol=1e-4)
    assert not np.allclose(together[0, : alone.shape[0], : alone.shape[1]], alone, rtol=1e-2)


def test_a_net_that_is_added_to_the_bicubic_enlargement_begins_as_it():
    model = SRResNet(channels=1, width=4, blocks=1, norm=False, direct=True, skip=True)
    low = jnp.asarray(np.random.default_rng(0).random((1, 6, 5, 1)), jnp.float32)
    made, _ = jax.jit(model.init_with_output)(jax.random.key(0), low)
    np.testing.assert_allclose(made[0], bicubic.resized(np.asarray(low[0], np.float64), (24, 20)), atol=1e-5)


def test_the_adversary_gives_each_image_a_score():
    model = Discriminator(width=2, stages=1, dense=8)
    images = jnp.asarray(np.random.default_rng(0).random((3, 8, 8, 3)), jnp.float32)
    scores, changed = jax.jit(lambda v, x: model.apply(v, x, train=True, mutable=["batch_stats"]))(drawn(model, images), images)
    assert scores.shape == (3,) and len(set(scores.tolist())) == 3 and list(changed["batch_stats"]) == ["norm2"]
