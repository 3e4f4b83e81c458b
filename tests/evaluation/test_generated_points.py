"""What is shown of generated points."""

import numpy as np

from dl.evaluation.generated_points import SHOWN, spread


def test_points_that_come_component_by_component_are_all_shown():
    points = np.repeat(np.arange(8), 500)[:, None] * np.ones((1, 2))
    shown = spread(points)
    assert len(shown) == SHOWN
    assert np.bincount(shown[:, 0].astype(int)).tolist() == [125] * 8
    np.testing.assert_array_equal(spread(points[:7]), points[:7])
    assert spread(points[:0]).shape == (0, 2)
