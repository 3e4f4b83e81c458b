"""What PyTorch's form of a network gives with drawn weights: scores in both modes, and the running statistics of a step."""

import importlib

import numpy as np
import torch
from torch import nn

from tests.pytorch import draw
from tests.pytorch.cases import NETS

EVALUATED = 2  # images, of those trained on


def build(group, case):
    """PyTorch's module; nothing is dropped."""
    net = NETS[group][case]
    made = importlib.import_module(f"tests.pytorch.{group}").build(net.classes, **net.theirs)
    for module in made.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return made


def shapes(group, case):
    """Name -> shape of the state dict, without making the weights."""
    with torch.device("meta"):
        return {name: list(value.shape) for name, value in build(group, case).state_dict().items()}


@torch.no_grad()
def results(group, case):
    """The arrays of a case."""
    net, theirs = NETS[group][case], build(group, case)
    state = draw.state({name: value.shape for name, value in theirs.state_dict().items()}, net.branches)
    theirs.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in state.items()}, strict=True)
    images = torch.from_numpy(draw.images(net.side, net.batch).transpose(0, 3, 1, 2).copy())
    out = {"evaluation": theirs.eval()(images[:EVALUATED]).numpy()}
    norms = {name: module for name, module in theirs.named_modules() if isinstance(module, nn.BatchNorm2d)}
    counts = {}
    for name, norm in norms.items():
        norm.register_forward_hook(lambda _, given, __, name=name: counts.update({name: given[0].numel() // given[0].shape[1]}))
    trained = theirs.train()(images).numpy()
    if norms or hasattr(theirs, "auxiliary"):
        out["training"] = trained
    if norms:
        out["counts"] = np.int32([counts[name] for name in norms])
        for kind in ("running_mean", "running_var"):
            found = {name: getattr(norm, kind).numpy() for name, norm in norms.items()}
            out[kind] = np.stack([draw.summary(f"{name}.{kind}", value) for name, value in found.items()])
    for number, scores in enumerate(getattr(theirs, "auxiliary", ()), 1):
        out[f"auxiliary{number}"] = scores.numpy()
    return out
