"""DenseNet beside a PyTorch module written from the paper: tests/pytorch/densenet.py."""

import re

import jax
import numpy as np
import pytest

from dl.errors import UserError
from dl.interop import classifier, published, weights
from dl.models.densenet import BLOCKS, DenseNet, cifar
from tests.interop.agreement import drawn, same_names, same_results
from tests.pytorch.cases import cases

COUNTS = {"densenet121": 7_978_856, "densenet161": 28_681_000, "densenet169": 14_149_480, "densenet201": 20_013_928}


def count(model, side=32):
    return sum(leaf.size for leaf in jax.tree.leaves(published.shapes(model, (side, side, 3))["params"]))


@pytest.mark.parametrize("name", BLOCKS)
def test_published_parameters_and_names(name):
    assert same_names("densenet", name) == COUNTS[name]


@pytest.mark.parametrize("case", cases("densenet"))
def test_scores(tmp_path, case, monkeypatch):
    if case.startswith("small"):
        monkeypatch.setitem(BLOCKS, "densenet121", ((2, 3, 2), 8))
    same_results("densenet", case, tmp_path)


def test_the_names_of_the_first_published_files(tmp_path):
    state = drawn("densenet", "cifar")
    old = {re.sub(r"(denselayer\d\.(?:norm|conv))(\d)", r"\1.\2", key): value for key, value in state.items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    weights.write(tmp_path / "old.npz", old)
    found = classifier.load(tmp_path / "old.npz", "densenet_cifar", {"depth": 16, "growth": 6})
    scale = found.variables["params"]["block1_1"]["norm1"]["scale"]
    np.testing.assert_array_equal(scale, state["features.denseblock1.denselayer1.norm1.weight"])


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
