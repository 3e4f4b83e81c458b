"""VGG as PyTorch modules written from the paper (Simonyan & Zisserman 2015, table 1)."""

from torch import nn

DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


def build(classes, depth, batch_norm, hidden=4096):
    layers, inputs = [], 3
    for width, count in zip((64, 128, 256, 512, 512), DEPTHS[depth], strict=True):
        for _ in range(count):
            norm = [nn.BatchNorm2d(width)] if batch_norm else []
            layers += [nn.Conv2d(inputs, width, 3, padding=1), *norm, nn.ReLU()]
            inputs = width
        layers.append(nn.MaxPool2d(2))
    dense = [nn.Linear(49 * 512, hidden), nn.ReLU(), nn.Dropout(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout()]
    net = nn.Sequential()
    net.add_module("features", nn.Sequential(*layers))
    net.add_module("avgpool", nn.Sequential(nn.AdaptiveAvgPool2d(7), nn.Flatten()))
    net.add_module("classifier", nn.Sequential(*dense, nn.Linear(hidden, classes)))
    return net
