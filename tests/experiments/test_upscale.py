"""One's own images enlarged: tiles join, the files are written, mistakes are one line."""

import jax
import numpy as np
import pytest
from PIL import Image

from configs import set5_srcnn
from dl.errors import UserError
from dl.generation.super_resolution import AROUND, LEAST, TILE, Enlarger, scale_of
from dl.layers import bicubic
from dl.training.assembly import assemble
from experiments import upscale
from experiments.train import train
from tests.experiments import digits


@pytest.fixture(scope="module")
def enlarge() -> Enlarger:
    experiment = assemble(set5_srcnn.get_config("smoke"))
    state = jax.tree.map(lambda x: x[0], experiment.initial_state())
    return Enlarger(experiment, state.params, state.variables)


def test_tiles_join_to_what_the_whole_image_gives(enlarge):
    image = np.random.default_rng(0).random((TILE + 9, 2 * TILE + 5, 3)).astype(np.float32)
    whole = np.clip(bicubic.resized(image.astype(np.float64), (4 * (TILE + 9), 4 * (2 * TILE + 5))), 0, 1)
    np.testing.assert_allclose(enlarge(image, "bicubic"), whole, atol=1e-5)
    made = enlarge(image)
    assert made.shape == whole.shape and np.abs(made - whole).max() > 0.01
    moved = enlarge(image[:, AROUND:])  # other tiles, the same pixels far from the rim
    np.testing.assert_allclose(moved[16:-16, 16:-16], made[16:-16, 4 * AROUND + 16 : -16], atol=1e-5)


def test_an_image_that_is_too_small_is_said_so(enlarge):
    with pytest.raises(UserError, match=f"it has 3x50 pixels; to be enlarged it needs {LEAST} on each side"):
        enlarge(np.zeros((3, 50, 3), np.float32))
    with pytest.raises(UserError, match="does not enlarge images"):
        scale_of(digits.get_config())


@pytest.mark.slow
def test_the_program_writes_each_image_of_a_folder(tmp_path):
    config = set5_srcnn.get_config("smoke")
    config.update(steps=2, eval_every=0, checkpoint_every=0)
    train(config, tmp_path / "run", None, None)
    (tmp_path / "in").mkdir()
    for name, size in (("a", (30, 20)), ("b", (8, 5))):
        Image.new("RGB", size, (200, 40, 90)).save(tmp_path / "in" / f"{name}.png")
    paths = upscale.listed(tmp_path / "in")
    lines = list(upscale.upscale(tmp_path / "run", paths, tmp_path / "out", ("made", "bicubic")))
    assert len(lines) == 4 and lines[0].endswith("a_x4.png: 30x20 to 120x80 pixels")
    with Image.open(tmp_path / "out" / "b_x4_bicubic.png") as image:
        assert image.size == (32, 20) and image.getpixel((16, 10)) == (200, 40, 90)
    Image.new("RGB", (2, 2)).save(tmp_path / "in" / "c.png")
    with pytest.raises(UserError, match=r"c\.png: it has 2x2 pixels"):
        list(upscale.upscale(tmp_path / "run", upscale.listed(tmp_path / "in" / "c.png"), tmp_path / "out"))
    with pytest.raises(UserError, match="there is no such image or folder"):
        upscale.listed(tmp_path / "nothing.png")
