"""Captions of files of images by a run."""

import runpy

import jax
import numpy as np
import pytest
from PIL import Image

from dl.artifacts import Images
from dl.errors import UserError
from dl.generation.captioning import generate, read
from dl.training.assembly import assemble
from tests.conftest import REPOSITORY


@pytest.fixture(scope="module")
def run():
    experiment = assemble(runpy.run_path(str(REPOSITORY / "configs" / "flickr8k_captions.py"))["get_config"]("smoke"))
    return experiment, *experiment.task.init(jax.random.key(0))


def test_each_image_has_its_captions(run, tmp_path):
    source = run[0].dataset.splits["test"]
    pixels = source.features["image"]
    for n in range(2):
        Image.fromarray(pixels[n]).save(tmp_path / f"{n}.png")
    names = f"{tmp_path}/0.png, {tmp_path}/1.png"
    np.testing.assert_allclose(read(names.split(", "), pixels.shape[1:3], None), pixels[:2] / 255, atol=1e-5)
    made = generate(*run, jax.random.key(0), images=names, samples=2, beam=3, attention=True)
    lines = made["captions"].text.splitlines()
    assert [line.split(": ")[0] for line in lines] == [f"{tmp_path}/{n}.png" for n in (0, 0, 1, 1)]
    assert isinstance(made[f"{tmp_path}/1.png"], Images) and len(made) == 3
    small = tmp_path / "small.png"
    Image.fromarray(np.zeros((3, 50, 3), np.uint8)).save(small)
    assert len(generate(*run, jax.random.key(0), images=str(small))["captions"].text.splitlines()) == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "which images"),
        ({"images": "nowhere.jpg"}, "nowhere.jpg"),
        ({"images": "china", "beam": 0}, "a beam keeps at least 1"),
    ],
)
def test_what_cannot_be_captioned_is_one_line(run, given, said):
    with pytest.raises(UserError, match=said) as error:
        generate(*run, jax.random.key(0), **given)
    assert "\n" not in str(error.value)
