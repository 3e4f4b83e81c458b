"""Gradient descent whose momentum rises at the beginning (Koch, Zemel & Salakhutdinov 2015, section 3.3)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax


class RampedState(NamedTuple):
    """count: updates made, int32 scalar. trace: the decaying sum of the gradients."""

    count: jax.Array  # type: ignore[assignment]  # a field, where tuples have a method
    trace: Any


def ramped(
    learning_rate: optax.ScalarOrSchedule, momentum: float = 0.9, start: float = 0.5, ramp: float = 1.0
) -> optax.GradientTransformation:
    """The update m <- mu m + g; w <- w - rate m, with mu = start + (momentum - start) min(updates made / ramp, 1)."""

    def init(params: Any) -> RampedState:
        return RampedState(jnp.zeros((), jnp.int32), jax.tree.map(jnp.zeros_like, params))

    def update(updates: Any, state: RampedState, params: Any = None) -> tuple[Any, RampedState]:
        decay = start + (momentum - start) * jnp.minimum(state.count / max(ramp, 1.0), 1.0)
        trace = jax.tree.map(lambda m, g: decay * m + g, state.trace, updates)
        return trace, RampedState(optax.safe_increment(state.count), trace)

    return optax.chain(optax.GradientTransformation(init, update), optax.scale_by_learning_rate(learning_rate))
