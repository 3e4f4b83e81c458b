"""The modern LeNet-5 in PyTorch's functions, by the names and axes of our own layout; maps are flattened as we flatten them."""

import torch
from torch.nn.functional import conv2d, linear, max_pool2d, relu

from tests.pytorch.cases import LENET
from tests.pytorch.draw import state, uniform


def scores():
    """Of three images."""
    given = {name: torch.from_numpy(array) for name, array in state(LENET).items()}
    y = torch.from_numpy(uniform("x", (3, 28, 28, 1))).permute(0, 3, 1, 2)
    y = max_pool2d(relu(conv2d(y, given["conv1.weight"], given["conv1.bias"], padding=2)), 2)
    y = max_pool2d(relu(conv2d(y, given["conv2.weight"], given["conv2.bias"])), 2).permute(0, 2, 3, 1).flatten(1)
    for name in ("dense1", "dense2"):
        y = relu(linear(y, given[f"{name}.weight"], given[f"{name}.bias"]))
    return {"scores": linear(y, given["dense3.weight"], given["dense3.bias"]).numpy()}


CASES = {"scores": scores}
