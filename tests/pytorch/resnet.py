"""Residual nets as PyTorch modules written from the papers (He et al. 2016a, table 1 and section 4.2; He et al. 2016b)."""

from torch import nn

DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def build(classes, depth, version="1.5", shortcut=None):
    """For CIFAR-10 where the form of the shortcuts is given."""
    return CifarResNet(classes, depth, shortcut, version) if shortcut else ResNet(classes, depth, version)


def conv(inputs, outputs, side, stride=1):
    return nn.Conv2d(inputs, outputs, side, stride, side // 2, bias=False)


class Block(nn.Module):
    """conv1, bn1, ...; the last convolution's output meets the shortcut before the last ReLU."""

    def __init__(self, inputs, layers, shortcut):
        super().__init__()
        self.count = len(layers)
        for number, (outputs, side, stride) in enumerate(layers, 1):
            setattr(self, f"conv{number}", conv(inputs, outputs, side, stride))
            setattr(self, f"bn{number}", nn.BatchNorm2d(outputs))
            inputs = outputs
        self.downsample = shortcut

    def forward(self, x):
        y = x
        for number in range(1, self.count + 1):
            y = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(y))
            y = y.relu() if number < self.count else y
        return (y + (x if self.downsample is None else self.downsample(x))).relu()


class PreActivated(nn.Module):
    """bn1, ReLU, conv1, ...; the first block of a net reads what is activated already, and has no bn1.

    Where the shape changes, the shortcut reads the activated input (He et al. 2016b, appendix).
    """

    def __init__(self, inputs, layers, shortcut, first):
        super().__init__()
        self.count, self.first = len(layers), first
        for number, (outputs, side, stride) in enumerate(layers, 1):
            if not (first and number == 1):
                setattr(self, f"bn{number}", nn.BatchNorm2d(inputs))
            setattr(self, f"conv{number}", conv(inputs, outputs, side, stride))
            inputs = outputs
        self.downsample = shortcut

    def forward(self, x):
        activated = x if self.first else self.bn1(x).relu()
        y = self.conv1(activated)
        for number in range(2, self.count + 1):
            y = getattr(self, f"conv{number}")(getattr(self, f"bn{number}")(y).relu())
        return y + (x if self.downsample is None else self.downsample(activated))


class Padded(nn.Module):
    """Option A."""

    def __init__(self, more):
        super().__init__()
        self.more = more

    def forward(self, x):
        return nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.more))


def projection(inputs, outputs, stride, version):
    norm = [] if version == "2" else [nn.BatchNorm2d(outputs)]
    return nn.Sequential(conv(inputs, outputs, 1, stride), *norm)


def block(inputs, layers, shortcut, version, first):
    return PreActivated(inputs, layers, shortcut, first) if version == "2" else Block(inputs, layers, shortcut)


class ResNet(nn.Module):
    def __init__(self, classes, depth, version):
        super().__init__()
        self.conv1, self.bn1, self.maxpool = conv(3, 64, 7, 2), nn.BatchNorm2d(64), nn.MaxPool2d(3, 2, 1)
        inputs = 64
        for stage, blocks in enumerate(DEPTHS[depth]):
            width, made = 64 << stage, []
            for number in range(blocks):
                stride = 2 if stage and not number else 1
                if depth < 50:
                    layers = (width, 3, stride), (width, 3, 1)
                else:
                    one, three = (stride, 1) if version == "1" else (1, stride)
                    layers = (width, 1, one), (width, 3, three), (4 * width, 1, 1)
                outputs = layers[-1][0]
                same = stride == 1 and inputs == outputs
                shortcut = None if same else projection(inputs, outputs, stride, version)
                made.append(block(inputs, layers, shortcut, version, first=stage == number == 0))
                inputs = outputs
            setattr(self, f"layer{stage + 1}", nn.Sequential(*made))
        self.bn = nn.BatchNorm2d(inputs) if version == "2" else None
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        x = self.maxpool(self.bn1(self.conv1(x)).relu())
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        x = x if self.bn is None else self.bn(x).relu()
        return self.fc(x.mean((2, 3)))


class CifarResNet(nn.Module):
    def __init__(self, classes, depth, shortcut, version):
        super().__init__()
        self.conv1, self.bn1, inputs = conv(3, 16, 3), nn.BatchNorm2d(16), 16
        for stage, width in enumerate((16, 32, 64)):
            made = []
            for number in range((depth - 2) // 6):
                stride = 2 if stage and not number else 1
                change = Padded(width - inputs) if shortcut == "A" else projection(inputs, width, stride, version)
                layers = (width, 3, stride), (width, 3, 1)
                made.append(block(inputs, layers, change if stride > 1 else None, version, first=stage == number == 0))
                inputs = width
            setattr(self, f"layer{stage + 1}", nn.Sequential(*made))
        self.bn = nn.BatchNorm2d(64) if version == "2" else None
        self.fc = nn.Linear(64, classes)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(self.bn1(self.conv1(x)).relu())))
        x = x if self.bn is None else self.bn(x).relu()
        return self.fc(x.mean((2, 3)))
