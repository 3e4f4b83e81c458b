"""GoogLeNet (Szegedy et al. 2015, table 1), the winner of ImageNet's competition of 2014, of "inception" modules.

    of 224 x 224                                       output       1x1  reduce  3x3  reduce  5x5  projection
    conv1        7x7 / 2                         112 x 112 x 64
    maxpool1     3x3 / 2                           56 x 56 x 64
    norm1        response normalisation (paper)    56 x 56 x 64
    conv2        1x1                               56 x 56 x 64
    conv3        3x3                              56 x 56 x 192
    norm2        response normalisation (paper)   56 x 56 x 192
    maxpool2     3x3 / 2                          28 x 28 x 192
    inception3a                                   28 x 28 x 256      64      96  128      16   32          32
    inception3b                                   28 x 28 x 480     128     128  192      32   96          64
    maxpool3     3x3 / 2                          14 x 14 x 480
    inception4a  auxiliary1 reads its output      14 x 14 x 512     192      96  208      16   48          64
    inception4b                                   14 x 14 x 512     160     112  224      24   64          64
    inception4c                                   14 x 14 x 512     128     128  256      24   64          64
    inception4d  auxiliary2 reads its output      14 x 14 x 528     112     144  288      32   64          64
    inception4e                                   14 x 14 x 832     256     160  320      32  128         128
    maxpool4     3x3 / 2                            7 x 7 x 832
    inception5a                                     7 x 7 x 832     256     160  320      32  128         128
    inception5b                                    7 x 7 x 1024     384     192  384      48  128         128
    pool         average over the image                    1024
    fc           dropout of 40 % before it                 1000

An inception module sets the outputs of four branches beside each other: a 1x1 convolution; a 1x1 ("reduce") and a 3x3; a 1x1
and a 5x5; a 3x3 max pooling with stride 1 and a 1x1 ("projection"). Pooling is in ceil mode.

An auxiliary classifier averages the map to 4 x 4, then has a 1x1 convolution of 128, a dense layer of 1024, dropout of 70 % and
a dense layer of scores. In training the two are sown into the collection "auxiliary", as `auxiliary1_scores` and
`auxiliary2_scores`; a task adds their losses (classification's `config.task.auxiliary`, 0.3 in the paper). In evaluation they
are not computed.

`form`                                  parameters, without and with the auxiliary classifiers
    "torchvision"   its `googlenet`:      6,624,904    13,004,888
                    BatchNorm (epsilon 0.001) after every convolution, whose biases are left out; no response normalisation;
                    3x3 in place of 5x5; maxpool4 is 2x2 / 2; dropout of 20 % before fc; auxiliary maps by adaptive averages
    "paper"         the paper's:          6,998,552    13,378,280
                    biases, response normalisation, 5x5; auxiliary maps by 5x5 averages with stride 3, so that with them the
                    images must have from 223 to 270 pixels a side

The paper's table of parameters agrees for 3a, 3b and 4b (weights alone, K of 1024); the other modules, of these widths, have
between 5 % less and 8 % more.

Deviations: the paper gives no initial weights; convolutions start as Glorot & Bengio 2010 have it, dense ones as N(0, 0.01^2),
biases at 0. Response normalisation has AlexNet's constants; the paper gives none.
"""

from collections.abc import Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dl.errors import UserError, unknown
from dl.layers.ceil_pooling import ceil_pool
from dl.layers.convolution import Conv
from dl.layers.pooling import Pool, adaptive_avg_pool, avg_pool, max_pool
from dl.layers.response_normalisation import LocalResponseNorm
from dl.layers.sequence import walk


class Widths(NamedTuple):
    """Outputs of an inception module's convolutions, in the order of the paper's table."""

    conv1x1: int
    reduce3x3: int
    conv3x3: int
    reduce5x5: int
    conv5x5: int
    projection: int


INCEPTIONS = {
    "inception3a": Widths(64, 96, 128, 16, 32, 32),
    "inception3b": Widths(128, 128, 192, 32, 96, 64),
    "inception4a": Widths(192, 96, 208, 16, 48, 64),
    "inception4b": Widths(160, 112, 224, 24, 64, 64),
    "inception4c": Widths(128, 128, 256, 24, 64, 64),
    "inception4d": Widths(112, 144, 288, 32, 64, 64),
    "inception4e": Widths(256, 160, 320, 32, 128, 128),
    "inception5a": Widths(256, 160, 320, 32, 128, 128),
    "inception5b": Widths(384, 192, 384, 48, 128, 128),
}
CONVOLUTIONS = {"conv1": (64, 7, 2), "conv2": (64, 1, 1), "conv3": (192, 3, 1)}  # outputs, side, stride
AUXILIARY = {"inception4a": "auxiliary1", "inception4d": "auxiliary2"}
FORMS = ("torchvision", "paper")
BEFORE = ("conv1", "maxpool1", "norm1", "conv2", "conv3", "norm2", "maxpool2", "inception3a", "inception3b", "maxpool3")
AFTER = (*(f"inception4{letter}" for letter in "abcde"), "maxpool4", "inception5a", "inception5b", "pool", "fc")


class Convolution(nn.Module):
    """A convolution and its ReLU: with BatchNorm between them in torchvision's form, with a bias in the paper's."""

    features: int
    side: int
    form: str
    stride: int = 1
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w i"], train: bool = False) -> Float[Array, "b y x o"]:
        norm = self.form == "torchvision"
        x = Conv(
            self.features,
            (self.side, self.side),
            self.stride,
            self.side // 2,
            use_bias=not norm,
            dtype=self.dtype,
            kernel_init=nn.initializers.glorot_uniform(),
            name="conv",
        )(x)
        if norm:
            x = nn.BatchNorm(not train, momentum=0.9, epsilon=1e-3, dtype=self.dtype, name="norm")(x)
        return nn.relu(x)


class Inception(nn.Module):
    """An inception module; x [B, H, W, C] to [B, H, W, conv1x1 + conv3x3 + conv5x5 + projection]."""

    widths: Widths
    form: str
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w i"], train: bool = False) -> Float[Array, "b h w o"]:
        def convolution(name: str, side: int, x: jax.Array) -> jax.Array:
            return Convolution(getattr(self.widths, name), side, self.form, dtype=self.dtype, name=name)(x, train)

        pooled = max_pool(x, (3, 3), (1, 1), "SAME")
        branches = [
            convolution("conv1x1", 1, x),
            convolution("conv3x3", 3, convolution("reduce3x3", 1, x)),
            convolution("conv5x5", 5 if self.form == "paper" else 3, convolution("reduce5x5", 1, x)),
            convolution("projection", 1, pooled),
        ]
        return jnp.concatenate(branches, axis=-1)


class Auxiliary(nn.Module):
    """An auxiliary classifier; x [B, H, W, C] to scores [B, num_classes] float32.

    Raises:
        UserError: in the paper's form, a map that 5x5 windows with stride 3 do not cut into 4 x 4.
    """

    num_classes: int
    form: str
    dropout: float
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w i"], train: bool = False) -> Float[Array, "b k"]:
        if self.form == "torchvision":
            x = adaptive_avg_pool(x, (4, 4))
        elif all(14 <= side <= 16 for side in x.shape[1:3]):
            x = avg_pool(x, (5, 5), (3, 3))
        else:
            raise UserError("the paper's auxiliary classifiers take images of 223 to 270 pixels: set auxiliary or form else.")
        x = Convolution(128, 1, self.form, dtype=self.dtype, name="conv")(x, train)
        init = nn.initializers.normal(0.01)
        x = nn.Dense(1024, dtype=self.dtype, kernel_init=init, name="fc1")(x.reshape(len(x), -1))
        x = nn.Dropout(self.dropout, deterministic=not train)(nn.relu(x))
        return nn.Dense(self.num_classes, dtype=self.dtype, kernel_init=init, name="fc2")(x).astype(jnp.float32)


class GoogLeNet(nn.Module):
    """The network; x [B, H, W, C], from 15 x 15 on (the paper's form 31 x 31), to scores [B, num_classes] float32.

    Attributes:
        form: "torchvision" or "paper", see the module.
        auxiliary: whether it has the auxiliary classifiers.
        dropout: before the last layer in training; None for the form's own, 0.2 or 0.4.
        auxiliary_dropout: dropout rate of the auxiliary classifiers, in training.
        dtype: data type of the computation; parameters and running statistics are float32.

    Raises:
        UserError: an unknown form; images of a size that the auxiliary classifiers can't take.
    """

    num_classes: int = 1000
    form: str = "torchvision"
    auxiliary: bool = True
    dropout: float | None = None
    auxiliary_dropout: float = 0.7
    dtype: DTypeLike = jnp.float32

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers, in their order.

        Raises:
            UserError: an unknown form.
        """
        if self.form not in FORMS:
            raise unknown("form of googlenet", self.form, FORMS)
        names = (*BEFORE, *AFTER)
        return names if self.form == "paper" else tuple(name for name in names if not name.startswith("norm"))

    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b k"]:
        return self.features(x, ("fc",), train)["fc"].astype(jnp.float32)

    @nn.compact
    def features(self, x: Float[Array, "b h w c"], wanted: Sequence[str], train: bool = False) -> dict[str, jax.Array]:
        """What the layers `wanted` give, [B, h, w, c] or [B, c], after their ReLU; nothing is computed after the last of them.

        Auxiliary scores are sown where "fc" is wanted, in training.

        Raises:
            UserError: an unknown layer.
        """
        auxiliary = self.auxiliary and "fc" in wanted and (train or self.is_initializing())

        def layer(name: str, x: jax.Array) -> jax.Array:
            x = self._layer(name, x, train)
            if auxiliary and name in AUXILIARY:
                self._sow(AUXILIARY[name], x, train)
            return x

        return walk("googlenet", self.layers, wanted, x, layer)

    def _sow(self, name: str, x: Float[Array, "b h w c"], train: bool) -> None:
        scores = Auxiliary(self.num_classes, self.form, self.auxiliary_dropout, self.dtype, name=name)(x, train)
        if not self.is_initializing():  # which makes the parameters alone
            self.sow("auxiliary", f"{name}_scores", scores)

    def _layer(self, name: str, x: Float[Array, "b *n i"], train: bool) -> Float[Array, "b *m o"]:
        if name in CONVOLUTIONS:
            features, side, stride = CONVOLUTIONS[name]
            return Convolution(features, side, self.form, stride, self.dtype, name=name)(x, train)
        if name in INCEPTIONS:
            return Inception(INCEPTIONS[name], self.form, self.dtype, name=name)(x, train)
        if name.startswith("norm"):
            return LocalResponseNorm(name=name)(x)
        if name.startswith("maxpool"):
            window = 2 if name == "maxpool4" and self.form == "torchvision" else 3
            return Pool(lambda x: ceil_pool(x, window=window), name=name)(x)
        if name == "pool":
            return x.mean(axis=(1, 2))
        rate = (0.4 if self.form == "paper" else 0.2) if self.dropout is None else self.dropout
        x = nn.Dropout(rate, deterministic=not train)(x)
        return nn.Dense(self.num_classes, dtype=self.dtype, kernel_init=nn.initializers.normal(0.01), name="fc")(x)


PUBLIC = {"googlenet": GoogLeNet}
