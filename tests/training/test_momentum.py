"""Momentum that rises at the beginning."""

import jax.numpy as jnp
import numpy as np
import optax

from dl.training import optimizers


def test_ramped_momentum_is_the_recurrence():
    made = optimizers.build({"name": "ramped", "learning_rate": 0.1, "momentum": 0.9, "start": 0.5, "ramp": 4}, 10)
    params = {"kernel": jnp.array([1.0])}
    state = made.init(params)
    weight, trace = 1.0, 0.0
    for step in range(8):
        updates, state = made.update({"kernel": 2 * params["kernel"]}, state, params)
        params = optax.apply_updates(params, updates)
        trace = min(0.5 + 0.1 * step, 0.9) * trace + 2 * weight
        weight -= 0.1 * trace
        np.testing.assert_allclose(params["kernel"], weight, rtol=1e-5)


def test_without_a_ramp_it_is_optax_sgd():
    settings = {"learning_rate": 0.1, "momentum": 0.8}
    made = [
        optimizers.build({"name": "ramped", "start": 0.8, **settings}, 5),
        optimizers.build({"name": "sgd", **settings}, 5),
    ]
    params = {"kernel": jnp.arange(3.0)}
    states = [m.init(params) for m in made]
    for step in range(5):
        gradient = {"kernel": params["kernel"] + step}
        a, states[0] = made[0].update(gradient, states[0], params)
        b, states[1] = made[1].update(gradient, states[1], params)
        np.testing.assert_allclose(a["kernel"], b["kernel"], rtol=1e-6)
