"""An image is bright where the weights are large, and dark elsewhere."""

import numpy as np

from dl.evaluation.attention_images import lit_by


def test_the_image_is_lit_where_the_weights_are():
    weights = np.zeros((2, 4, 4))
    weights[0, 0, 3], weights[1] = 0.9, 1 / 16
    lit = lit_by(np.full((32, 48, 3), 0.5, np.float32), weights)
    assert lit.shape == (3, 32, 48, 3) and (lit[0] == 0.5).all()
    row, column = np.unravel_index(lit[1, :, :, 0].argmax(), (32, 48))
    assert row < 8 and column >= 36
    np.testing.assert_allclose(lit[1].max(), 0.5, atol=0.01)
    np.testing.assert_allclose(lit[1, 16:, :24], 0.1, atol=0.01)
    np.testing.assert_allclose(lit[2], 0.5, atol=0.01)  # the same weight everywhere
