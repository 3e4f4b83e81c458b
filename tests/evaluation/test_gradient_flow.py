"""How far back a gradient reaches, of a gradient that is written down."""

import jax.numpy as jnp
import numpy as np

from dl.evaluation import gradient_flow


def test_norms_are_counted_back_from_the_last_input():
    """Two rows of three steps: norms 5, 0, 1 and 13, 2, 3; distance 0 is the last step."""
    gradient = jnp.array([[[3.0, 4.0], [0.0, 0.0], [0.0, 1.0]], [[5.0, 12.0], [2.0, 0.0], [0.0, 3.0]]])
    np.testing.assert_allclose(gradient_flow.norms_by_distance(gradient), [2, 1, 9], rtol=1e-6)


def test_curves_are_logarithms_relative_to_the_last_input():
    x, y = gradient_flow.curves({"lstm": [2.0, 0.2, 0.0]}).lines["lstm"]
    np.testing.assert_array_equal(x, [0, 1, 2])
    np.testing.assert_allclose(y, [0, -1, -20], atol=1e-9)
