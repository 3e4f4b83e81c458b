import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from dl.errors import UserError
from dl.training import schedules


def rates(settings, learning_rate, steps, at):
    """The rates at the counts `at`, one by one under jit, as an optimizer asks for them."""
    schedule = jax.jit(schedules.build(settings, learning_rate, steps))
    return [float(schedule(jnp.int32(count))) for count in at]


def test_constant_is_the_default_and_needs_no_steps():
    assert rates({}, 0.5, 0, [0, 1, 10**6]) == [0.5] * 3


def test_step_as_in_he_et_al_2016_section_4_2():
    """0.1, divided by 10 at 32k and 48k iterations of 64k."""
    expected = [0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
    at = [0, 31_999, 32_000, 47_999, 48_000, 63_999]
    assert rates({"name": "step", "boundaries": (32_000, 48_000)}, 0.1, 64_000, at) == pytest.approx(expected, rel=1e-6)
    assert rates({"name": "step", "boundaries": [0.5, 0.75], "factor": 0.1}, 0.1, 64_000, at) == pytest.approx(
        expected, rel=1e-6
    )


def test_step_with_a_factor_each_as_in_lecun_et_al_1998_section_iii_b():
    """LeNet-5's rates: 0.0005 for two passes, 0.0002 for three, 0.0001 for three, 0.00005 for four, then 0.00001 up to 20."""
    settings = {"name": "step", "boundaries": (2, 5, 8, 12), "factor": (0.4, 0.5, 0.5, 0.2)}
    expected = [5e-4] * 2 + [2e-4] * 3 + [1e-4] * 3 + [5e-5] * 4 + [1e-5] * 8
    assert rates(settings, 5e-4, 20, range(20)) == pytest.approx(expected, rel=1e-6)


def test_step_boundaries_count_from_the_first_update_through_the_warmup():
    settings = {"name": "step", "boundaries": (6, 60), "warmup_steps": 4, "factor": 0.5}
    assert rates(settings, 1, 10, [0, 1, 2, 3, 4, 5, 6, 9]) == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1, 0.5, 0.5])


def test_cosine_is_at_half_the_rate_half_way():
    assert rates({"name": "cosine"}, 0.2, 100, [0, 50, 100]) == pytest.approx([0.2, 0.1, 0.0], abs=1e-8)
    u = np.arange(100) / 100
    expected = 0.2 * (0.1 + 0.9 * 0.5 * (1 + np.cos(np.pi * u)))
    assert rates({"name": "cosine", "final": 0.1}, 0.2, 100, range(100)) == pytest.approx(expected, rel=1e-5)


def test_linear_and_polynomial():
    assert rates({"name": "linear", "final": 0.5}, 1, 4, range(6)) == pytest.approx([1, 0.875, 0.75, 0.625, 0.5, 0.5])
    # DeepLab's "poly" policy with power 0.9 (Chen et al. 2017, section 4.1).
    assert rates({"name": "polynomial", "power": 0.9}, 1, 10, [0, 3]) == pytest.approx([1, 0.7**0.9], rel=1e-6)


def test_exponential_smooth_and_in_stairs():
    smooth = {"name": "exponential", "decay": 0.5, "every": 10}
    assert rates(smooth, 1.0, 100, [0, 5, 10, 20]) == pytest.approx([1, 0.5**0.5, 0.5, 0.25], rel=1e-6)
    stairs = {**smooth, "staircase": True, "final": 0.2}
    assert rates(stairs, 1.0, 100, [0, 9, 10, 19, 20, 30]) == pytest.approx([1, 1, 0.5, 0.5, 0.25, 0.2])
    assert rates({**smooth, "every": 0.1}, 1.0, 100, [10]) == pytest.approx([0.5])


@pytest.mark.parametrize("name", ["constant", "cosine", "linear", "exponential"])
def test_any_schedule_warms_up_linearly_and_then_starts(name):
    settings = {"name": name, "warmup_steps": 4, "warmup_from": 0.2}
    settings |= {"decay": 0.9, "every": 5} if name == "exponential" else {}
    plain = {key: value for key, value in settings.items() if "warmup" not in key}
    assert rates(settings, 1.0, 24, range(5)) == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates(settings, 1.0, 24, range(4, 24)) == pytest.approx(rates(plain, 1.0, 20, range(20)), abs=1e-7)


def test_warmup_cosine_takes_a_fraction():
    settings = ConfigDict({"name": "warmup_cosine", "warmup_steps": 0.1})
    assert rates(settings, 1.0, 100, [0, 5, 10, 55, 100]) == pytest.approx([0, 0.5, 1, 0.5, 0], abs=1e-7)


def test_one_cycle_by_hand():
    """Of 10 updates the third (number 2 = 0.3 * 10 - 1) has the peak, the last (number 9) 1 / (25 * 1e4) of it."""
    up = [0.04, 0.52, 1.0]  # half of the time is half of the way
    down = [1.0 + (4e-6 - 1.0) * np.sin(np.pi * n / 14) ** 2 for n in range(1, 7)]
    assert rates({"name": "one_cycle"}, 1.0, 10, range(12)) == pytest.approx([*up, *down, 4e-6, 4e-6, 4e-6], rel=1e-5)
    # Where the peak lies between two updates (0.25 * 10 - 1 = 1.5), neither has it.
    between = rates({"name": "one_cycle", "pct_start": 0.25, "div_factor": 4}, 1.0, 10, [0, 1, 2])
    assert between == pytest.approx([0.25, 0.25 + 0.75 * 0.75, 1 - np.sin(np.pi / 30) ** 2], rel=1e-5)


def test_one_cycle_in_straight_lines():
    straight = {"name": "one_cycle", "anneal": "linear", "pct_start": 0.25, "pct_final": 0.5, "div_factor": 10}
    at, settings = [0, 3, 6, 9, 14, 18, 23, 28, 39], {**straight, "final_div_factor": 100}
    expected = [0.1, 0.4, 0.7, 1, 0.5, 0.1, 0.1 - 0.099 * 5 / 21, 0.1 - 0.099 * 10 / 21, 0.001]
    assert rates(settings, 1.0, 40, at) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"name": "step", "boundaries": (5,)},
        {"name": "cosine", "warmup_steps": 3},
        {"name": "polynomial", "power": 2},
        {"name": "exponential", "decay": 0.5, "every": 3},
        {"name": "one_cycle"},
    ],
    ids=lambda settings: settings.get("name", "constant"),
)
def test_the_curve_scales_with_a_traced_rate(settings):
    """So replicas of one program can differ in their learning rates."""
    many = jax.vmap(lambda rate: schedules.build(settings, rate, 10)(jnp.int32(6)))(jnp.array([0.1, 0.4]))
    assert many.tolist() == pytest.approx([rates(settings, rate, 10, [6])[0] for rate in (0.1, 0.4)], rel=1e-6)


@pytest.mark.parametrize(
    ("settings", "learning_rate", "message"),
    [
        (
            {"name": "cosin"},
            0.1,
            r"unknown schedule 'cosin'\. Did you mean 'cosine'\? Choices: constant, cosine, exponential, linear",
        ),
        (
            {"name": "cosine", "warmup": 3},
            0.1,
            "unknown setting of schedule 'cosine' 'warmup'.*Choices: final, warmup_from, warmup_s",
        ),
        ({"name": "one_cycle", "warmup_steps": 3}, 0.1, "unknown setting of schedule 'one_cycle' 'warmup_steps'"),
        ({"name": "exponential", "decay": 0.5}, 0.1, "schedule 'exponential' needs the setting 'every'"),
        ({"name": "warmup_cosine"}, 0.1, "needs the setting 'warmup_steps'"),
        ({}, 0.0, "learning_rate must be above 0, not 0"),
        ({}, -1.0, "learning_rate must be above 0, not -1"),
        ({"warmup_steps": 10}, 0.1, r"warmup_steps \(10\) must be fewer than the run's steps \(10\)"),
        ({"warmup_steps": 2.5}, 0.1, "warmup_steps must be a number of steps or a fraction"),
        ({"warmup_steps": "two"}, 0.1, "warmup_steps must be a number, not 'two'"),
        ({"name": "step", "boundaries": (6, 4)}, 0.1, "boundaries must increase"),
        ({"name": "step", "boundaries": (4, 4)}, 0.1, "boundaries must increase"),
        (
            {"name": "step", "boundaries": (2, 4), "warmup_steps": 3},
            0.1,
            "boundaries must increase, after the 3 steps of warm-up",
        ),
        ({"name": "step", "boundaries": (2, 4), "factor": (0.1,)}, 0.1, "factor has 1 values for 2 boundaries"),
        ({"name": "step", "boundaries": 3}, 0.1, "boundaries must be a tuple"),
        ({"name": "cosine", "final": -1}, 0.1, "final must not be negative"),
        ({"name": "exponential", "decay": 1.5, "every": 2}, 0.1, "decay must be between 0 and 1"),
        ({"name": "exponential", "decay": 0.5, "every": 0}, 0.1, "every must be at least one step"),
        ({"name": "one_cycle", "anneal": "quadratic"}, 0.1, "unknown anneal.*Choices: cosine, linear"),
        ({"name": "one_cycle", "pct_start": 1.0}, 0.1, "must turn at increasing steps"),
    ],
)
def test_mistakes_are_one_clear_line(settings, learning_rate, message):
    with pytest.raises(UserError, match=message) as caught:
        schedules.build(settings, learning_rate, 10)
    assert "\n" not in str(caught.value)


def test_a_decay_needs_a_run():
    with pytest.raises(UserError, match="needs a run of at least one step, not 0"):
        schedules.build({"name": "cosine"}, 0.1, 0)
