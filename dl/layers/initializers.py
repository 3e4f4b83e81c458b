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
import numpy as np
from jax.nn import initializers
from jax.nn.initializers import Initializer
from jaxtyping import Array, ArrayLike

from dl.errors import unknown

POLAR_STEPS = 45  # of Newton and Schulz: a singular value of 1e-6 of the largest is 1 to float32's precision after 41


def orthogonal(key: Array, shape: Sequence[int], dtype: Any = jnp.float32, out_sharding: Any = None) -> Array:
    """A matrix [..., outputs] with orthonormal columns, or rows where there are fewer, uniform over all of them.

    It is the unitary factor of a Gaussian matrix's polar decomposition, by the iteration X <- X (3 I - X'X) / 2 (Higham 1986).
    Of matrix products alone: on two cores jaxlib 0.10.2 hangs for good where one program takes two QR factorisations
    at once, as of a network with two recurrent layers, because each holds one of the two threads and waits for another.
    """
    rows, columns = int(np.prod(shape[:-1])), shape[-1]
    x = jax.random.normal(key, (max(rows, columns), min(rows, columns)), jnp.float32)
    x = x / (np.sqrt(max(rows, columns)) + np.sqrt(min(rows, columns)) + 2)  # singular values: below 1, or, once in 1e11, 1.7

    def polar(_: Array, x: Array) -> Array:
        return 1.5 * x - 0.5 * x @ (x.T @ x)

    x = jax.lax.fori_loop(0, POLAR_STEPS, polar, x)
    return (x if rows >= columns else x.T).reshape(shape).astype(dtype)


INITIALIZERS: dict[str, Initializer] = {
    "zeros": initializers.zeros,
    "normal": initializers.normal(1.0),
    "one_over_sqrt_n": initializers.variance_scaling(1.0, "fan_in", "normal"),
    "lecun": initializers.lecun_normal(),
    "glorot": initializers.glorot_uniform(),
    "glorot_logistic": initializers.variance_scaling(16.0, "fan_avg", "uniform"),
    "glorot_normal": initializers.glorot_normal(),
    "he": initializers.variance_scaling(2.0, "fan_in", "normal"),
    "orthogonal": orthogonal,
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
