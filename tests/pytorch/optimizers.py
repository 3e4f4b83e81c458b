"""PyTorch's optimizers, of drawn parameters and gradients: the parameters after each update."""

import numpy as np
import torch

from tests.pytorch.cases import RATE, SHAPES, UPDATES
from tests.pytorch.draw import uniform


def updates(make, decayed=None, prepare=None):
    """`make(groups)` is an optimizer; `decayed` the weight decay of the kernel, which alone has one."""
    parameters = {name: torch.from_numpy(uniform(name, shape)) for name, shape in SHAPES.items()}
    groups = [{"params": [value]} for value in parameters.values()]
    for group, decay in zip(groups, (decayed, 0.0), strict=True):
        group |= {} if decayed is None else {"weight_decay": decay}
    optimizer, seen = make(groups), []
    for step in range(UPDATES):
        for name, value in parameters.items():
            value.grad = torch.from_numpy(uniform(f"gradient {step} {name}", SHAPES[name]))
        if prepare:
            prepare(parameters.values())
        optimizer.step()
        seen.append(np.concatenate([value.numpy().ravel() for value in parameters.values()]))
    return {"parameters": np.stack(seen)}


optim = torch.optim
CASES = {
    "sgd": lambda: updates(lambda p: optim.SGD(p, RATE)),
    "sgd, l2": lambda: updates(lambda p: optim.SGD(p, RATE), 0.2),
    "sgd, clipped": lambda: updates(lambda p: optim.SGD(p, RATE), prepare=lambda p: torch.nn.utils.clip_grad_norm_(p, 0.5)),
    "momentum": lambda: updates(lambda p: optim.SGD(p, RATE, momentum=0.8)),
    "momentum, l2": lambda: updates(lambda p: optim.SGD(p, RATE, momentum=0.8), 0.2),
    "nesterov": lambda: updates(lambda p: optim.SGD(p, RATE, momentum=0.8, nesterov=True)),
    "nesterov, l2": lambda: updates(lambda p: optim.SGD(p, RATE, momentum=0.8, nesterov=True), 0.2),
    "adam": lambda: updates(lambda p: optim.Adam(p, RATE, betas=(0.8, 0.99), eps=1e-3)),
    "adam, l2": lambda: updates(lambda p: optim.Adam(p, RATE, betas=(0.8, 0.99), eps=1e-3), 0.2),
    "adamw": lambda: updates(lambda p: optim.AdamW(p, RATE, betas=(0.8, 0.99), eps=1e-3), 0.2),
    # PyTorch adds epsilon to the root, ours stands in it: without one they are the same.
    "rmsprop": lambda: updates(lambda p: optim.RMSprop(p, RATE, alpha=0.8, eps=0.0)),
    "rmsprop, centred": lambda: updates(lambda p: optim.RMSprop(p, RATE, alpha=0.8, eps=1e-12, centered=True)),
    "rmsprop, momentum": lambda: updates(lambda p: optim.RMSprop(p, RATE, alpha=0.8, eps=0.0, momentum=0.7)),
    "adagrad": lambda: updates(lambda p: optim.Adagrad(p, RATE, initial_accumulator_value=0.5, eps=0.0)),
}
