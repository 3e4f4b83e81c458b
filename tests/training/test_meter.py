import jax.numpy as jnp
import numpy as np
import pytest

from dl.errors import UserError
from dl.training.meter import Meter
from dl.training.plan import Block
from dl.training.step import Packed


def metrics(room: int = 0, **pairs) -> Packed:
    """name -> (sums, counts) [replica, step], packed, with `room` for more steps that were not taken."""
    names = tuple(sorted(pairs))
    values = np.stack([np.stack([np.asarray(x, np.float32) for x in pairs[n]], -1) for n in names], 2)
    return Packed(jnp.asarray(np.pad(values, ((0, 0), (0, room), (0, 0), (0, 0)))), names)


class Clock:
    """Seconds that pass only when told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_means_are_sums_over_counts_since_the_last_line():
    meter = Meter(examples=64, seconds=10.0)
    meter.add(Block(0, 0, 2), metrics(loss=([[1, 2], [3, 4]], [[1, 3], [1, 3]])))
    meter.add(Block(1, 2, 3), metrics(room=1, loss=([[9], [9]], [[2], [2]]), other=([[8], [6]], [[2], [2]])))
    means, speed = meter.flush("")
    np.testing.assert_allclose(means["loss"], [12 / 6, 16 / 6])
    np.testing.assert_allclose(means["other"], [4, 3])
    assert speed["seconds"] > 10 and speed["examples_per_second"] > 0
    meter.add(Block(1, 3, 4), metrics(loss=([[5], [7]], [[1], [1]])))
    np.testing.assert_allclose(meter.flush("")[0]["loss"], [5, 7])


def test_what_was_summed_up_before_a_stop_is_in_the_next_line():
    first, whole = Meter(1, 0.0), Meter(1, 0.0)
    for meter in (first, whole):
        meter.add(Block(0, 0, 2), metrics(loss=([[1, 2], [3, 4]], [[1, 3], [1, 3]])))
    second = Meter(1, 0.0, {name: [x.tolist() for x in pair] for name, pair in first.collect("").items()})
    for meter in (second, whole):
        meter.add(Block(0, 2, 3), metrics(loss=([[7], [9]], [[2], [2]])))
    np.testing.assert_array_equal(second.flush("")[0]["loss"], whole.flush("")[0]["loss"])


def test_the_speed_is_that_of_training_and_the_seconds_are_all():
    clock = Clock()
    meter = Meter(examples=10, seconds=5.0, clock=clock)
    one = metrics(loss=([[1.0] * 4], [[1] * 4]))
    meter.add(Block(0, 0, 4), one)
    clock.now = 2.0
    meter.pause()
    clock.now = 9.0  # an evaluation, before a line is due
    meter.skip()
    meter.add(Block(0, 4, 8), one)
    clock.now = 11.0
    assert meter.flush("")[1] == {"examples_per_second": 8 * 10 / 4.0, "seconds": 5.0 + 11.0}


def test_a_metric_that_nothing_was_counted_for_is_left_out():
    meter = Meter(1, 0.0)
    meter.add(Block(0, 0, 1), metrics(loss=([[1]], [[1]]), rare=([[0]], [[0]])))
    assert set(meter.flush("")[0]) == {"loss"}


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


def test_the_speed_counts_the_examples_of_each_phase():
    clock = Clock()
    meter = Meter([10, 2.5], 0.0, clock=clock)
    meter.add(Block(0, 0, 3), metrics(loss=([[1.0] * 3], [[1] * 3])))
    meter.add(Block(1, 3, 5), metrics(loss=([[1.0] * 2], [[1] * 2])))
    clock.now = 2.0
    assert meter.flush("")[1]["examples_per_second"] == 17.5
