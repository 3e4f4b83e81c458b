"""The mean field beside sums over all pairs of pixels, and what it does to an image."""

import jax
import numpy as np
import pytest

from dl.errors import UserError
from dl.evaluation import dense_crf
from dl.evaluation.dense_crf import Settings

FIELD = Settings(iterations=3, window=11, colour=2.0, smooth=0.7, near=4.0, alike=25.0, close=1.5)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def over_all_pairs(scores, image, s):
    """Krahenbuhl & Koltun 2011, algorithm 1, pair by pair; kernels divided by their sums."""
    height, width, classes = scores.shape
    places = np.stack(np.mgrid[:height, :width], -1).reshape(-1, 2).astype(float)
    colours, unary = image.reshape(-1, 3).astype(float), scores.reshape(-1, classes)
    log_p = np.log(softmax(unary))
    weights = np.zeros((len(places), len(places)))
    for theta, tone, weight in ((s.near, s.alike, s.colour), (s.close, None, s.smooth)):
        kernel = np.zeros_like(weights)
        for i in range(len(places)):
            for j in range(len(places)):
                far = ((places[i] - places[j]) ** 2).sum() / (2 * theta**2)
                apart = ((colours[i] - colours[j]) ** 2).sum() / (2 * tone**2) if tone else 0.0
                near = np.abs(places[i] - places[j]).max() <= s.window // 2
                kernel[i, j] = np.exp(-far - apart) * (i != j) * near
        weights += weight * kernel / kernel.sum(1, keepdims=True)
    q = softmax(log_p)
    for _ in range(s.iterations):
        energy = weights @ (1 - q)  # of each label: what the neighbours with other labels cost
        q = softmax(log_p - energy)
    return q.reshape(height, width, classes)


@pytest.mark.parametrize("window", [11, 3])
def test_the_mean_field_is_the_sum_over_all_pairs(window):
    rng = np.random.default_rng(0)
    scores, image = rng.normal(size=(5, 6, 3)).astype(np.float32), rng.uniform(0, 255, (5, 6, 3)).astype(np.float32)
    field = FIELD._replace(window=window)
    ours = jax.jit(lambda a, b: dense_crf.refined(a, b, field))(scores, image)
    np.testing.assert_allclose(np.exp(ours), over_all_pairs(scores, image, field), atol=1e-5)


def test_labels_follow_the_edges_of_the_image():
    image = np.zeros((9, 12, 3), np.float32)
    image[:, 6:] = 255
    truth = (image[..., 0] > 0).astype(int)
    seen = truth.copy()
    seen[:, 6] = 0  # an edge that lies a pixel too far to the right, and a wrong pixel
    seen[4, 2] = 1
    scores = np.eye(2, dtype=np.float32)[seen]
    refined = jax.jit(lambda a, b: dense_crf.refined(a, b, Settings(iterations=5, window=5)))(scores, image)
    np.testing.assert_array_equal(np.asarray(refined).argmax(-1), truth)


def test_settings_that_make_no_sense():
    for wrong, message in (
        ({"window": 4}, "window=4 must be odd, 3 or more"),
        ({"alike": 0.0}, "deviations, which must be above 0"),
    ):
        with pytest.raises(UserError, match=message):
            dense_crf.check(Settings(**wrong))
