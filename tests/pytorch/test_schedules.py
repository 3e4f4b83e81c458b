"""Learning rates beside PyTorch's, update for update: tests/pytorch/schedules.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.training import schedules
from tests.pytorch import recorded

CYCLE = {"name": "one_cycle"}
LINEAR = {**CYCLE, "anneal": "linear"}  # PyTorch's three phases: down as fast as up, and then to the end
SETTINGS = {
    "step": {"name": "step", "boundaries": (10, 25), "factor": 0.2},
    "cosine": {"name": "cosine", "final": 0.1},
    "linear": {"name": "linear", "final": 0.1},
    "polynomial": {"name": "polynomial", "power": 0.9},
    "exponential": {"name": "exponential", "decay": 0.95, "every": 1},
    "staircase": {"name": "exponential", "decay": 0.5, "every": 10, "staircase": True},
    "warm-up": {"name": "cosine", "warmup_steps": 8, "warmup_from": 0.2},
    "one cycle": CYCLE,
    "one cycle, set": {**CYCLE, "pct_start": 0.25, "div_factor": 10, "final_div_factor": 100},
    "one cycle, linear": {**LINEAR, "pct_start": 0.3, "pct_final": 0.6},
    "one cycle of 5": {**CYCLE, "pct_start": 0.45},
    "one cycle of 37": {**CYCLE, "pct_start": 0.23},
    "one cycle of 10, linear": {**LINEAR, "pct_start": 0.45, "pct_final": 0.9},
    "one cycle of 37, linear": {**LINEAR, "pct_start": 0.23, "pct_final": 0.46},
}


@pytest.mark.parametrize("case", SETTINGS)
def test_rates_are_those_of_pytorch(case):
    theirs = recorded.arrays("schedules", case)["rates"]
    ours = jax.vmap(schedules.build(SETTINGS[case], 0.5, len(theirs)))(jnp.arange(len(theirs)))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-7)
