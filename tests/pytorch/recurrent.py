"""Recurrent layers of PyTorch with drawn weights: outputs, last states and gradients, also of sequences of several lengths."""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from tests.pytorch.cases import LENGTHS, B, D, H, T
from tests.pytorch.draw import uniform

CELLS = {
    "elman": lambda *sizes, **settings: nn.RNN(*sizes, **settings),
    "irnn": lambda *sizes, **settings: nn.RNN(*sizes, nonlinearity="relu", **settings),
    "lstm": nn.LSTM,
    "gru_after": nn.GRU,
}


def filled(layer):
    """Parameters by their names. Of the recurrent biases, of which there are two in all, a GRU's last third alone counts."""
    with torch.no_grad():
        for name, value in layer.named_parameters():
            drawn = torch.from_numpy(uniform(name, tuple(value.shape)))
            if name.startswith("bias_hh"):
                drawn[: 2 * H if isinstance(layer, nn.GRU) else None] = 0
            value.copy_(drawn)
    return layer


def one_layer(cell):
    """The gradient is of the sum of squares of the outputs."""
    layer, x = filled(CELLS[cell](D, H)), torch.from_numpy(uniform("x", (T, B, D))).requires_grad_()
    states = tuple(torch.from_numpy(uniform(name, (1, B, H))) for name in ("h", "c"))
    outputs, last = layer(x, states if cell == "lstm" else states[0])
    (outputs**2).sum().backward()
    last = last if cell == "lstm" else (last,)
    return {
        "outputs": outputs.detach().numpy(),
        **{f"last{number}": state[0].detach().numpy() for number, state in enumerate(last)},
        "to_x": x.grad.numpy(),
        **{f"to_{name}": value.grad.numpy() for name, value in layer.named_parameters()},
    }


@torch.no_grad()
def stack(cell):
    """Two layers, each in both directions, of sequences of several lengths: outputs [B, T, 2 H] and the last h."""
    layer, x = filled(CELLS[cell](D, H, num_layers=2, bidirectional=True)), torch.from_numpy(uniform("x", (T, B, D)))
    outputs, last = layer(pack_padded_sequence(x, LENGTHS, enforce_sorted=False))
    padded, _ = pad_packed_sequence(outputs, batch_first=True)
    return {"outputs": padded.numpy(), "last": (last[0] if cell == "lstm" else last).numpy()}


CASES = {
    **{cell: lambda cell=cell: one_layer(cell) for cell in CELLS},
    **{f"{cell}, stack": lambda cell=cell: stack(cell) for cell in ("lstm", "gru_after")},
}
