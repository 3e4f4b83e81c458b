import jax.numpy as jnp
import numpy as np

from dl.layers.anchors import level_of, of_level, of_pyramid
from dl.layers.boxes import area


def test_anchors_of_a_worked_example():
    anchors = of_level((2, 3), 16, [8.0, 32.0], [1.0, 4.0])
    assert anchors.shape == (2 * 3 * 2 * 2, 4)
    np.testing.assert_allclose(anchors[0], [4, 4, 12, 12])  # around (8, 8)
    np.testing.assert_allclose(anchors[1], [0, 6, 16, 10])  # four times as high as wide, of the same area
    np.testing.assert_allclose(anchors[4], [4, 20, 12, 28])  # the next column
    np.testing.assert_allclose(anchors[12], [20, 4, 28, 12])  # the next row
    np.testing.assert_allclose(area(jnp.asarray(anchors)), np.tile([64, 64, 1024, 1024], 6), rtol=1e-5)


def test_a_pyramid_is_its_maps_one_after_another():
    found = of_pyramid([(4, 4), (2, 2)], [8, 16], [[16.0], [32.0]], [0.5, 1.0, 2.0])
    np.testing.assert_array_equal(found[48:], of_level((2, 2), 16, [32.0], [0.5, 1.0, 2.0]))
    assert found.shape == (60, 4)


def test_the_map_of_a_box_is_that_of_the_paper():
    # Lin et al. 2017: 224 pixels belong to the fourth... of maps 2 to 5 that is number 4, here 2; half as much one finer.
    sides = jnp.array([10.0, 111, 112, 223, 224, 447, 448, 2000])
    boxes = jnp.stack([sides * 0, sides * 0, sides, sides], 1)
    assert level_of(boxes, 4, 56).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert level_of(jnp.zeros((1, 4)), 4, 56).tolist() == [0]
