"""AlexNet as PyTorch modules written from the papers (Krizhevsky et al. 2012, figure 2; Krizhevsky 2014)."""

from torch import nn


def build(classes, groups=True, hidden=4096, after=False):
    return TwoGroups(hidden, classes, after) if groups else one_tower(hidden, classes)


def one_tower(hidden, classes):
    """The two parts that torchvision's names say."""

    def pool():
        return nn.MaxPool2d(3, 2)

    layers = [nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), pool(), nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), pool()]
    for inputs, outputs in ((192, 384), (384, 256), (256, 256)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
    dense = [nn.Dropout(), nn.Linear(9216, hidden), nn.ReLU(), nn.Dropout(), nn.Linear(hidden, hidden), nn.ReLU()]
    parts = {
        "features": nn.Sequential(*layers, pool()),
        "avgpool": nn.Sequential(nn.AdaptiveAvgPool2d(6), nn.Flatten()),
        "classifier": nn.Sequential(*dense, nn.Linear(hidden, classes)),
    }
    net = nn.Sequential()
    for name, part in parts.items():
        net.add_module(name, part)
    return net


class TwoGroups(nn.Module):
    """The layers by the paper's numbers; PyTorch's response normalisation divides alpha by n = 5."""

    def __init__(self, hidden, classes, after):
        super().__init__()
        self.after = after
        self.conv1 = nn.Conv2d(3, 96, 11, 4)
        self.conv2 = nn.Conv2d(96, 256, 5, padding=2, groups=2)
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1, groups=2)
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1, groups=2)
        self.fc6, self.fc7, self.fc8 = nn.Linear(9216, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, classes)

    def smaller(self, x):
        norm, pool = nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0), nn.MaxPool2d(3, 2)
        return norm(pool(x)) if self.after else pool(norm(x))

    def forward(self, x):
        x = self.smaller(self.conv2(self.smaller(self.conv1(x).relu())).relu())
        x = self.conv5(self.conv4(self.conv3(x).relu()).relu()).relu()
        x = nn.functional.max_pool2d(x, 3, 2).flatten(1)
        return self.fc8(self.fc7(self.fc6(x).relu()).relu())
