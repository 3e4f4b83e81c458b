"""The benchmark's case `srresnet`: a step of SRResNet's first phase, and PyTorch's."""

from collections.abc import Callable
from typing import Any

from ml_collections import ConfigDict

from configs import set5_srresnet

Step = Callable[[], Any]


def srresnet_config() -> ConfigDict:
    """configs/set5_srresnet.py as published, 16 blocks of 64 channels, on 4 windows of 96 pixels of a photograph."""
    config = set5_srresnet.get_config()
    config.update(batch_size=4, steps_per_dispatch=1, log_every=10, eval_every=0)
    config.dataset.name = "photographs"
    config.dataset.splits = ConfigDict({"train": "train"})
    return config


def torch_srresnet(torch: Any, batch: int) -> Step:
    """PyTorch's step of `srresnet_config`."""
    nn = torch.nn

    def conv(inputs: int, features: int, side: int = 3, bias: bool = False) -> Any:
        return nn.Conv2d(inputs, features, side, padding=side // 2, bias=bias)

    class Block(nn.Module):  # type: ignore[name-defined]  # PyTorch need not be installed where types are checked
        def __init__(self, *layers: Any):
            super().__init__()
            self.layers = nn.Sequential(*layers)

        def forward(self, x: Any) -> Any:
            return x + self.layers(x)

    def block() -> Any:
        return Block(conv(64, 64), nn.BatchNorm2d(64), nn.PReLU(64), conv(64, 64), nn.BatchNorm2d(64))

    body = Block(*(block() for _ in range(16)), conv(64, 64), nn.BatchNorm2d(64))
    enlarging = (layer for _ in range(2) for layer in (conv(64, 256, bias=True), nn.PixelShuffle(2), nn.PReLU(64)))
    model = nn.Sequential(conv(3, 64, 9, bias=True), nn.PReLU(64), body, *enlarging, conv(64, 3, 9, bias=True))
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    low, original = torch.rand((batch, 3, 24, 24)), torch.rand((batch, 3, 96, 96))

    def step() -> Any:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(low), original)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step
