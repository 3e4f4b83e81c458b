"""DenseNet beside a PyTorch module written from the paper (Huang et al. 2017, section 3 and table 1)."""

import re

import jax
import pytest

from dl.errors import UserError
from dl.interop import classifier, published
from dl.models.densenet import BLOCKS, DenseNet, cifar
from tests.interop.agreement import same_names, same_results

COUNTS = {"densenet121": 7_978_856, "densenet161": 28_681_000, "densenet169": 14_149_480, "densenet201": 20_013_928}


def count(model, side=32):
    return sum(leaf.size for leaf in jax.tree.leaves(published.shapes(model, (side, side, 3))["params"]))


def densenet(torch, blocks, growth, stem, small=False, classes=1000):
    """With bottlenecks and compression."""
    from collections import OrderedDict

    nn = torch.nn

    class Layer(nn.Module):
        def __init__(self, inputs):
            super().__init__()
            self.norm1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, 4 * growth, 1, bias=False)
            self.norm2, self.conv2 = nn.BatchNorm2d(4 * growth), nn.Conv2d(4 * growth, growth, 3, 1, 1, bias=False)

        def forward(self, x):
            y = self.conv1(self.norm1(x).relu())
            return torch.cat([x, self.conv2(self.norm2(y).relu())], 1)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            parts = OrderedDict()
            if small:
                parts["conv0"] = nn.Conv2d(3, stem, 3, 1, 1, bias=False)
            else:
                parts["conv0"], parts["norm0"] = nn.Conv2d(3, stem, 7, 2, 3, bias=False), nn.BatchNorm2d(stem)
                parts["relu0"], parts["pool0"] = nn.ReLU(), nn.MaxPool2d(3, 2, 1)
            maps = stem
            for i, layers in enumerate(blocks, 1):
                made = [(f"denselayer{j}", Layer(maps + (j - 1) * growth)) for j in range(1, layers + 1)]
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

    return Net()


@pytest.mark.parametrize("name", BLOCKS)
def test_published_parameters_and_names(name):
    torch = pytest.importorskip("torch")
    blocks, growth = BLOCKS[name]
    with torch.device("meta"):
        theirs = densenet(torch, blocks, growth, 2 * growth)
    assert same_names(theirs, name, {}, side=32) == COUNTS[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", BLOCKS)
def test_logits(tmp_path, name):
    torch = pytest.importorskip("torch")
    blocks, growth = BLOCKS[name]
    same_results(torch, densenet(torch, blocks, growth, 2 * growth), name, {}, tmp_path, side=96)


@pytest.mark.parametrize("side", [67, 96])  # odd sides: average pooling leaves the last row out
def test_logits_of_a_small_one(tmp_path, side, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setitem(BLOCKS, "densenet121", ((2, 3, 2), 8))
    same_results(torch, densenet(torch, (2, 3, 2), 8, 16, classes=9), "densenet121", {}, tmp_path, side=side)


def test_logits_for_cifar(tmp_path):
    torch = pytest.importorskip("torch")
    theirs = densenet(torch, (2, 2, 2), 6, 12, small=True, classes=10)
    same_results(torch, theirs, "densenet_cifar", {"depth": 16, "growth": 6}, tmp_path, side=33)


def test_the_names_of_the_first_published_files(tmp_path):
    torch = pytest.importorskip("torch")
    theirs = densenet(torch, (2, 2, 2), 6, 12, small=True, classes=10)
    old = {re.sub(r"(denselayer\d\.(?:norm|conv))(\d)", r"\1.\2", key): value for key, value in theirs.state_dict().items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, tmp_path / "old.pth")
    found = classifier.load(tmp_path / "old.pth", "densenet_cifar", {"depth": 16, "growth": 6})
    same = classifier.layout(found).module("block1_1/norm1")
    assert same == "features.denseblock1.denselayer1.norm1"


def test_cifar_s_parameters():
    """DenseNet-BC of depth 100, k = 12: 0.8 million in table 2, here layer by layer."""
    k, maps, total = 12, 24, 9 * 3 * 24
    for block in range(3):
        for _ in range(16):
            total += 2 * maps + maps * 4 * k + 2 * 4 * k + 9 * 4 * k * k
            maps += k
        if block < 2:
            total += 2 * maps + maps * (maps // 2)
            maps //= 2
    total += 2 * maps + 10 * (maps + 1)
    assert count(cifar()) == total == 769_162


def test_cifar_s_parameters_without_bottlenecks():
    """Depth 40, k = 12: 1.0 million in table 2."""
    k, maps, total = 12, 16, 9 * 3 * 16
    for block in range(3):
        for _ in range(12):
            total += 2 * maps + 9 * maps * k
            maps += k
        total += 2 * maps + (maps * maps if block < 2 else 0)
    assert count(cifar(depth=40, bottleneck=False)) == total + 10 * (maps + 1) == 1_019_722


def test_each_layer_keeps_what_it_was_given():
    model = DenseNet((2, 2), 4, 8, small=True, num_classes=3)
    made = jax.eval_shape(
        lambda: model.init_with_output(jax.random.key(0), jax.numpy.zeros((1, 9, 9, 3)), model.layers, method="features")[0]
    )
    sizes = {name: found.shape[1:] for name, found in made.items()}
    assert sizes == {
        "stem": (9, 9, 8),
        "block1_1": (9, 9, 12),
        "block1_2": (9, 9, 16),
        "transition1": (4, 4, 8),
        "block2_1": (4, 4, 12),
        "block2_2": (4, 4, 16),
        "norm": (4, 4, 16),
        "pool": (16,),
        "fc": (3,),
    }


def test_bad_input():
    model = DenseNet((1, 1, 1, 1), 4, 8)
    with pytest.raises(UserError, match="too small for transition3 of the densenet"):
        published.shapes(model, (28, 28, 3))
    published.shapes(model, (29, 29, 3))
    with pytest.raises(UserError, match="6n \\+ 4 layers .* depth is 99"):
        cifar(depth=99)
    with pytest.raises(UserError, match="unknown layer of this densenet 'block1_3'"):
        model = DenseNet((2, 2), 4, 8)
        model.init(jax.random.key(0), jax.numpy.zeros((1, 32, 32, 3)), ("block1_3",), method="features")
