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

from typing import Any

import flax.linen as nn
from jaxtyping import Array

from dl.errors import UserError, unknown
from dl.layers.convolution import Conv
from dl.layers.residual import batch_norm, kernel_init
from dl.models.residual_net import ResidualNet

SHORTCUTS = {"A": "padding", "B": "projection"}
STAGES = 3


class CifarResNet(ResidualNet, kw_only=True):
    """The network; x [B, H, W, C], 32x32 as published, to scores [B, num_classes] float32.

    Attributes:
        depth: 6n + 2.
        version: "1", or "2" for pre-activation.
        shortcut: "A" or "B", see the module.
        width: number of channels of layer1; layer2 and layer3 have two and four times as many.

    Raises:
        UserError: another depth, an unknown version or shortcut; settings that do not go together.
    """

    num_classes: int = 10
    depth: int = 20
    version: str = "1"
    shortcut: str = "A"
    width: int = 16

    @property
    def network(self) -> str:
        return f"resnet_cifar with depth {self.depth}"

    @property
    def stages(self) -> tuple[tuple[int, int], ...]:
        if self.depth < 8 or (self.depth - 2) % 6:
            raise UserError(f"resnet_cifar has 6n + 2 layers, such as 20, 32, 44, 56 or 110; depth is {self.depth}.")
        return tuple((self.width << stage, (self.depth - 2) // 6) for stage in range(STAGES))

    @property
    def of_blocks(self) -> dict[str, Any]:
        if self.shortcut not in SHORTCUTS:
            raise unknown("shortcut of resnet_cifar", self.shortcut, SHORTCUTS)
        return {"shortcut": SHORTCUTS[self.shortcut]}

    def enter(self, name: str, x: Array, train: bool) -> Array:
        conv = Conv(self.width, (3, 3), padding=1, use_bias=False, dtype=self.dtype, kernel_init=kernel_init, name="conv1")
        return nn.relu(batch_norm(train, self.dtype, "norm1")(conv(x)))

    def dense(self) -> nn.Dense:
        init = nn.initializers.variance_scaling(2.0, "fan_in", "normal")
        return nn.Dense(self.num_classes, dtype=self.dtype, kernel_init=init, name="fc")


PUBLIC = {"resnet_cifar": CifarResNet}
