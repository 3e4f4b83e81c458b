"""Layers of PyTorch: what they give for drawn inputs, and gradients, in our order of axes.

A gradient is that of the sum of the outputs times drawn weights ("weights" of the outputs' shape).
"""

import torch
from torch import nn
from torch.nn import functional

from tests.pytorch.draw import correlated, uniform

POOLED = ((6, 6), (12, 6), (13, 7), (5, 1), (2, 17))
TRANSPOSED = {2: (0, 0), 3: (1, 1), 4: (1, 0), 5: (2, 1)}  # side of the kernel: padding, output padding for twice the image


def nchw(array):
    return torch.from_numpy(array.transpose(0, 3, 1, 2).copy())


def oihw(array):
    return torch.from_numpy(array.transpose(3, 2, 0, 1).copy())


def nhwc(tensor):
    return tensor.detach().numpy().transpose(0, 2, 3, 1)


def with_gradients(function, x, kernel=None):
    """The outputs, and gradients with respect to the image and, where there is one, the kernel [m, n, i, o]."""
    given = [nchw(x).requires_grad_()] + ([] if kernel is None else [oihw(kernel).requires_grad_()])
    y = function(*given)
    made = nhwc(y)
    (y * nchw(uniform("weights", made.shape))).sum().backward()
    out = {"outputs": made, "to_x": nhwc(given[0].grad)}
    return out if kernel is None else {**out, "to_kernel": given[1].grad.numpy().transpose(2, 3, 1, 0)}


def response_normalisation():
    """PyTorch divides alpha by n."""
    x = 30 * uniform("x", (2, 3, 4, 11))
    return with_gradients(nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0), x)


def adaptive_average(sides):
    return with_gradients(nn.AdaptiveAvgPool2d((6, 4)), uniform("x", (2, *sides, 3)))


def ceil_pool(kind):
    function = nn.MaxPool2d(3, 2, ceil_mode=True) if kind == "max" else nn.AvgPool2d(3, 2, ceil_mode=True)
    return with_gradients(function, uniform("x", (2, 6, 9, 3)))


def convolution():
    def function(x, kernel):
        return functional.conv2d(x, kernel, stride=(2, 1), padding=(2, 1), dilation=(2, 1), groups=2)

    return with_gradients(function, uniform("x", (2, 9, 7, 4)), uniform("kernel", (3, 2, 2, 6)))


def transposed(side):
    """PyTorch's kernel is ours turned by 180 degrees."""
    padding, more = TRANSPOSED[side]

    def function(x, kernel):
        turned = kernel.transpose(0, 1).flip(2, 3)
        return functional.conv_transpose2d(x, turned, stride=2, padding=padding, output_padding=more)

    return with_gradients(function, uniform("x", (1, 3, 4, 2)), uniform("kernel", (side, side, 2, 3)))


def enlarged(side):
    """With a weight [o, i, m, n] of our own layout, turned: "SAME" of twice the size is cut out of what this padding leaves."""
    weight = torch.from_numpy(uniform("weight", (3, 2, side, side)))
    x = nchw(uniform("x", (1, 3, 4, 2)))
    made = functional.conv_transpose2d(x, weight.transpose(0, 1).flip(2, 3), stride=2, padding=side // 2 - 1)
    return {"outputs": nhwc(made)[:, :6, :8]}


def one_bright_pixel(side):
    """At row and column 1 of 4: what a kernel of ones makes of it."""
    padding, more = TRANSPOSED[side]
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 1, 1] = 1
    kernel = torch.ones(1, 1, side, side)
    return {"outputs": functional.conv_transpose2d(x, kernel, stride=2, padding=padding, output_padding=more)[0, 0].numpy()}


def whitening():
    """Airbench's recipe on 2x2 patches: filters [12, 12], each in a column, up to their signs."""
    images = torch.from_numpy(correlated()).permute(0, 3, 1, 2).double()
    patches = functional.unfold(images, 2).transpose(1, 2).reshape(-1, 12)  # channels, rows, columns
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    found = (vectors / torch.sqrt(values + 5e-4)).flip(1).reshape(3, 2, 2, 12).permute(1, 2, 0, 3).reshape(12, 12)
    return {"filters": (found * torch.sign(found.sum(0))).float().numpy()}


def batch_norm():
    """Of one batch: what it gives in training and, with the running statistics then, in evaluation."""
    x, norm = uniform("x", (3, 4, 5, 6)), nn.BatchNorm2d(6)
    with torch.no_grad():
        for name, value in norm.named_parameters():
            value.copy_(torch.from_numpy(1 + uniform(name, (6,)) / 2))
    out = with_gradients(norm, x)
    out |= {name: getattr(norm, name).numpy().copy() for name in ("running_mean", "running_var")}
    out |= {f"to_{name}": value.grad.numpy() for name, value in norm.named_parameters()}
    return {**out, "evaluation": nhwc(norm.eval()(nchw(x)))}


def cross_entropy(smoothing):
    scores = torch.from_numpy(3 * uniform("scores", (5, 7))).requires_grad_()
    loss = functional.cross_entropy(scores, torch.arange(5), reduction="none", label_smoothing=smoothing)
    loss.sum().backward()
    return {"loss": loss.detach().numpy(), "gradient": scores.grad.numpy()}


CASES = {
    "response normalisation": response_normalisation,
    **{f"adaptive average {a}x{b}": lambda sides=(a, b): adaptive_average(sides) for a, b in POOLED},
    **{f"ceil pool, {kind}": lambda kind=kind: ceil_pool(kind) for kind in ("max", "average")},
    "convolution": convolution,
    **{f"transposed {side}": lambda side=side: transposed(side) for side in TRANSPOSED},
    **{f"transposed {side}, one bright pixel": lambda side=side: one_bright_pixel(side) for side in TRANSPOSED},
    **{f"enlarged {side}": lambda side=side: enlarged(side) for side in (3, 4, 5)},
    "whitening": whitening,
    "batch norm": batch_norm,
    **{f"cross entropy {smoothing}": lambda smoothing=smoothing: cross_entropy(smoothing) for smoothing in (0.0, 0.1)},
}
