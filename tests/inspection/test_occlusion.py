import numpy as np
import pytest

from dl.inspection.occlusion import corners, occlusion


def detector(images):
    """Two classes: how bright the pixels (6, 7) and (10, 3) are, the latter less strongly."""
    evidence = np.asarray(images)[:, 6, 7, 0] * 0.8 + np.asarray(images)[:, 10, 3, 0] * 0.1
    return np.stack([1 - evidence, evidence], axis=1)


def test_a_detector_s_place_is_found():
    image = np.ones((16, 12, 1), np.float32)
    found = occlusion(detector, image, 1, size=3, stride=1, fill=0.0)
    assert np.unravel_index(found.argmax(), found.shape) == (6, 7)
    assert found[6, 7] == pytest.approx(0.8)  # each square over that pixel hides it, and none of them the other one
    assert found[10, 3] == pytest.approx(0.1)
    far = np.ones(found.shape, bool)
    far[4:9, 5:10] = far[8:13, 1:6] = False
    assert np.abs(found[far]).max() < 1e-6
    np.testing.assert_allclose(occlusion(detector, image, 0, 3, 1, 0.0), -found, atol=1e-6)


def test_what_is_hidden_is_grey():
    seen = []

    def record(images):
        seen.append(np.array(images))
        return np.zeros((len(images), 1))

    occlusion(record, np.ones((5, 5, 3), np.float32), 0, 2, 3)
    whole, hidden = seen
    assert (whole == 1).all() and len(hidden) == 4
    assert [np.argwhere(h[..., 0] == 0.5).min(0).tolist() for h in hidden] == [[0, 0], [0, 3], [3, 0], [3, 3]]
    assert all((h == 0.5).sum() == 12 for h in hidden)


@pytest.mark.parametrize(("side", "size", "stride"), [(16, 3, 2), (10, 4, 4), (5, 5, 1), (7, 3, 3)])
def test_every_pixel_is_hidden_and_no_square_leaves_the_image(side, size, stride):
    times = np.zeros((side, side))
    for row, column in corners((side, side), size, stride):
        assert 0 <= row <= side - size and 0 <= column <= side - size
        times[row : row + size, column : column + size] += 1
    assert times.min() >= 1
