"""What is compared with PyTorch's: networks and the images they are given; sizes of the rest."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest


class Net(NamedTuple):
    """A network in both forms.

    name, settings: of our model; without what a file of weights tells, such as SqueezeNet's version.
    theirs: arguments of `build` in the module of PyTorch's form.
    side, batch, classes: of the images and scores. batch is 0 where names and shapes alone are compared.
    branches: see `draw.state`. slow: whether the test is.
    """

    name: str
    settings: Mapping[str, Any]
    theirs: Mapping[str, Any]
    side: int = 64
    batch: int = 0
    classes: int = 1000
    branches: str = ""
    slow: bool = False


def _alexnet() -> dict[str, Net]:
    small = {"hidden": 24, "dropout": 0.0}
    made = {
        "one tower": Net("alexnet_one_tower", {}, {"groups": False}, 224),
        "two groups": Net("alexnet", {}, {}, 227),
        # The one tower's map of 1 x 1 is repeated to 6 x 6.
        "one tower, narrow": Net("alexnet_one_tower", small, {"groups": False, "hidden": 24}, 90, 2, 7),
    }
    for order in ("before", "after"):
        theirs = {"hidden": 24, "after": order == "after"}
        made[f"{order}, narrow"] = Net("alexnet", {**small, "response_norm": order}, theirs, 227, 1, 7)
    return made


def _vgg() -> dict[str, Net]:
    small, made = {"hidden": 16, "dropout": 0.0}, {}
    for depth in (11, 13, 16, 19):
        for batch_norm in (False, True):
            name, theirs = f"vgg{depth}{'_bn' * batch_norm}", {"depth": depth, "batch_norm": batch_norm}
            made[name] = Net(name, {}, theirs)
            # A map of 2 x 2 is averaged, with windows that share pixels, to 7 x 7.
            side = 65 if name == "vgg11_bn" else 100
            made[f"{name}, narrow"] = Net(name, small, {**theirs, "hidden": 16}, side, 4, 7, slow=name != "vgg11_bn")
    return made


BASIC, BOTTLENECK = r"layer.*bn2\.weight", r"layer.*bn3\.weight"


def _resnet() -> dict[str, Net]:
    made = {f"resnet{depth}": Net(f"resnet{depth}", {}, {"depth": depth}) for depth in (18, 34, 50, 101, 152)}
    made["18, 1.5"] = Net("resnet18", {}, {"depth": 18}, 75, 4, 20, BASIC)
    for depth, version in ((18, "2"), (34, "1.5"), (50, "1.5"), (50, "1"), (50, "2"), (101, "1.5"), (152, "1.5")):
        settings, branches = {"version": version}, BASIC if depth < 50 else BOTTLENECK
        made[f"{depth}, {version}"] = Net(
            f"resnet{depth}", settings, {"depth": depth, **settings}, 96, 4, 20, branches, slow=True
        )
    for depth, shortcut, version in ((8, "A", "1"), (8, "B", "1"), (20, "A", "1"), (8, "B", "2")):
        settings = {"depth": depth, "shortcut": shortcut, "version": version}
        branches = BASIC if version == "1" else r"layer.*bn1\.weight"
        made[f"cifar {depth}, {shortcut}, {version}"] = Net("resnet_cifar", settings, settings, 33, 4, 10, branches)
    return made


def _densenet() -> dict[str, Net]:
    made = {}
    for depth, growth in ((121, 32), (161, 48), (169, 32), (201, 32)):
        name = f"densenet{depth}"
        made[name] = Net(name, {}, {"depth": depth, "growth": growth}, 32)
        made[f"{name}, scores"] = Net(name, {}, {"depth": depth, "growth": growth}, 96, 4, 20, slow=True)
    for side in (67, 96):  # odd sides: average pooling leaves the last row out
        made[f"small, {side}"] = Net("densenet121", {}, {"blocks": (2, 3, 2), "growth": 8}, side, 4, 9)
    theirs = {"blocks": (2, 2, 2), "growth": 6, "cifar": True}
    made["cifar"] = Net("densenet_cifar", {"depth": 16, "growth": 6}, theirs, 33, 4, 10)
    return made


def _squeezenet() -> dict[str, Net]:
    made = {v: Net("squeezenet", {}, {"version": v}) for v in ("1.0", "1.1")}
    for version, side in (("1.0", 68), ("1.1", 79)):  # ceil mode reaches over the edge
        made[f"{version}, scores"] = Net("squeezenet", {"dropout": 0.0}, {"version": version}, side, 2, 30)
    return made


def _googlenet() -> dict[str, Net]:
    rates = {"dropout": 0.0, "auxiliary_dropout": 0.0}
    paper, plain = {**rates, "form": "paper"}, {"form": "paper", "auxiliary": False}
    return {
        "googlenet": Net("googlenet", {}, {}, 64),
        "paper": Net("googlenet", {"form": "paper"}, {"form": "paper"}, 224),
        # From 75 x 75 every pooling meets an odd side or an even one: ceil mode matters.
        "scores": Net("googlenet", rates, {}, 75, 4, 7),
        "paper, scores": Net("googlenet", {**plain, "dropout": 0.0}, plain, 75, 2, 7),
        "paper, auxiliary": Net("googlenet", paper, {"form": "paper"}, 223, 1, 7, slow=True),
    }


NETS: dict[str, dict[str, Net]] = {
    "alexnet": _alexnet(),
    "vgg": _vgg(),
    "resnet": _resnet(),
    "densenet": _densenet(),
    "squeezenet": _squeezenet(),
    "googlenet": _googlenet(),
}


_LENET = {"conv1": (6, 1, 5, 5), "conv2": (16, 6, 5, 5), "dense1": (120, 400), "dense2": (84, 120), "dense3": (5, 84)}
LENET = {
    f"{name}.{kind}": shape if kind == "weight" else shape[:1] for name, shape in _LENET.items() for kind in ("weight", "bias")
}
T, B, D, H = 7, 3, 4, 5  # of recurrent layers
LENGTHS = (7, 3, 5)
SHAPES = {"kernel": (4, 3), "bias": (3,)}  # of what optimizers move
UPDATES, RATE = 5, 0.1


def cases(group: str, scored: bool = True) -> list[Any]:
    """Pytest's parameters: the group's networks whose scores are compared, or those whose names alone are."""
    found = {case: net for case, net in NETS[group].items() if bool(net.batch) == scored}
    return [pytest.param(case, marks=[pytest.mark.slow] * net.slow) for case, net in found.items()]
