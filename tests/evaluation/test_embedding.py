"""Codes in the plane: reproducible, true to distances or neighbours, and whole for odd inputs."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from dl.errors import UserError
from dl.evaluation.embedding import LIMITS, chosen, embeddings, in_the_plane

DIGITS, LABELS = load_digits(return_X_y=True)


def nearest_share(points, labels):
    """Of how many points the nearest other point is of the same class."""
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(distances, np.inf)
    return (labels[distances.argmin(axis=1)] == labels).mean()


def test_mds_gives_back_points_that_lie_in_a_plane():
    plane = np.random.default_rng(0).normal(size=(40, 2))
    turned = plane @ np.linalg.qr(np.random.default_rng(1).normal(size=(5, 5)))[0][:2]  # in five dimensions

    def distances(points):
        return np.linalg.norm(points[:, None] - points[None], axis=-1)

    for method in ("pca", "mds"):
        np.testing.assert_allclose(distances(in_the_plane(turned, method)), distances(plane), atol=0.02)


def test_tsne_keeps_digits_beside_their_like_and_is_reproducible():
    points = in_the_plane(DIGITS[:300], "tsne")
    assert nearest_share(points, LABELS[:300]) > 0.9 > nearest_share(in_the_plane(DIGITS[:300], "pca"), LABELS[:300])
    np.testing.assert_array_equal(points, in_the_plane(DIGITS[:300], "tsne"))


@pytest.mark.parametrize("method", LIMITS)
@pytest.mark.parametrize("shape", [(1, 3), (4, 1), (8, 1), (6, 5)])
def test_few_examples_and_narrow_codes(method, shape):
    points = in_the_plane(np.random.default_rng(0).normal(size=shape), method)
    assert points.shape == (shape[0], 2) and np.isfinite(points).all()


def test_equal_codes_lie_in_one_point():
    for method in LIMITS:
        assert (in_the_plane(np.ones((9, 4)), method) == 0).all()


def test_chosen_examples_are_spread_and_each_taken_once():
    np.testing.assert_array_equal(chosen(5, 10), np.arange(5))
    picked = chosen(10_000, 300)
    assert len(picked) == 300 and picked[0] == 0 and picked[-1] == 9999 and np.diff(picked).min() >= 33


def test_all_three_are_shown_with_the_labels_of_what_is_shown():
    shown = embeddings(DIGITS[:320].astype(np.float32), LABELS[:320].astype(np.int32), tuple("0123456789"))
    assert list(shown) == ["PCA of the codes", "MDS of the codes", "t-SNE of the codes"]
    mds = shown["MDS of the codes"]
    assert mds.points.shape == (300, 2)
    np.testing.assert_array_equal(mds.labels, LABELS[chosen(320, 300)])


def test_an_unknown_method():
    with pytest.raises(UserError, match="unknown embedding 'umap'. Choices: mds, pca, tsne"):
        in_the_plane(DIGITS[:5], "umap")
