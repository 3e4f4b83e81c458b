"""Initial weights by name.

Fan-in n is the number of inputs of a unit, fan-out m the number of its outputs (kernel elements over one of the two axes).

    name             distribution                          source
    zeros            0
    normal           N(0, 1)
    one_over_sqrt_n  N(0, 1/n)                             the lectures' 1/sqrt(n), read as the standard deviation
    lecun            N(0, 1/n), cut at two deviations      LeCun, Bottou, Orr & Mueller 1998, section 4.6, eq. 16
    glorot           U(-a, a), a = sqrt(6 / (n + m))       Glorot & Bengio 2010, eq. 16
    glorot_logistic  U(-4a, 4a), for logistic units        Bengio, "Deep learning tutorials": the slope at 0 is 1/4
    glorot_normal    N(0, 2 / (n + m)), cut likewise       the same variance, Gaussian
    he               N(0, 2/n)                             He, Zhang, Ren & Sun 2015, eq. 10
    orthogonal       uniform over orthogonal matrices      Saxe, McClelland & Ganguli 2014
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.nn import initializers
from jax.nn.initializers import Initializer
from jaxtyping import Array, ArrayLike

from dl.errors import unknown

INITIALIZERS: dict[str, Initializer] = {
    "zeros": initializers.zeros,
    "normal": initializers.normal(1.0),
    "one_over_sqrt_n": initializers.variance_scaling(1.0, "fan_in", "normal"),
    "lecun": initializers.lecun_normal(),
    "glorot": initializers.glorot_uniform(),
    "glorot_logistic": initializers.variance_scaling(16.0, "fan_avg", "uniform"),
    "glorot_normal": initializers.glorot_normal(),
    "he": initializers.variance_scaling(2.0, "fan_in", "normal"),
    "orthogonal": initializers.orthogonal(),
}


def initializer(name: str) -> Initializer:
    """The initializer `(key, shape, dtype) -> array` of that name, for kernels [..., inputs, outputs].

    Raises:
        UserError: no such name; the message lists the choices.
    """
    if name not in INITIALIZERS:
        raise unknown("initializer", name, INITIALIZERS)
    return INITIALIZERS[name]


def uniform_over_fan_in(fan_in: ArrayLike, gain: float = 2.4) -> Initializer:
    """U(-gain / fan_in, gain / fan_in); the gain 2.4 is LeCun et al. 1998, appendix A.

    `fan_in` is a number, or an array that broadcasts against the shape drawn: one fan-in an element.
    """

    def init(key: Array, shape: Sequence[int], dtype: Any = jnp.float32, out_sharding: Any = None) -> Array:
        return jax.random.uniform(key, shape, dtype, -1.0, 1.0) * jnp.asarray(gain / jnp.asarray(fan_in), dtype)

    return init
