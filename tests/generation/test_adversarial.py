"""Samples keep their numbers, arithmetic does what it says, grids become images, and mistakes are clear lines."""

import jax
import numpy as np
import pytest
from PIL import Image

from dl.artifacts import Images
from dl.errors import UserError
from dl.generation import adversarial as generation
from dl.models.gan_mlp import gan_mlp
from dl.report import montage
from dl.training.assembly import assemble
from tests.tasks.test_adversarial import images, toy

KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def made():
    """`made(**settings)`: what an untrained tiny DCGAN makes."""
    chosen = assemble(images())
    state = jax.tree.map(lambda x: x[0], chosen.initial_state())

    def generate(**settings):
        return generation.generate(chosen, state.params, state.variables, KEY, **settings)

    return generate


def test_a_sample_depends_on_its_number_alone():
    players = gan_mlp((2,), latent=5)
    z = generation.latents(players, KEY, np.array([0, 1, 2, 3]))
    np.testing.assert_array_equal(generation.latents(players, KEY, np.array([2, 0])), z[[2, 0]])
    assert len(np.unique(z[:, 0])) == 4


def test_arithmetic_adds_and_subtracts_the_means_of_groups():
    players = gan_mlp((2,), latent=5)
    z, label, captions = generation._calculated("0,1 - 2 + 3,4,5", players, KEY, np.zeros(1, np.int32))
    own = generation.latents(players, KEY, np.arange(6))
    expected = own[:2].mean(0) - own[2] + own[3:].mean(0)
    result = captions.index("result")
    assert result == 30 and len(z) == len(label) == len(captions) == 40
    np.testing.assert_allclose(z[result], expected, atol=1e-6)
    assert 0 < np.abs(z[result + 1 :] - expected).max() <= generation.SPREAD + 1e-6
    np.testing.assert_allclose(z[captions.index("- mean")], own[2], atol=1e-6)


def test_images(made):
    samples, fewer = made(samples=12)["samples"], made(samples=5)["samples"]
    assert samples.pixels.shape == (12, 8, 8, 1) and samples.pixels.dtype == np.uint8
    np.testing.assert_array_equal(samples.pixels[:5], fewer.pixels)
    between = made(interpolate="0-10,3-3")["interpolation"].pixels
    np.testing.assert_array_equal(between[0], samples.pixels[0])
    np.testing.assert_array_equal(between[9], samples.pixels[10])  # 0 and 10 have the same class
    assert (made(arithmetic="0,1-2")["arithmetic"].pixels[4:10] == 255).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"samples": 0}, "--samples must be at least 1, got 0"),
        ({"labels": "3,11"}, "--labels=3,11: there are 10 classes, 0 to 9"),
        ({"labels": "three"}, "'three' is no list of numbers"),
        ({"interpolate": "1-2-3"}, "give pairs of numbers of samples, such as 0-5,7-2"),
        ({"arithmetic": "1,x"}, "--arithmetic: '1,x' is no list of numbers"),
    ],
)
def test_mistakes_are_clear_lines(made, settings, message):
    with pytest.raises(UserError, match=message):
        made(**settings)


def test_labels_are_for_conditional_generators():
    chosen = assemble(toy())
    state = jax.tree.map(lambda x: x[0], chosen.initial_state())
    with pytest.raises(UserError, match="--labels is for a conditional generator"):
        generation.generate(chosen, state.params, state.variables, KEY, labels="1")
    assert generation.generate(chosen, state.params, state.variables, KEY, samples=7)["samples"].points.shape == (7, 2)


def test_a_grid_is_one_image_with_white_between(tmp_path):
    pixels = np.zeros((3, 4, 5, 1), np.uint8)
    sheet = montage.montage(Images(pixels, columns=2))
    assert sheet.shape == (2 * 6 + 2, 2 * 7 + 2, 1)
    assert (sheet == 0).sum() == 3 * 20 and (sheet[:2] == 255).all()
    with Image.open(montage.save(tmp_path / "new" / "grid.png", Images(pixels, columns=2))) as image:
        np.testing.assert_array_equal(np.asarray(image), sheet[..., 0])
    with pytest.raises(UserError, match="cannot write"):
        montage.save(tmp_path / "grid.nothing", Images(pixels))
