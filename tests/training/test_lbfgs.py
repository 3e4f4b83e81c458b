import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl.errors import UserError
from dl.training import optimizers


def minimised(settings, loss, params, steps):
    optimizer = optimizers.build(settings, steps)
    state = optimizer.init(params)

    @jax.jit
    def step(params, state):
        value, gradient = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(gradient, state, params, value=value, grad=gradient, value_fn=loss)
        return optax.apply_updates(params, updates), state

    for _ in range(steps):
        params, state = step(params, state)
    return params


def rosenbrock(params):
    x, y = params["image"]["w"]
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def test_lbfgs_finds_the_minimum_of_rosenbrock_s_valley():
    start = {"image": {"w": jnp.array([-1.2, 1.0])}}
    settings = {"name": "lbfgs", "learning_rate": 1.0}
    np.testing.assert_allclose(minimised(settings, rosenbrock, start, 40)["image"]["w"], [1, 1], atol=1e-3)
    adam = minimised({"name": "adam", "learning_rate": 0.03}, rosenbrock, start, 40)["image"]["w"]
    assert np.abs(np.asarray(adam) - 1).max() > 0.5


def test_what_its_line_search_would_not_see_is_refused():
    with pytest.raises(UserError, match="lbfgs takes no l1, l2"):
        optimizers.build({"name": "lbfgs", "learning_rate": 1.0, "l2": 0.1}, 10)
    with pytest.raises(UserError, match="unknown setting of optimizer 'lbfgs' 'momentum'"):
        optimizers.build({"name": "lbfgs", "learning_rate": 1.0, "momentum": 0.9}, 10)
