"""Gaussian mixtures, and the faces of CelebA from their zip."""

import io

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from dl.data.load import load
from dl.data.sources.celeba import centre_square
from dl.data.sources.gaussian_mixture import centres
from dl.errors import UserError


def settings(name, **more):
    return ConfigDict({"name": name, "splits": {"test": "test"}, "size": (0, 0), "fit": "pad", **more})


@pytest.mark.parametrize(("layout", "components"), [("ring", 8), ("grid", 9), ("line", 4)])
def test_points_lie_around_their_centres(layout, components):
    dataset = load(settings("gaussian_mixture", layout=layout, components=components, radius=2.0, deviation=0.1))
    test = dataset.splits["test"].gather(np.arange(2000))
    where = centres(layout, components, 2.0)
    away = test["point"] - where[test["label"]]
    assert away.std() == pytest.approx(0.1, rel=0.05) and abs(away.mean()) < 0.01
    assert dataset.info.shapes["point"] == where.shape[1:] and np.bincount(test["label"]).min() > 2000 / components * 0.7


def test_a_ring_has_its_radius_and_a_grid_its_corners():
    np.testing.assert_allclose(np.linalg.norm(centres("ring", 5, 3.0), axis=1), 3)
    assert centres("grid", 9, 2.0).tolist()[0] == [-2, -2]
    np.testing.assert_array_equal(centres("line", 3, 2.0)[:, 0], [-2, 0, 2])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"layout": "rign"}, "unknown layout of the mixture 'rign'. Did you mean 'ring'"),
        ({"layout": "grid", "components": 8}, "a grid has a square number of components"),
        ({"components": 1}, "must be at least 2"),
        ({"deviation": 0.0}, "above 0"),
    ],
)
def test_mixtures_that_are_none(more, message):
    with pytest.raises(UserError, match=message):
        load(settings("gaussian_mixture", **more))


def test_faces_from_the_zip(shared_data):
    dataset = load(settings("celeba", size=(32, 32)), manual_dir=str(shared_data))
    assert dataset.info.shapes == {"image": (32, 32, 3)} and dataset.info.num_classes == 0
    test = dataset.splits["test"]
    assert len(test) == 500
    images = test.gather(np.arange(500))["image"]
    assert images.shape == (500, 32, 32, 3) and images.dtype == np.uint8 and 60 < images.mean() < 160


def test_the_square_in_the_middle():
    image = np.zeros((109, 89, 3), np.uint8)
    image[10:99] = 200  # the middle 89 rows
    data = io.BytesIO()
    Image.fromarray(image).save(data, "PNG")
    assert (centre_square(data.getvalue(), (64, 48), "a.jpg") == 200).all()
    assert centre_square(data.getvalue(), (64, 48), "a.jpg").shape == (64, 48, 3)


def test_without_the_zip_one_is_told_which_file_to_put_where(tmp_path):
    with pytest.raises(UserError, match=r"img_align_celeba.zip and give --manual_dir=DIR"):
        load(settings("celeba"))
    with pytest.raises(UserError, match=r"celebA_10000_jpg.zip"):
        load(settings("celeba"), manual_dir=str(tmp_path))
