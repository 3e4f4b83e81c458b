"""AlexNet beside PyTorch modules written from the papers (Krizhevsky et al. 2012, figure 2; Krizhevsky 2014)."""

import pytest

from tests.interop.agreement import same_names, same_results

torch = pytest.importorskip("torch")
nn = torch.nn


def one_tower(hidden=4096, classes=1000):
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

    def __init__(self, hidden=4096, classes=1000, after=False):
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


def test_torchvision_s_names():
    with torch.device("meta"):
        one, two = one_tower(), TwoGroups()
    same_names(one, "alexnet_one_tower", {}, side=224)
    same_names(two, "alexnet", {}, side=227)


SMALL = {"hidden": 24, "dropout": 0.0}


@pytest.mark.parametrize("side", [90])
def test_one_tower(tmp_path, side):
    """Its map of 1 x 1 is repeated to 6 x 6."""
    same_results(torch, one_tower(24, 7), "alexnet_one_tower", SMALL, tmp_path, side, batch=2)


@pytest.mark.parametrize("order", ["before", "after"])
def test_two_groups(tmp_path, order):
    net = TwoGroups(24, 7, after=order == "after")
    same_results(torch, net, "alexnet", {**SMALL, "response_norm": order}, tmp_path, 227, batch=1)
