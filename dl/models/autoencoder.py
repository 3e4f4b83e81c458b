"""Autoencoders: a stack of layers, each of which encodes its input and decodes it again.

    model              layer i encodes x as                    and decodes a code c as
    dense_autoencoder  f(x W + b)                              g(c W' + b'), W' = W transposed where tied
    conv_autoencoder   f(convolution 3x3, stride 2)            g(convolution 3x3 of c enlarged twofold)

f is the activation; g is f of the layer below, or the output's activation at layer 0. `dense_autoencoder` with
`hidden=(500,)` on 28 x 28 images has 784 x 500 + 500 + 784 = 393,284 parameters where tied, 785,284 where not.

The parameters of layer i are the group `layer_i`, so that a phase of the training can move one layer alone.

Sources: Bourlard & Kamp 1988; Hinton & Salakhutdinov 2006 (deep); Vincent et al. 2010 (tied and stacked); Masci et al. 2011
(convolutional). Deviation from Masci et al.: strides in place of max-pooling, and nearest-neighbour enlargement with untied
kernels in the decoder (Odena, Dumoulin & Olah 2016).
"""

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dl.errors import UserError, unknown
from dl.layers.activations import FUNCTIONS
from dl.layers.convolution import Conv
from dl.layers.initializers import initializer

ELEMENTWISE = tuple(name for name in FUNCTIONS if name != "softmax")


def elementwise(name: str) -> Callable[[Array], Array]:
    """The elementwise activation of that name.

    Raises:
        UserError: no such name among those without parameters.
    """
    if name not in ELEMENTWISE:
        raise unknown("activation of an autoencoder", name, ELEMENTWISE)
    return FUNCTIONS[name]


class DenseLayer(nn.Module):
    """A fully connected layer and its decoder.

    Parameters: `kernel` [n, features], `bias` [features], `decoder_bias` [n] and, unless tied, `decoder_kernel` [features, n],
    where n is the size of an input.

    Attributes:
        shape: shape of one input, (n,) or (H, W, C).
        features: units.
        activation: f, a name of `dl.layers.activations`.
        tied: whether the decoder's weights are the transpose of the encoder's.
        kernel_init: a name of `dl.layers.initializers`.
    """

    shape: tuple[int, ...]
    features: int
    activation: str = "logistic"
    tied: bool = True
    kernel_init: str = "glorot"
    dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        size = math.prod(self.shape)
        self.kernel = self.param("kernel", self.initial(), (size, self.features))
        self.bias = self.param("bias", nn.initializers.zeros, (self.features,))
        self.decoder_bias = self.param("decoder_bias", nn.initializers.zeros, (size,))
        if not self.tied:
            self.decoder_kernel = self.param("decoder_kernel", self.initial(), (self.features, size))

    def initial(self) -> nn.initializers.Initializer:
        return initializer(self.kernel_init)

    def net(self, x: Float[Array, "b ..."]) -> Float[Array, "b m"]:
        """The units' net input."""
        return x.reshape(len(x), -1).astype(self.dtype) @ self.kernel.astype(self.dtype) + self.bias.astype(self.dtype)

    def encode(self, x: Float[Array, "b ..."]) -> Float[Array, "b m"]:
        return elementwise(self.activation)(self.net(x))

    def decode(self, code: Float[Array, "b m"]) -> Float[Array, "b ..."]:
        """The net input of the visible units, in the shape of an input."""
        kernel = self.kernel.T if self.tied else self.decoder_kernel
        net = code.astype(self.dtype) @ kernel.astype(self.dtype) + self.decoder_bias.astype(self.dtype)
        return net.reshape(len(net), *self.shape)

    def contraction(self, x: Float[Array, "b ..."]) -> Float[Array, " b"]:
        """The squared Frobenius norm of the Jacobian of `encode` (Rifai et al. 2011, eq. 3 and section 5.1).

        As f works on each unit alone, it is sum_j f'(net_j)^2 sum_i W_ij^2: no Jacobian is made.
        """
        net = self.net(x).astype(jnp.float32)
        _, slope = jax.jvp(elementwise(self.activation), (net,), (jnp.ones_like(net),))
        return jnp.square(slope) @ jnp.square(self.kernel).sum(axis=0)


class ConvLayer(nn.Module):
    """A 3x3 convolution of stride 2 and its decoder. `shape` is (H, W, C); a code is [H/2, W/2, features], rounded up."""

    shape: tuple[int, ...]
    features: int
    activation: str = "relu"
    kernel_init: str = "he"
    dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        init = initializer(self.kernel_init)
        self.encoder = Conv(self.features, (3, 3), 2, dtype=self.dtype, kernel_init=init)
        self.decoder = Conv(self.shape[2], (3, 3), dtype=self.dtype, kernel_init=init)

    def encode(self, x: Float[Array, "b h w c"]) -> Float[Array, "b y x m"]:
        return elementwise(self.activation)(self.encoder(x))

    def decode(self, code: Float[Array, "b y x m"]) -> Float[Array, "b h w c"]:
        """The net input of the visible units."""
        large = jnp.repeat(jnp.repeat(code, 2, axis=1), 2, axis=2)
        return self.decoder(large[:, : self.shape[0], : self.shape[1]])


class Stack(nn.Module):
    """What all autoencoders share. A subclass makes the layers in `setup`, as the list `layer`.

    Attributes:
        shape: shape of one image, (H, W, C).
        activation: f, of the codes.
        output: activation of the reconstruction: "logistic" for pixels in 0..1, "identity" for others.
    """

    shape: tuple[int, ...]
    activation: str = "logistic"
    output: str = "logistic"
    dtype: DTypeLike = jnp.float32

    def encode(self, x: Float[Array, "b ..."], start: int = 0, stop: int | None = None) -> Float[Array, "b ..."]:
        """The code after the layers `start` to `stop` (exclusive), float32."""
        for layer in self.layer[start:stop]:
            x = layer.encode(x)
        return x.astype(jnp.float32)

    def decode(self, code: Float[Array, "b ..."], start: int = 0, stop: int | None = None) -> Float[Array, "b ..."]:
        """Back from the code after layer `stop` to the net input of what layer `start` sees, float32; see `visible`."""
        below = self.layer[start:stop]
        for layer in below[:0:-1]:
            code = elementwise(self.activation)(layer.decode(code))
        return below[0].decode(code).astype(jnp.float32)

    def contraction(self, x: Float[Array, "b ..."], start: int = 0, stop: int | None = None) -> Float[Array, " b"]:
        """The contractive penalties of these layers, each with respect to its own input, added up."""
        total = jnp.zeros(len(x))
        for layer in self.layer[start:stop]:
            total, x = total + layer.contraction(x), layer.encode(x)
        return total

    def at(self, i: int, method: str, *args: Any) -> Any:
        """A method of layer i alone."""
        return getattr(self.layer[i], method)(*args)

    def __call__(self, x: Float[Array, "b ..."], train: bool = False) -> Float[Array, "b ..."]:
        return visible(self, 0)(self.decode(self.encode(x)))


def visible(model: Stack, i: int) -> Callable[[Array], Array]:
    """From the net input of the units that layer i sees to their values."""
    return elementwise(model.activation if i else model.output)


def positive(widths: tuple[int, ...], what: str) -> None:
    """Raises UserError unless there is at least one width, and all are positive."""
    if not widths or min(widths) < 1:
        raise UserError(f"{what} must list at least one layer, each of one unit or more, not {tuple(widths)}.")


class DenseAutoencoder(Stack):
    """Fully connected; x [B, *shape], the code [B, hidden[-1]], the reconstruction [B, *shape].

    Attributes:
        hidden: the width of each layer of the encoder, the last one that of the code; the decoder mirrors them.
        tied: see `DenseLayer`.
        kernel_init: see `DenseLayer`; "glorot_logistic" suits logistic units.
        linear_code: whether the last layer's units are linear (Hinton & Salakhutdinov 2006), so that a code of two numbers is
            not squeezed into a square.

    Raises:
        UserError: no layer, an unknown activation or initializer.
    """

    hidden: tuple[int, ...] = (500,)
    tied: bool = False
    kernel_init: str = "glorot"
    linear_code: bool = False

    def setup(self) -> None:
        positive(self.hidden, "model.hidden")
        shapes = (self.shape, *((width,) for width in self.hidden))
        functions = [self.activation] * (len(self.hidden) - 1) + ["identity" if self.linear_code else self.activation]
        self.layer = [
            DenseLayer(shape, width, function, self.tied, self.kernel_init, self.dtype)
            for shape, width, function in zip(shapes[:-1], self.hidden, functions, strict=True)
        ]


class ConvAutoencoder(Stack):
    """Convolutional, each layer of stride 2; with `code`, a dense layer of so many linear units last.

    x [B, *shape]; the code is [B, h, w, features[-1]] or [B, code].

    Attributes:
        features: maps of each convolution.
        code: 0 for none.
        kernel_init: see `ConvLayer`.

    Raises:
        UserError: no layer, an unknown activation or initializer.
    """

    activation: str = "relu"
    features: tuple[int, ...] = (16, 32)
    code: int = 0
    kernel_init: str = "he"

    def setup(self) -> None:
        positive(self.features, "model.features")
        layers: list[nn.Module] = []
        shape = self.shape
        for maps in self.features:
            layers.append(ConvLayer(shape, maps, self.activation, self.kernel_init, self.dtype))
            shape = (-(-shape[0] // 2), -(-shape[1] // 2), maps)
        if self.code:
            layers.append(DenseLayer(shape, self.code, "identity", False, "glorot", self.dtype))
        self.layer = layers


PUBLIC = {"dense_autoencoder": DenseAutoencoder, "conv_autoencoder": ConvAutoencoder}
