"""Restricted Boltzmann machine (Smolensky 1986; Hinton 2002) and the deep belief net, a stack of them (Hinton, Osindero & Teh
2006).

    energy       E(v, h) = -c v - b h - v W h                  of visible units v and hidden units h, each 0 or 1
    free energy  F(v) = -c v - sum_j log(1 + exp(b_j + v W_j)),  exp(-F(v)) = sum over h of exp(-E(v, h))
    hidden       p(h_j = 1 | v) = logistic(b_j + v W_j)
    visible      p(v_i = 1 | h) = logistic(c_i + W_i h)

W is `kernel` [n, m], b `bias` [m], c `decoder_bias` [n]: an RBM is a tied autoencoder of logistic units, with an energy.
784 x 500 units have 784 x 500 + 500 + 784 = 393,284 parameters. Grey pixels in 0..1 are taken as probabilities.

Deviations: the top layer of the net is an RBM as the others, without the label units of Hinton et al. 2006; it is fine-tuned by
backpropagation, as in Hinton & Salakhutdinov 2006, and not by the up-down algorithm.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from dl.errors import UserError
from dl.layers.initializers import initializer
from dl.models.autoencoder import DenseLayer, Stack, positive


class RBM(DenseLayer):
    """One machine; `encode` and `decode` are the conditional probabilities (the latter before the logistic function).

    `kernel_init` may also be "small": N(0, 0.01^2) (Hinton 2010, section 8).
    """

    kernel_init: str = "small"

    def initial(self) -> nn.initializers.Initializer:
        return nn.initializers.normal(0.01) if self.kernel_init == "small" else initializer(self.kernel_init)

    def free_energy(self, v: Float[Array, "b ..."]) -> Float[Array, " b"]:
        """F(v), in natural units."""
        flat = v.reshape(len(v), -1)
        return -flat @ self.decoder_bias - jax.nn.softplus(self.net(flat).astype(jnp.float32)).sum(axis=-1)

    def gibbs(self, v: Float[Array, "b ..."], key: Key[Array, ""], steps: int) -> Float[Array, "b ..."]:
        """Visible units after so many sweeps of block Gibbs sampling, all 0 or 1; only the start may be grey."""
        kernel, bias, visible_bias = (p.astype(self.dtype) for p in (self.kernel, self.bias, self.decoder_bias))

        def sweep(v: Array, key: Array) -> tuple[Array, None]:
            up, down = jax.random.split(key)
            hidden = jax.random.bernoulli(up, nn.sigmoid(v @ kernel + bias)).astype(self.dtype)
            return jax.random.bernoulli(down, nn.sigmoid(hidden @ kernel.T + visible_bias)).astype(self.dtype), None

        flat = v.reshape(len(v), -1).astype(self.dtype)
        return jax.lax.scan(sweep, flat, jax.random.split(key, steps))[0].astype(jnp.float32).reshape(v.shape)


class DeepBeliefNet(Stack):
    """A stack of RBMs: the visible units of each are the hidden units of the one below. One layer is one RBM.

    Attributes:
        hidden: units of each.
        kernel_init: see `RBM`.

    Raises:
        UserError: no layer, an unknown initializer, or another activation than the logistic one.
    """

    hidden: tuple[int, ...] = (500,)
    kernel_init: str = "small"

    def setup(self) -> None:
        positive(self.hidden, "model.hidden")
        if (self.activation, self.output) != ("logistic", "logistic"):
            raise UserError("the units of a deep belief net are logistic: leave model.activation and model.output as they are.")
        shapes = (self.shape, *((width,) for width in self.hidden[:-1]))
        self.layer = [
            RBM(shape, width, kernel_init=self.kernel_init, dtype=self.dtype)
            for shape, width in zip(shapes, self.hidden, strict=True)
        ]


PUBLIC = {"deep_belief_net": DeepBeliefNet}
