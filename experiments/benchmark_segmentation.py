"""The benchmark's case `unet`: the narrow U-Net of configs/camvid_unet.py:quick, and the PyTorch step that does the same."""

from collections.abc import Callable
from typing import Any

from ml_collections import ConfigDict

from dl.config import base

SIDES, CLASSES = (128, 176), 4
WIDTHS = (16, 32, 64, 128, 256)


def unet_config() -> ConfigDict:
    """U-Net of 16 to 256 channels with BatchNorm, 8 images of 128x176, Adam, no distortions, on drawn shapes."""
    config = base()
    config.update(steps=10**6, batch_size=8, log_every=4)
    config.dataset.update(name="drawn_shapes", splits={"train": "train"}, shape=SIDES, examples=64)
    config.model = ConfigDict({"name": "unet", "widths": WIDTHS, "dropout": 0.2})
    config.task = ConfigDict({"name": "segmentation"})
    config.optimizer.update(name="adam", learning_rate=1e-3)
    return config


def torch_unet(torch: Any, batch: int) -> Callable[[], Any]:
    """PyTorch's step of `unet_config`."""
    nn = torch.nn

    def block(inputs: int, features: int) -> Any:
        layers: list[Any] = []
        for i in (inputs, features):
            layers += [nn.Conv2d(i, features, 3, padding=1, bias=False), nn.BatchNorm2d(features), nn.ReLU()]
        return nn.Sequential(*layers)

    class UNet(nn.Module):  # type: ignore[name-defined]  # PyTorch need not be installed where types are checked
        def __init__(self) -> None:
            super().__init__()
            self.down = nn.ModuleList(block(i, o) for i, o in zip((3, *WIDTHS), WIDTHS, strict=False))
            pairs = list(zip(WIDTHS[:0:-1], WIDTHS[-2::-1], strict=True))
            self.up = nn.ModuleList(nn.ConvTranspose2d(i, o, 2, 2) for i, o in pairs)
            self.join = nn.ModuleList(block(2 * o, o) for _, o in pairs)
            self.pool, self.drop, self.scores = nn.MaxPool2d(2), nn.Dropout(0.2), nn.Conv2d(WIDTHS[0], CLASSES, 1)

        def forward(self, x: Any) -> Any:
            maps = []
            for number, down in enumerate(self.down):
                x = down(self.pool(x) if number else x)
                maps.append(x)
            x = self.drop(maps.pop())
            for up, join in zip(self.up, self.join, strict=True):
                x = join(torch.cat([maps.pop(), up(x)], 1))
            return self.scores(x)

    model = UNet()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    images, labels = torch.rand(batch, 3, *SIDES), torch.randint(CLASSES, (batch, *SIDES))

    def step() -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step
