"""Residual nets for CIFAR-10 (He, Zhang, Ren & Sun 2016a, section 4.2), with 6n + 2 layers: 20, 32, 44, 56, 110.

    of 32 x 32                               20 layers, 10 classes      depth       parameters
    conv1   3x3, 16              32 x 32           464                   20            269,722
    layer1  n blocks, width 16   32 x 32        14,016                   32            464,154
    layer2  n blocks, width 32   16 x 16        51,072                   44            658,586
    layer3  n blocks, width 64     8 x 8       203,520                   56            853,018
    average, fc                       10           650                  110          1,727,962
                                               269,722

A block is two 3x3 convolutions, each followed by BatchNorm (in version 2 after it and ReLU, see `dl.models.resnet`).
`shortcut`: where the image is halved, "A" takes every second pixel and zeros for the new channels (the paper's, without
parameters), "B" a 1x1 projection with BatchNorm (272,474 parameters of 20 layers).

Deviations: the running variance of BatchNorm (see `dl.layers.residual`). The paper's weights start by He et al. 2015, which
leaves open whether inputs or outputs count: here outputs, and for the dense layer inputs.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dl.errors import UserError, unknown
from dl.layers.convolution import Conv
from dl.layers.residual import batch_norm, kernel_init, survival
from dl.layers.sequence import walk
from dl.models.resnet import Block, check

SHORTCUTS = {"A": "padding", "B": "projection"}
WIDTHS = (16, 32, 64)


class CifarResNet(nn.Module):
    """The network; x [B, H, W, C], 32x32 as published, to scores [B, num_classes] float32.

    Attributes:
        depth: 6n + 2.
        version: "1", or "2" for pre-activation.
        shortcut: "A" or "B", see the module.
        width: of layer1; layer2 and layer3 have two and four times as much.
        zero_last_scale, stochastic_depth, per_example, dtype: as of `dl.models.resnet.ResNet`.

    Raises:
        UserError: another depth, an unknown version or shortcut; settings that do not go together.
    """

    num_classes: int = 10
    depth: int = 20
    version: str = "1"
    shortcut: str = "A"
    width: int = 16
    zero_last_scale: bool = False
    stochastic_depth: float = 0.0
    per_example: bool = False
    dtype: DTypeLike = jnp.float32

    @property
    def layers(self) -> tuple[str, ...]:
        """stem, layer1_0, ..., pool, fc; version 2's last activation, `norm`, is before pool."""
        count = (self.depth - 2) // 6
        blocks = [f"layer{stage}_{i}" for stage in (1, 2, 3) for i in range(count)]
        return ("stem", *blocks, *(["norm"] if self.version == "2" else []), "pool", "fc")

    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b k"]:
        return self.features(x, ("fc",), train)["fc"].astype(jnp.float32)

    @nn.compact
    def features(self, x: Float[Array, "b h w c"], wanted: Sequence[str], train: bool = False) -> dict[str, jax.Array]:
        """What the layers `wanted` give, [B, h, w, c] or [B, c], after their ReLU; nothing is computed after the last of them.

        Raises:
            UserError: an unknown layer.
        """
        check(self.version, self.zero_last_scale)
        if self.depth < 8 or (self.depth - 2) % 6:
            raise UserError(f"resnet_cifar has 6n + 2 layers, such as 20, 32, 44, 56 or 110; depth is {self.depth}.")
        if self.shortcut not in SHORTCUTS:
            raise unknown("shortcut of resnet_cifar", self.shortcut, SHORTCUTS)
        network = f"resnet_cifar with depth {self.depth}"
        return walk(network, self.layers, wanted, x, lambda name, x: self._layer(name, x, train))

    def _layer(self, name: str, x: Float[Array, "b *n i"], train: bool) -> Float[Array, "b *m o"]:
        if name == "stem":
            conv = Conv(self.width, (3, 3), padding=1, use_bias=False, dtype=self.dtype, kernel_init=kernel_init, name="conv1")
            return nn.relu(batch_norm(train, self.dtype, "norm1")(conv(x)))
        if name == "norm":
            return nn.relu(batch_norm(train, self.dtype, "norm")(x))
        if name == "pool":
            return x.mean(axis=(1, 2))
        if name == "fc":
            init = nn.initializers.variance_scaling(2.0, "fan_in", "normal")
            return nn.Dense(self.num_classes, dtype=self.dtype, kernel_init=init, name="fc")(x)
        return self._block(name)(x, train)

    def _block(self, name: str) -> Block:
        stage, number = map(int, name.removeprefix("layer").split("_"))
        count = (self.depth - 2) // 6
        before = (stage - 1) * count + number
        return Block(
            self.width << (stage - 1),
            stride=2 if stage > 1 and number == 0 else 1,
            version=self.version,
            activated=before == 0,
            shortcut=SHORTCUTS[self.shortcut],
            zero_last_scale=self.zero_last_scale,
            survival=survival(before + 1, 3 * count, self.stochastic_depth),
            per_example=self.per_example,
            dtype=self.dtype,
            name=name,
        )


PUBLIC = {"resnet_cifar": CifarResNet}
