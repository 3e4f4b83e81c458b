"""AlexNet (Krizhevsky, Sutskever & Hinton 2012, section 3.5), the winner of ImageNet's competition of 2012, and its one tower.

    alexnet, of 227 x 227                         output      parameters    alexnet_one_tower         parameters
    conv1  11x11 / 4                        55 x 55 x 96          34,944    64, padding 2                 23,296
    norm1  local response normalisation                                     none
    pool1  max 3x3 / 2                      27 x 27 x 96
    conv2  5x5, padding 2, two groups      27 x 27 x 256         307,456    192                          307,392
    norm2, pool2                           13 x 13 x 256                    no norm2
    conv3  3x3, padding 1                  13 x 13 x 384         885,120    384                          663,936
    conv4  3x3, padding 1, two groups      13 x 13 x 384         663,936    256                          884,992
    conv5  3x3, padding 1, two groups      13 x 13 x 256         442,624    256                          590,080
    pool5                                    6 x 6 x 256                    then averages of a 6 x 6 grid
    fc6    ReLU, dropout                            4096      37,752,832    dropout before fc6        37,752,832
    fc7    ReLU, dropout                            4096      16,781,312    dropout before fc7        16,781,312
    fc8                                             1000       4,097,000                               4,097,000
                                                              60,965,224                              61,100,840

The paper's net is on two GPUs, each with half of the maps; in conv2, conv4 and conv5 a half sees its own maps alone, which are
two groups of one convolution here. configs/imagenet_alexnet.py:halves puts each on a device of its own.
The paper says 224 x 224, but its sizes (and its 290,400 neurons of the first layer) come of 227 x 227.

The one tower (Krizhevsky 2014, in the form of torchvision's `alexnet`) is without groups and response normalisation, and takes
images of any size from 63 x 63.

`without` leaves layers out (the table of Zeiler & Fergus 2014, section 5.3, in the lectures); what it drops of 60,965,224:

    (7,)           16,781,312           (3, 4)          1,696,512
    (6, 7)         49,414,144           (3, 4, 6, 7)   51,110,656

Initial weights are the paper's (section 5): N(0, 0.01^2), biases 1 in conv2, conv4, conv5, fc6 and fc7, else 0. The one tower's
convolutions start as He et al. 2015 have it, with biases 0, its dense layers as N(0, 0.01^2).

Deviations: response normalisation is over all maps of a layer, as the paper's formula and Caffe's weights have it, where each
GPU may have seen its own alone. Dropout scales in training, not in evaluation.
"""

import functools
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dl.errors import UserError, unknown
from dl.layers.convolution import Conv
from dl.layers.pooling import Pool, adaptive_avg_pool, max_pool
from dl.layers.response_normalisation import LocalResponseNorm
from dl.layers.sequence import walk

KERNELS = ((11, 4), (5, 1), (3, 1), (3, 1), (3, 1))  # side and stride of conv1 ... conv5
GROUPS = (1, 2, 1, 2, 2)
WIDTHS = (96, 256, 384, 384, 256)
ONE_TOWER_WIDTHS = (64, 192, 384, 256, 256)
ONES = ("conv2", "conv4", "conv5", "fc6", "fc7")  # layers whose biases start as 1
REMOVABLE = (3, 4, 6, 7)
ORDERS = ("before", "after", "none")
GRID = (6, 6)  # what fc6 reads


class AlexNet(nn.Module):
    """The network; x [B, 227, 227, C] (of the one tower any size) to scores [B, num_classes] float32.

    Attributes:
        one_tower: torchvision's form.
        response_norm: "before" pooling as in the paper, "after" it, or "none"; the one tower has none.
        without: layers to leave out, of 3, 4, 6 and 7.
        hidden: units of fc6 and fc7.
        dropout: in training.
        dtype: data type of the computation; parameters are float32.

    Raises:
        UserError: an unknown setting or layer, or images of another size.
    """

    one_tower: bool
    num_classes: int = 1000
    response_norm: str = "before"
    without: Sequence[int] = ()
    hidden: int = 4096
    dropout: float = 0.5
    dtype: DTypeLike = jnp.float32

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers, in their order.

        Raises:
            UserError: an unknown order, or a layer that can't be left out.
        """
        if self.response_norm not in ORDERS:
            raise unknown("order of alexnet's response_norm and pooling", self.response_norm, ORDERS)
        for number in self.without:
            if number not in REMOVABLE:
                raise unknown("layer that alexnet can be without", str(number), map(str, REMOVABLE))
        order = "none" if self.one_tower else self.response_norm
        names: list[str] = []
        for number in (1, 2):
            after = {"before": ["norm", "pool"], "after": ["pool", "norm"], "none": ["pool"]}[order]
            names += [f"{kind}{number}" for kind in ("conv", *after)]
        names += ["conv3", "conv4", "conv5", "pool5", "fc6", "fc7", "fc8"]
        left_out = {f"{'conv' if number < 6 else 'fc'}{number}" for number in self.without}
        return tuple(name for name in names if name not in left_out)

    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b k"]:
        return self.features(x, ("fc8",), train)["fc8"].astype(jnp.float32)

    @nn.compact
    def features(self, x: Float[Array, "b h w c"], wanted: Sequence[str], train: bool = False) -> dict[str, jax.Array]:
        """What the layers `wanted` give, [B, h, w, c] or [B, c], after their ReLU; nothing is computed after the last of them.

        Raises:
            UserError: an unknown layer.
        """
        return walk("alexnet", self.layers, wanted, x, lambda name, x: self._layer(name, x, train))

    def _layer(self, name: str, x: Float[Array, "b *n i"], train: bool) -> Float[Array, "b *m o"]:
        if name.startswith("conv"):
            return nn.relu(self._conv(name)(x))
        if name.startswith("norm"):
            return LocalResponseNorm(name=name)(x)
        if name.startswith("pool"):
            if min(x.shape[1:3]) < 3:
                raise UserError(f"the image is too small for {name} of alexnet: give one of at least 63x63.")
            return Pool(functools.partial(max_pool, window=(3, 3), strides=(2, 2)), name=name)(x)
        return self._dense(name, x, train)

    def _conv(self, name: str) -> Conv:
        place = int(name[4]) - 1
        side, stride = KERNELS[place]
        padding = 2 * self.one_tower if name == "conv1" else side // 2
        return Conv(
            (ONE_TOWER_WIDTHS if self.one_tower else WIDTHS)[place],
            (side, side),
            stride,
            padding,
            feature_group_count=1 if self.one_tower else GROUPS[place],
            dtype=self.dtype,
            kernel_init=nn.initializers.he_normal() if self.one_tower else nn.initializers.normal(0.01),
            bias_init=self._bias_init(name),
            name=name,
        )

    def _dense(self, name: str, x: Float[Array, "b *n i"], train: bool) -> Float[Array, "b o"]:
        if x.ndim == 4:
            x = self._grid(x).reshape(len(x), -1)
        drop = nn.Dropout(self.dropout, deterministic=not train)
        units, init = self.num_classes if name == "fc8" else self.hidden, nn.initializers.normal(0.01)
        dense = nn.Dense(units, dtype=self.dtype, kernel_init=init, bias_init=self._bias_init(name), name=name)
        if name == "fc8":
            return dense(x)
        return nn.relu(dense(drop(x))) if self.one_tower else drop(nn.relu(dense(x)))

    def _grid(self, x: Float[Array, "b h w c"]) -> Float[Array, "b 6 6 c"]:
        if self.one_tower:
            return adaptive_avg_pool(x, GRID)
        if x.shape[1:3] != GRID:
            raise UserError("alexnet takes 227x227 images: set --config.dataset.size=(227,227), or take alexnet_one_tower.")
        return x

    def _bias_init(self, name: str) -> nn.initializers.Initializer:
        return nn.initializers.ones if name in ONES and not self.one_tower else nn.initializers.zeros


PUBLIC = {"alexnet": functools.partial(AlexNet, False), "alexnet_one_tower": functools.partial(AlexNet, True)}
