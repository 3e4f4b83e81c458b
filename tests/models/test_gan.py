"""The players: published counts, where BatchNorm is and is not, initialisation, spectral norm, what they take and refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.errors import UserError
from dl.models.dcgan import dcgan, stages
from dl.models.gan_mlp import gan_mlp


def shapes(players, shape):
    key, label = jax.random.key(0), jnp.zeros(2, jnp.int32)
    generator = jax.eval_shape(players.generator.init, key, jnp.zeros((2, players.latent)), label)
    discriminator = jax.eval_shape(players.discriminator.init, key, jnp.zeros((2, *shape)), label)
    return generator["params"], discriminator["params"]


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_dcgan_has_the_parameters_of_pytorchs_example():
    # pytorch/examples/dcgan with ngf = ndf = 64, nc = 3: 3,576,704 and 2,765,568.
    generator, discriminator = shapes(dcgan((64, 64, 3)), (64, 64, 3))
    assert (count(generator), count(discriminator)) == (3_576_704, 2_765_568)
    assert count({"project": generator["project"], "norm0": generator["norm0"]}) == 820_224
    assert discriminator["score"]["kernel"].size == 8192


def test_dcgan_of_the_paper_begins_with_1024_channels_of_4x4():
    generator, _ = shapes(dcgan((64, 64, 3), width=128), (64, 64, 3))
    assert generator["project"]["kernel"].shape == (100, 4 * 4 * 1024)
    assert [generator[f"conv{i}"]["kernel"].shape[3] for i in (1, 2, 3, 4)] == [512, 256, 128, 3]


def test_no_batch_norm_at_the_generators_output_and_the_discriminators_input():
    generator, discriminator = shapes(dcgan((28, 28, 1)), (28, 28, 1))
    assert set(generator) == {"project", "norm0", "conv1", "norm1", "conv2"}
    assert set(discriminator) == {"conv1", "conv2", "norm2", "score"}
    assert not any("bias" in layer for name, layer in (generator | discriminator).items() if "norm" not in name)


def test_first_gan_of_goodfellow():
    players = gan_mlp((28, 28, 1))
    generator, discriminator = shapes(players, (28, 28, 1))
    assert (count(generator), count(discriminator)) == (2_503_984, 1_231_441)


def test_dcgan_starts_at_small_normal_weights():
    players = dcgan((16, 16, 1), width=32)
    made = jax.jit(players.generator.init)(jax.random.key(0), jnp.zeros((2, 100)))["params"]
    kernel = np.asarray(made["project"]["kernel"])
    assert kernel.std() == pytest.approx(0.02, rel=0.02) and abs(kernel.mean()) < 1e-3
    assert np.asarray(made["norm0"]["scale"]).mean() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(("side", "expected"), [(8, 1), (16, 2), (28, 2), (32, 3), (48, 3), (64, 4), (30, 1), (7, 0)])
def test_halvings(side, expected):
    assert stages(side) == expected


@pytest.mark.parametrize(("shape", "conditional"), [((28, 28, 1), False), ((16, 16, 3), True)])
def test_what_the_players_make(shape, conditional):
    players = dcgan(shape, num_classes=10, width=4, latent=8, conditional=conditional)
    label = jnp.array([1, 2, 3], jnp.int32)
    z = players.draw(jax.random.key(1), 3)
    made, variables = jax.jit(players.generator.init_with_output)(jax.random.key(0), z, label)
    assert made.shape == (3, *shape) and made.dtype == jnp.float32 and float(jnp.abs(made).max()) <= 1
    scores, _ = jax.jit(players.discriminator.init_with_output)(jax.random.key(0), made, label)
    assert scores.shape == (3,) and scores.dtype == jnp.float32
    other = players.generator.apply(variables, z, label + 1)
    assert np.allclose(made, other) != conditional


def test_spectral_norm_makes_the_largest_singular_value_one():
    players = dcgan((8, 8, 1), width=8, spectral_norm=True)
    x = jax.random.normal(jax.random.key(1), (2, 8, 8, 1))
    variables = jax.jit(players.discriminator.init)(jax.random.key(0), x)
    train = jax.jit(lambda v: players.discriminator.apply(v, x, train=True, mutable=["batch_stats"])[1])
    for _ in range(30):
        variables = {**variables, **train(variables)}
    found = variables["batch_stats"]["conv1_norm"]["conv1/kernel/sigma"]
    kernel = np.asarray(variables["params"]["conv1"]["kernel"]).reshape(-1, 8)
    assert found == pytest.approx(np.linalg.svd(kernel, compute_uv=False)[0], rel=1e-3)


def test_the_prior_of_the_paper_is_uniform():
    z = np.asarray(dcgan((8, 8, 1), prior="uniform").draw(jax.random.key(0), 200))
    assert -1 <= z.min() < -0.99 and 0.99 < z.max() <= 1 and z.std() == pytest.approx(3**-0.5, rel=0.02)


def test_images_that_do_not_fit_are_refused():
    for shape in ((30, 30, 1), (28, 32, 1), (7, 7, 1), (2,)):
        with pytest.raises(UserError, match="dcgan takes square images with a side of 4 to 7 times a power of two"):
            dcgan(shape)
    with pytest.raises(UserError, match="a conditional GAN needs labelled data"):
        dcgan((28, 28, 1), conditional=True)
    with pytest.raises(UserError, match="unknown output of the generator 'tan'. Did you mean 'tanh'"):
        gan_mlp((2,), output="tan")
