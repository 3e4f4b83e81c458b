"""VGG beside PyTorch modules written from the paper (Simonyan & Zisserman 2015, table 1)."""

import pytest

from dl.interop.vgg import places
from tests.interop.agreement import same_names, same_results

torch = pytest.importorskip("torch")
nn = torch.nn

DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


def vgg(depth, batch_norm=False, hidden=4096, classes=1000):
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


@pytest.mark.parametrize("batch_norm", [False, True], ids=["plain", "bn"])
@pytest.mark.parametrize("depth", DEPTHS)
def test_torchvision_s_names(depth, batch_norm):
    with torch.device("meta"):
        theirs = vgg(depth, batch_norm)
    same_names(theirs, f"vgg{depth}{'_bn' * batch_norm}", {})


def test_known_places():
    """Style transfer's relu4_2 of VGG-19 follows torchvision's features.21."""
    assert places(19)["conv4_2"] == "features.21" and places(16)["conv5_3"] == "features.28"
    assert places(11, batch_norm=True)["norm5_2"] == "features.26"


SMALL = {"hidden": 16, "dropout": 0.0}


def test_vgg11_bn(tmp_path):
    """Its map of 2 x 2 is averaged, with windows that share pixels, to 7 x 7."""
    same_results(torch, vgg(11, True, 16, 7), "vgg11_bn", SMALL, tmp_path, side=65, batch=4)


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "batch_norm"), [(11, False), (13, True), (16, False), (16, True), (19, True)])
def test_deeper_ones(tmp_path, depth, batch_norm):
    name = f"vgg{depth}{'_bn' * batch_norm}"
    same_results(torch, vgg(depth, batch_norm, 16, 7), name, SMALL, tmp_path, side=100, batch=4)
