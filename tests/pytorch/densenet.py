"""DenseNet as a PyTorch module written from the paper (Huang et al. 2017, section 3 and table 1), with bottlenecks."""

from collections import OrderedDict

import torch
from torch import nn

BLOCKS = {121: (6, 12, 24, 16), 161: (6, 12, 36, 24), 169: (6, 12, 32, 32), 201: (6, 12, 48, 32)}


def build(classes, growth, depth=None, blocks=None, cifar=False):
    return DenseNet(blocks or BLOCKS[depth], growth, cifar, classes)


class Layer(nn.Module):
    def __init__(self, inputs, growth):
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, 4 * growth, 1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(4 * growth), nn.Conv2d(4 * growth, growth, 3, 1, 1, bias=False)

    def forward(self, x):
        y = self.conv1(self.norm1(x).relu())
        return torch.cat([x, self.conv2(self.norm2(y).relu())], 1)


class DenseNet(nn.Module):
    """With compression by half; the stem is twice as wide as the growth."""

    def __init__(self, blocks, growth, cifar, classes):
        super().__init__()
        parts, maps = OrderedDict(), 2 * growth
        if cifar:
            parts["conv0"] = nn.Conv2d(3, maps, 3, 1, 1, bias=False)
        else:
            parts["conv0"], parts["norm0"] = nn.Conv2d(3, maps, 7, 2, 3, bias=False), nn.BatchNorm2d(maps)
            parts["relu0"], parts["pool0"] = nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        for i, layers in enumerate(blocks, 1):
            made = [(f"denselayer{j}", Layer(maps + (j - 1) * growth, growth)) for j in range(1, layers + 1)]
            parts[f"denseblock{i}"] = nn.Sequential(OrderedDict(made))
            maps += layers * growth
            if i < len(blocks):
                change = [("norm", nn.BatchNorm2d(maps)), ("relu", nn.ReLU())]
                change += [("conv", nn.Conv2d(maps, maps // 2, 1, bias=False)), ("pool", nn.AvgPool2d(2))]
                parts[f"transition{i}"] = nn.Sequential(OrderedDict(change))
                maps //= 2
        parts[f"norm{len(blocks) + 1}"] = nn.BatchNorm2d(maps)
        self.features, self.classifier = nn.Sequential(parts), nn.Linear(maps, classes)

    def forward(self, x):
        return self.classifier(self.features(x).relu().mean((2, 3)))
