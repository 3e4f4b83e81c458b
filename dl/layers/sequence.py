"""A network whose layers follow one another and have names: what some of them give."""

from collections.abc import Callable, Sequence

import jax

from dl.errors import unknown


def walk(
    network: str, layers: Sequence[str], wanted: Sequence[str], x: jax.Array, layer: Callable[[str, jax.Array], jax.Array]
) -> dict[str, jax.Array]:
    """What the layers `wanted` give; nothing is computed after the last of them.

    Args:
        network: its name, for messages.
        layers: the names of all its layers, in their order.
        wanted: some of them.
        x: what the first layer takes.
        layer: name, what the layer before it gave -> what it gives.

    Raises:
        UserError: an unknown layer; the message lists the choices.
    """
    for name in wanted:
        if name not in layers:
            raise unknown(f"layer of {network}", name, layers)
    found: dict[str, jax.Array] = {}
    for name in layers[: max(layers.index(name) for name in wanted) + 1]:
        found[name] = x = layer(name, x)
    return {name: found[name] for name in wanted}
