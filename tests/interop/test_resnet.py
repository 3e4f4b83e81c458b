"""Residual nets beside PyTorch modules written from the papers (He et al. 2016a, table 1 and section 4.2)."""

import pytest

from tests.interop.agreement import same_names, same_results

torch = pytest.importorskip("torch")
nn = torch.nn

DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


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


class Padded(nn.Module):
    """Option A."""

    def __init__(self, more):
        super().__init__()
        self.more = more

    def forward(self, x):
        return nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.more))


def projection(inputs, outputs, stride):
    return nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))


class ResNet(nn.Module):
    def __init__(self, depth, version="1.5", classes=1000):
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
                made.append(Block(inputs, layers, None if same else projection(inputs, outputs, stride)))
                inputs = outputs
            setattr(self, f"layer{stage + 1}", nn.Sequential(*made))
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        x = self.maxpool(self.bn1(self.conv1(x)).relu())
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


class CifarResNet(nn.Module):
    def __init__(self, depth, shortcut="A"):
        super().__init__()
        self.conv1, self.bn1, inputs = conv(3, 16, 3), nn.BatchNorm2d(16), 16
        for stage, width in enumerate((16, 32, 64)):
            made = []
            for number in range((depth - 2) // 6):
                stride = 2 if stage and not number else 1
                change = Padded(width - inputs) if shortcut == "A" else projection(inputs, width, stride)
                made.append(Block(inputs, ((width, 3, stride), (width, 3, 1)), change if stride > 1 else None))
                inputs = width
            setattr(self, f"layer{stage + 1}", nn.Sequential(*made))
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(self.bn1(self.conv1(x)).relu())))
        return self.fc(x.mean((2, 3)))


@pytest.mark.parametrize("depth", DEPTHS)
def test_torchvision_s_names(depth):
    with torch.device("meta"):
        theirs = ResNet(depth)
    same_names(theirs, f"resnet{depth}", {})


def test_resnet18(tmp_path):
    same_results(torch, ResNet(18, classes=20), "resnet18", {}, tmp_path, side=75)


def calm(net):
    """Branches smaller than what they are added to, as trained: else a hundred layers make 1e-4 of a rounding error."""
    with torch.no_grad():
        for block in net.modules():
            if isinstance(block, Block):
                getattr(block, f"bn{block.count}").weight.mul_(0.3)


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "version"), [(34, "1.5"), (50, "1.5"), (50, "1"), (101, "1.5"), (152, "1.5")])
def test_deeper_ones(tmp_path, depth, version):
    same_results(torch, ResNet(depth, version), f"resnet{depth}", {"version": version}, tmp_path, side=96, calm=calm)


@pytest.mark.parametrize(("depth", "shortcut"), [(8, "A"), (8, "B"), (20, "A")])
def test_cifar(tmp_path, depth, shortcut):
    settings = {"depth": depth, "shortcut": shortcut}
    same_results(torch, CifarResNet(depth, shortcut), "resnet_cifar", settings, tmp_path, side=33)
