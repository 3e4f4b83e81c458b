"""Drawing text from a model that predicts the next symbol."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

Advance = Callable[
    [Any, Int[Array, "n t"], Any], tuple[Float[Array, "n t v"], Any]
]  # parameters, tokens, state -> logits, state


def choose(key: Array, logits: Float[Array, "v"], temperature: Float[Array, ""], top_k: int) -> Int[Array, ""]:
    """A symbol drawn from softmax(logits / temperature), among the `top_k` likeliest where that is not 0.

    At temperature 0 it is the likeliest, the first one of several.
    """
    if top_k and top_k < len(logits):
        least = jax.lax.top_k(logits, top_k)[0][-1]
        logits = jnp.where(logits >= least, logits, -jnp.inf)
    drawn = jax.random.categorical(key, logits / jnp.where(temperature > 0, temperature, 1.0))
    return jnp.where(temperature > 0, drawn, logits.argmax())


@partial(jax.jit, static_argnames=("advance", "length", "top_k"))
def continue_text(
    advance: Advance,
    params: Any,
    state: Any,
    prompt: Int[Array, "n p"],
    keys: Array,
    length: int,
    temperature: Float[Array, ""],
    top_k: int,
) -> Int[Array, "n l"]:
    """`length` further symbols after each of the N prompts.

    Args:
        advance: takes symbols to the logits of the symbols after them.
        params: parameters of `advance`.
        state: state of `advance`, before the prompts.
        prompt: at least one symbol each.
        keys: one a text; a text depends on its own alone.
        length: number of symbols.
        temperature: see `choose`.
        top_k: see `choose`.
    """

    def draw(keys: Array, logits: Array) -> Array:
        return jax.vmap(lambda k, row: choose(k, row, temperature, top_k))(keys, logits)

    def step(carry: Any, number: Array) -> Any:
        logits, state = carry
        symbols = draw(jax.vmap(lambda k: jax.random.fold_in(k, number))(keys), logits)
        following, state = advance(params, symbols[:, None], state)
        return (following[:, -1], state), symbols

    logits, state = advance(params, prompt, state)
    _, symbols = jax.lax.scan(step, (logits[:, -1], state), jnp.arange(length))
    return symbols.T
