"""What segmentation needs beside other layers, as PyTorch has it; see tests/pytorch/layers.py."""

import torch
from torch import nn
from torch.nn import functional

from tests.pytorch.draw import uniform
from tests.pytorch.layers import nhwc, with_gradients

VOID, CLASSES = 9, 4
ENLARGED = ((5, 7, 10, 14), (4, 5, 13, 11), (3, 4, 3, 9))  # height and width before and after


def bilinear(sides):
    def function(x):
        return functional.interpolate(x, size=sides[2:], mode="bilinear", align_corners=False)

    return with_gradients(function, uniform("x", (1, *sides[:2], 2)))


def unpooled():
    """Other values than the maxima, at the places of the maxima."""
    pool, unpool = nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)

    def function(x):
        maxima, places = pool(x)
        return unpool(maxima * maxima + 1, places)

    return with_gradients(function, uniform("x", (1, 6, 8, 3)))


def dilated(dilation):
    def function(x, kernel):
        return functional.conv2d(x, kernel, padding=dilation, dilation=dilation)

    return with_gradients(function, uniform("x", (1, 9, 7, 16)), uniform("kernel", (3, 3, 16, 2)))


def labels():
    """Classes [2, 5, 6], about a fifth of them void."""
    drawn = (uniform("labels", (2, 5, 6)) + 1) / 2 * (CLASSES + 1)
    found = drawn.astype("int64")
    found[found >= CLASSES] = VOID
    return found


def weighted_cross_entropy():
    scores = torch.from_numpy(3 * uniform("scores", (2, 5, 6, CLASSES))).permute(0, 3, 1, 2).requires_grad_()
    weights = torch.from_numpy(1.5 + uniform("weights of classes", (CLASSES,)))
    loss = functional.cross_entropy(scores, torch.from_numpy(labels()), weight=weights, ignore_index=VOID)
    loss.backward()
    return {"loss": loss.detach().numpy()[None], "gradient": nhwc(scores.grad)}


CASES = {
    **{f"bilinear {a}x{b} to {c}x{d}": lambda sides=(a, b, c, d): bilinear(sides) for a, b, c, d in ENLARGED},
    "unpooled": unpooled,
    **{f"dilated {dilation}": lambda dilation=dilation: dilated(dilation) for dilation in (2, 3)},
    "weighted cross-entropy": weighted_cross_entropy,
}
