"""Attributes measured on images, the probe that finds a direction, and groups for an arithmetic that choose themselves."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.dataset import Feature, Info, Kind
from dl.errors import UserError
from dl.generation import adversarial as generation
from dl.generation import latent_attributes as attributes
from dl.models.gan_mlp import Players
from dl.training.assembly import assemble
from tests.tasks.test_adversarial import images

SIDE = 50


def face(**parts: float) -> np.ndarray:
    """A grey image [1, 50, 50, 3] with parts of other values."""
    image = np.full((1, SIDE, SIDE, 3), 0.5)
    for name, value in parts.items():
        top, bottom, left, right = (round(SIDE * part) for part in getattr(attributes, name))
        image[:, top:bottom, left:right] = value
    return image


def test_what_each_attribute_measures():
    plain = {name: measure(face())[0] for name, measure in attributes.ATTRIBUTES.items()}
    assert plain == pytest.approx(
        {"light": 0.5, "dark_hair": -0.5, "light_mouth": 0, "lit_from_left": 0, "light_background": 0.5, "warm": 0}
    )
    assert attributes.ATTRIBUTES["dark_hair"](face(HAIR=0.1))[0] == pytest.approx(-0.1)
    assert attributes.ATTRIBUTES["light_mouth"](face(MOUTH=0.9))[0] == pytest.approx(0.4)
    assert attributes.ATTRIBUTES["lit_from_left"](face(RIGHT=0.2))[0] == pytest.approx(0.3)
    red = face() + np.array([0.2, 0, -0.1])
    assert attributes.ATTRIBUTES["warm"](red)[0] == pytest.approx(0.3)


def test_a_probe_finds_the_direction_of_a_linear_attribute_and_says_how_good_it_is():
    random = np.random.default_rng(0)
    z = random.standard_normal((400, 6)).astype(np.float32)
    true = np.array([3, 0, -4, 0, 0, 0]) / 5
    found = attributes.probe(z, 2 * z @ true + 7)
    np.testing.assert_allclose(found.direction, true, atol=5e-3)
    assert found.r2 > 0.999
    assert attributes.probe(z, random.standard_normal(400)).r2 < 0.1


def test_groups_are_the_samples_with_both_with_one_and_with_neither():
    p = np.array([2, 2, 2, -2, -2, -2, -2, -2, -2, 2, 9.0])
    q = np.array([1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -9.0])
    np.testing.assert_array_equal(attributes.groups(p, q), [[0, 1, 2], [3, 4, 5], [6, 7, 8]])


@pytest.mark.parametrize(("text", "message"), [("light", "name two different ones"), ("light,beard", "beard")])
def test_mistakes_are_clear_lines(text, message):
    with pytest.raises(UserError, match=message):
        attributes.names(text)


class Faces(nn.Module):
    """A generator whose hair and mouth are the first two numbers of its latent point."""

    @nn.compact
    def __call__(self, z, label=None, train=False):
        image = jnp.broadcast_to(self.param("grey", nn.initializers.zeros, ()), (len(z), SIDE, SIDE, 3))
        for number, box in ((0, attributes.HAIR), (1, attributes.MOUTH)):
            top, bottom, left, right = (round(SIDE * part) for part in box)
            value = jnp.tanh(0.3 * z[:, number, None, None, None])
            image = image.at[:, top:bottom, left:right].set(value)
        return image


def test_an_arithmetic_by_attributes_gives_what_its_equation_says(monkeypatch):
    """(p and q) - (q alone) + (neither) has p and not q: here dark hair (a small first number) and a dark mouth."""
    players = Players(Faces(), nn.Dense(1), latent=5)
    monkeypatch.setattr(generation, "build_players", lambda config, info: players)
    info = Info("faces", {"image": Feature(Kind.IMAGE, (SIDE, SIDE, 3))})

    digits = assemble(images())
    made = generation.generate(
        digits._replace(dataset=digits.dataset._replace(info=info)),
        {"generator": {"grey": jnp.float32(0)}},
        {"generator": {}},
        jax.random.key(0),
        attributes="dark_hair,light_mouth",
    )
    rows = {row[0]: row[1:] for row in made["in standard deviations"].rows}
    hair, mouth = (list(map(float, rows[name])) for name in ("dark_hair", "light_mouth"))
    assert hair[0] > 1 and hair[1] < -1 and hair[2] < -1 and hair[3] > 1
    assert mouth[0] > 1 and mouth[1] > 1 and mouth[2] < -1 and mouth[3] < -1
    assert hair[4] > 0.9 and mouth[4] > 0.9
    grid = made["arithmetic"]
    assert len(grid.pixels) == len(grid.captions) == 60
    along = attributes.ATTRIBUTES["dark_hair"](grid.pixels[40:50] / 255)
    assert (np.diff(along) >= 0).all() and along[-1] - along[0] > 0.5
