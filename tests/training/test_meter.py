import jax.numpy as jnp
import numpy as np
import pytest

from dl.errors import UserError
from dl.training.meter import Meter
from dl.training.plan import Block


def metrics(**pairs):
    """name -> (sums, counts) [replica, step], as arrays."""
    return {name: (jnp.asarray(s, jnp.float32), jnp.asarray(c, jnp.float32)) for name, (s, c) in pairs.items()}


def test_means_are_sums_over_counts_since_the_last_line():
    meter = Meter(examples=64, seconds=10.0)
    meter.add(Block(0, 0, 2), metrics(loss=([[1, 2], [3, 4]], [[1, 3], [1, 3]])))
    meter.add(Block(1, 2, 3), metrics(loss=([[9], [9]], [[2], [2]]), other=([[8], [6]], [[2], [2]])))
    means, speed = meter.flush("")
    np.testing.assert_allclose(means["loss"], [12 / 6, 16 / 6])
    np.testing.assert_allclose(means["other"], [4, 3])
    assert speed["seconds"] > 10 and speed["examples_per_second"] > 0
    meter.add(Block(1, 3, 4), metrics(loss=([[5], [7]], [[1], [1]])))
    np.testing.assert_allclose(meter.flush("")[0]["loss"], [5, 7])


def test_many_steps_add_up_in_double_precision():
    meter = Meter(examples=1, seconds=0.0)
    for k in range(4):
        meter.add(Block(0, k, k + 1), metrics(loss=([[2.0**24 if k == 0 else 1.0]], [[1]])))
    assert meter.flush("")[0]["loss"][0] == (2**24 + 3) / 4  # in float32 it would be 2**24 / 4


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_named_with_its_step_replica_and_what_is_kept(value):
    meter = Meter(examples=1, seconds=0.0)
    meter.add(Block(0, 10, 12), metrics(loss=([[1, 1], [1, 1]], [[1, 1], [1, 1]])))
    later = metrics(
        loss=([[1, 1, 1], [1, 1, value]], np.ones((2, 3))),
        **{
            "gradient_norm/x": ([[1, 1, 1], [1, value, value]], np.ones((2, 3))),
            "error": ([[1, 1, 1], [1, value, 1]], np.ones((2, 3))),
        },
    )
    meter.add(Block(0, 12, 15), later)
    with pytest.raises(UserError, match=rf"stopped at step 14: the metric 'error' of replica 1 is {value} \(kept so\)"):
        meter.flush("kept so")
