"""GoogLeNet, torchvision's form and the paper's, as PyTorch modules (Szegedy et al. 2015, table 1, figure 3)."""

import torch
from torch import nn

TABLE = {  # 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, projection
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def build(classes, form="torchvision", auxiliary=True):
    return GoogLeNet(classes, form == "paper", auxiliary)


class Convolution(nn.Module):
    """With BatchNorm, or in the paper's form with a bias."""

    def __init__(self, inputs, outputs, side, stride=1, paper=False):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, side, stride, side // 2, bias=paper)
        self.bn = None if paper else nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x):
        x = self.conv(x)
        return (x if self.bn is None else self.bn(x)).relu()


class Inception(nn.Module):
    """Torchvision's has a 3x3 where the paper's has a 5x5."""

    def __init__(self, inputs, widths, paper):
        super().__init__()
        one, reduce3, three, reduce5, five, projection = widths

        def convolution(inputs, outputs, side):
            return Convolution(inputs, outputs, side, paper=paper)

        self.branch1 = convolution(inputs, one, 1)
        self.branch2 = nn.Sequential(convolution(inputs, reduce3, 1), convolution(reduce3, three, 3))
        self.branch3 = nn.Sequential(convolution(inputs, reduce5, 1), convolution(reduce5, five, 5 if paper else 3))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1), convolution(inputs, projection, 1))

    def forward(self, x):
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class Auxiliary(nn.Module):
    def __init__(self, inputs, classes, paper):
        super().__init__()
        self.pool = nn.AvgPool2d(5, 3) if paper else nn.AdaptiveAvgPool2d(4)
        self.conv = Convolution(inputs, 128, 1, paper=paper)
        self.fc1, self.fc2 = nn.Linear(2048, 1024), nn.Linear(1024, classes)

    def forward(self, x):
        x = self.conv(self.pool(x))
        return self.fc2(self.fc1(x.flatten(1)).relu())


class GoogLeNet(nn.Module):
    """In training the auxiliary scores are kept in `auxiliary`."""

    def __init__(self, classes, paper, auxiliary):
        super().__init__()
        self.paper = paper
        self.conv1 = Convolution(3, 64, 7, 2, paper)
        self.conv2, self.conv3 = Convolution(64, 64, 1, 1, paper), Convolution(64, 192, 3, 1, paper)
        inputs = 192
        for name, widths in TABLE.items():
            setattr(self, f"inception{name}", Inception(inputs, widths, paper))
            inputs = widths[0] + widths[2] + widths[4] + widths[5]
        self.aux1, self.aux2 = (Auxiliary(n, classes, paper) if auxiliary else None for n in (512, 528))
        self.fc = nn.Linear(1024, classes)

    def normalised(self, x):
        """PyTorch's response normalisation divides alpha by n = 5."""
        return nn.functional.local_response_norm(x, 5, alpha=5e-4, beta=0.75, k=2.0) if self.paper else x

    def forward(self, x):
        def pool(x, side=3):
            return nn.functional.max_pool2d(x, side, 2, ceil_mode=True)

        x = self.normalised(pool(self.conv1(x)))
        x = pool(self.normalised(self.conv3(self.conv2(x))))
        x = pool(self.inception3b(self.inception3a(x)))
        fourth = self.inception4a(x)
        x = self.inception4d(self.inception4c(self.inception4b(fourth)))
        if self.training and self.aux1 is not None:
            self.auxiliary = self.aux1(fourth), self.aux2(x)
        x = self.inception5b(self.inception5a(pool(self.inception4e(x), 3 if self.paper else 2)))
        return self.fc(x.mean((2, 3)))
