"""LeNet-5 as published (LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to document recognition",
section II.B, figure 2, table I).

    layer   operation                                         output        parameters
    input   32 x 32 pixels, background -0.1, ink 1.175        32 x 32 x 1
    C1      convolution 5x5, scaled tanh                      28 x 28 x 6          156
    S2      trainable subsampling 2x2, scaled tanh            14 x 14 x 6           12
    C3      convolution 5x5, sparse (table I), scaled tanh    10 x 10 x 16       1,516
    S4      trainable subsampling 2x2, scaled tanh             5 x 5 x 16           32
    C5      convolution 5x5, scaled tanh                      1 x 1 x 120       48,120
    F6      fully connected, scaled tanh                               84       10,164
    output  squared distance to a fixed 7 x 12 bitmap a class          10            0
                                                                                60,000

The scaled tanh is 1.7159 tanh(2x/3) (eq. 6). Every parameter starts uniform in [-2.4/F, 2.4/F], F the fan-in of its unit
(appendix A). With pixels in 0..1 and ink 1, (x - mean) / std has the published background and ink at mean = 0.1/1.275 = 0.0784
and std = 1/1.275 = 0.7843; "this makes the mean input roughly 0, and the variance roughly 1".

The output y_i = sum_j (x_j - w_ij)^2 (eq. 7) is a penalty, the smaller the better; the scores here are -y, so that the largest
one names the class as everywhere else. The loss of eq. 9, E = mean(y_label + log(exp(-j) + sum_i exp(-y_i))), is the task's.

Deviations: the bitmaps of figure 3 are our own drawing (the paper shows them only as a figure); classes beyond the ten digits,
which the paper draws as the rest of ASCII, get codes of random signs, always the same ones.
"""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dl.errors import UserError
from dl.layers.activations import scaled_tanh
from dl.layers.convolution import Conv, convolve
from dl.layers.initializers import uniform_over_fan_in
from dl.layers.pooling import avg_pool

# Table I: the maps of S2 that each of the 16 maps of C3 sees.
TABLE_I = (
    *((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5)),
    *((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
    (0, 1, 2, 3, 4, 5),
)

BITMAPS = """
..###.. ...##.. .#####. ####### ##..##. ####### ...#### ####### .#####. ..####.
.##.##. ..###.. ##...## ####### ##..##. ####### ..##... ####### ##...## .##.###
##...## .####.. ##...## .....## ##..##. ##..... .##.... .....## ##...## ##...##
##...## ...##.. .....## ....##. ##..##. ##..... ##..... ....##. ##...## ##...##
##...## ...##.. .....## ...##.. ##..##. ##..... ##..... ....##. .##.##. ##...##
##...## ...##.. ....##. ..####. ####### ######. ######. ...##.. ..###.. ##..###
##...## ...##.. ...##.. .....## ####### .....## ###..## ...##.. .##.##. .######
##...## ...##.. ..##... .....## ....##. .....## ##...## ..##... ##...## .....##
##...## ...##.. .##.... .....## ....##. .....## ##...## ..##... ##...## .....##
##...## ...##.. ##..... ##...## ....##. .....## ##...## .##.... ##...## ....##.
.##.##. .###### ####### ##..##. ....##. ##..##. ###.##. .##.... ##...## ...##..
..###.. .###### ####### .####.. ....##. .####.. .####.. .##.... .#####. ####...
"""


def prototypes(num_classes: int) -> Float[np.ndarray, "k 84"]:
    """The fixed weights of the output layer: +1 where a bitmap has ink, -1 elsewhere, rows of 7 pixels from the top.

    Any two of the first 200 differ in at least 16 of the 84 places.
    """
    rows = [line.split() for line in BITMAPS.split("\n") if line]
    ink = np.array([[[mark == "#" for mark in glyph] for glyph in row] for row in rows])  # [12, 10, 7]
    digits = ink.swapaxes(0, 1).reshape(10, 84)
    further = np.random.default_rng(1998).integers(0, 2, (max(num_classes - 10, 0), 84))
    return np.where(np.concatenate([digits, further])[:num_classes], 1.0, -1.0).astype(np.float32)


class Subsampling(nn.Module):
    """The four pixels of each 2x2 window added, times a coefficient, plus a bias (parameters [C] each); C channels."""

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h//2 w//2 c"]:
        init = uniform_over_fan_in(4)
        coefficient = self.param("coefficient", init, (x.shape[-1],))
        bias = self.param("bias", init, (x.shape[-1],))
        return 4.0 * avg_pool(x.astype(self.dtype), (2, 2)) * coefficient.astype(self.dtype) + bias.astype(self.dtype)


class SparseConv(nn.Module):
    """A 5x5 convolution, valid, in which map o sees only the input maps `table[o]`.

    Parameters: `kernel` [5, 5, connections], in the order of the table, and `bias` [maps].
    """

    table: tuple[tuple[int, ...], ...]
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b h-4 w-4 o"]:
        inputs = np.array([i for row in self.table for i in row])
        outputs = np.array([o for o, row in enumerate(self.table) for _ in row])
        fan_in = 25 * np.array([len(row) for row in self.table])
        kernel = self.param("kernel", uniform_over_fan_in(fan_in[outputs]), (5, 5, len(inputs)))
        bias = self.param("bias", uniform_over_fan_in(fan_in), (len(self.table),))
        dense = jnp.zeros((5, 5, x.shape[-1], len(self.table)), self.dtype)
        dense = dense.at[:, :, inputs, outputs].set(kernel.astype(self.dtype))
        return convolve(x.astype(self.dtype), dense, padding="VALID") + bias.astype(self.dtype)


class LeNet5(nn.Module):
    """LeNet-5 of 1998. x [B, 32, 32, 1]; returns the scores -y [B, num_classes] float32, none of them positive.

    Raises:
        UserError: images of another size.
    """

    num_classes: int = 10
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b k"]:
        if x.shape[1:] != (32, 32, 1):
            got = "x".join(map(str, x.shape[1:]))
            raise UserError(f"lenet5 takes 32x32x1 images, got {got}: set --config.dataset.size=(32,32), and grey images.")
        x = scaled_tanh(self.conv(6, 25, "C1")(x))
        x = scaled_tanh(Subsampling(self.dtype, name="S2")(x))
        x = scaled_tanh(SparseConv(TABLE_I, self.dtype, name="C3")(x))
        x = scaled_tanh(Subsampling(self.dtype, name="S4")(x))
        x = scaled_tanh(self.conv(120, 400, "C5")(x))
        init = uniform_over_fan_in(120)
        x = nn.Dense(84, dtype=self.dtype, kernel_init=init, bias_init=init, name="F6")(x.reshape(len(x), 120))
        x = scaled_tanh(x).astype(jnp.float32)
        return -jnp.square(x[:, None] - prototypes(self.num_classes)).sum(axis=-1)

    def conv(self, features: int, fan_in: int, name: str) -> Conv:
        init = uniform_over_fan_in(fan_in)
        return Conv(features, (5, 5), padding="VALID", dtype=self.dtype, kernel_init=init, bias_init=init, name=name)


PUBLIC = {"lenet5": LeNet5}
