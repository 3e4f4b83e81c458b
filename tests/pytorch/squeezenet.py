"""SqueezeNet as a PyTorch module written from the paper (Iandola et al. 2016, table 1)."""

import torch
from torch import nn


def build(classes, version, padding=0):
    return SqueezeNet(classes, version, padding)


class Fire(nn.Module):
    def __init__(self, inputs, width):
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, width, 1)
        self.expand1x1 = nn.Conv2d(width, 4 * width, 1)
        self.expand3x3 = nn.Conv2d(width, 4 * width, 3, padding=1)

    def forward(self, x):
        x = self.squeeze(x).relu()
        return torch.cat([self.expand1x1(x), self.expand3x3(x)], 1).relu()


class SqueezeNet(nn.Module):
    def __init__(self, classes, version, padding):
        super().__init__()
        first, side, pools = (96, 7, (1, 4, 8)) if version == "1.0" else (64, 3, (1, 3, 5))
        made, inputs = [nn.Conv2d(3, first, side, 2), nn.ReLU()], first
        for number in range(1, 10):
            if number > 1:
                width = 16 * (number // 2)
                made.append(Fire(inputs, width))
                inputs = 8 * width
            if number in pools:
                made.append(nn.MaxPool2d(3, 2, ceil_mode=True))
        self.features = nn.Sequential(*made)
        last = nn.Conv2d(inputs, classes, 1, padding=padding)
        self.classifier = nn.Sequential(nn.Dropout(), last, nn.ReLU(), nn.AdaptiveAvgPool2d(1))

    def forward(self, x):
        return self.classifier(self.features(x)).flatten(1)
