"""Corruption of inputs, from which a denoising autoencoder restores them (Vincent et al. 2010, section 3.3).

    gaussian         x + amount N(0, 1)
    masking          each element is 0 with probability `amount`
    salt_and_pepper  each element is, with probability `amount`, 0 or 1 by the toss of a coin

Masking does not scale up what it leaves, unlike dropout.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from dl import registry
from dl.errors import UserError, unknown

Corruption = Callable[[Array, Array], Array]  # (key, x) -> x corrupted, of the same shape


def gaussian(key: Key[Array, ""], x: Float[Array, "..."], amount: float) -> Float[Array, "..."]:
    """Adds noise of standard deviation `amount`."""
    return x + amount * jax.random.normal(key, x.shape, x.dtype)


def masking(key: Key[Array, ""], x: Float[Array, "..."], amount: float) -> Float[Array, "..."]:
    """Sets each element to 0 with probability `amount`."""
    return jnp.where(jax.random.bernoulli(key, amount, x.shape), 0.0, x)


def salt_and_pepper(key: Key[Array, ""], x: Float[Array, "..."], amount: float) -> Float[Array, "..."]:
    """Sets each element with probability `amount` to 0 or 1, each as likely."""
    draw = jax.random.uniform(key, x.shape)
    return jnp.where(draw < amount / 2, 0.0, jnp.where(draw < amount, 1.0, x))


CORRUPTIONS: dict[str, Callable[..., Array]] = {"gaussian": gaussian, "masking": masking, "salt_and_pepper": salt_and_pepper}


def corruption(settings: Mapping[str, Any]) -> Corruption | None:
    """The corruption `settings["name"]` of `settings["amount"]`; None for the name "none" or an amount of 0.

    Raises:
        UserError: an unknown name or setting, or an amount that is no probability (for "gaussian": negative).
    """
    rest = dict(settings)
    name = rest.pop("name", "none")
    if name == "none":
        return None
    if name not in CORRUPTIONS:
        raise unknown("noise", name, [*CORRUPTIONS, "none"])
    function = CORRUPTIONS[name]
    registry.check(function, f"the noise {name!r}", rest, ("key", "x"))
    amount = rest["amount"]
    if isinstance(amount, bool) or not isinstance(amount, int | float) or amount < 0 or (amount > 1 and name != "gaussian"):
        wanted = "not be negative" if name == "gaussian" else "be a probability, 0 to 1"
        raise UserError(f"the amount of the noise {name!r} must {wanted}, not {amount!r}.")
    return (lambda key, x: function(key, x, amount)) if amount else None
