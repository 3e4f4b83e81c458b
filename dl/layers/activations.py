"""Activation functions by name, those with parameters or randomness included.

    name         f(x)                                                source
    identity     x
    logistic     1 / (1 + exp(-x))
    tanh         tanh(x)
    scaled_tanh  1.7159 tanh(2x/3): f(1) = 1, f(-1) = -1             LeCun et al. 1998, appendix A
    arctan       arctan(x)
    relu         max(x, 0)                                           Nair & Hinton 2010
    leaky_relu   x, or x/100 where x < 0                             Maas, Hannun & Ng 2013
    prelu        x, or s x where x < 0; one learned s a channel      He, Zhang, Ren & Sun 2015, eq. 1
    rrelu        x, or x/a where x < 0; a ~ U(3, 8), drawn for each  Xu, Wang, Chen & Li 2015, section 2.4
                 element in training, and a = (3 + 8)/2 at test
    elu          x, or exp(x) - 1 where x < 0                        Clevert, Unterthiner & Hochreiter 2016, eq. 15
    softmax      exp(x_i) / sum_j exp(x_j), over the last axis

The softmax of hidden units makes them compete: the activations of one example (at one place of an image) add up to 1.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dl.errors import unknown

RRELU_BOUNDS = (3.0, 8.0)
PRELU_SLOPE = 0.25  # at the start (He et al. 2015, section 2.1)


def scaled_tanh(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """A tanh(S x) with A = 1.7159 and S = 2/3 (LeCun et al. 1998, eq. 6 and appendix A)."""
    return 1.7159 * jnp.tanh(x * (2.0 / 3.0))


FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "identity": lambda x: x,
    "logistic": nn.sigmoid,
    "tanh": jnp.tanh,
    "scaled_tanh": scaled_tanh,
    "arctan": jnp.arctan,
    "relu": nn.relu,
    "leaky_relu": lambda x: nn.leaky_relu(x, 0.01),
    "elu": nn.elu,
    "softmax": nn.softmax,
}
ACTIVATIONS = (*FUNCTIONS, "prelu", "rrelu")


class Activation(nn.Module):
    """The activation function of that name, as a layer.

    `prelu` owns a parameter `slope` [channels] (the last axis), 0.25 at first, which should not be decayed; `rrelu` draws from
    the random stream "dropout" in training. The others have no state.

    Raises:
        UserError: no such name; the message lists the choices.
    """

    function: str

    @nn.compact
    def __call__(self, x: Float[Array, "*b c"], train: bool = False) -> Float[Array, "*b c"]:
        if self.function not in ACTIVATIONS:
            raise unknown("activation", self.function, ACTIVATIONS)
        if self.function in FUNCTIONS:
            return FUNCTIONS[self.function](x)
        if self.function == "prelu":
            slope = self.param("slope", nn.initializers.constant(PRELU_SLOPE), (x.shape[-1],)).astype(x.dtype)
        elif train:
            low, high = RRELU_BOUNDS
            slope = 1.0 / jax.random.uniform(self.make_rng("dropout"), x.shape, x.dtype, low, high)
        else:
            slope = jnp.asarray(2.0 / sum(RRELU_BOUNDS), x.dtype)
        return jnp.where(x >= 0, x, slope * x)
