"""PyTorch's schedules: the learning rate of each update of a run (of 40 where nothing else is said), whose highest is 0.5."""

import numpy as np
import torch
from torch.optim import lr_scheduler as schedules

STEPS, RATE = 40, 0.5


def rates(make, steps=STEPS):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], RATE)
    schedule, seen = make(optimizer), []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return {"rates": np.float32(seen)}


def warmed_up(o):
    parts = [schedules.LinearLR(o, 0.2, 1.0, 8), schedules.CosineAnnealingLR(o, STEPS - 8)]
    return schedules.SequentialLR(o, parts, [8])


def one_cycle(steps=STEPS, **settings):
    """The published cycle: the first update has the first rate, the last one the last."""
    settings = {"total_steps": steps, "cycle_momentum": False, **settings}
    return rates(lambda o: schedules.OneCycleLR(o, RATE, **settings), steps)


def three_phases(**settings):
    return one_cycle(anneal_strategy="linear", three_phase=True, **settings)


CASES = {
    "step": lambda: rates(lambda o: schedules.MultiStepLR(o, [10, 25], 0.2)),
    "cosine": lambda: rates(lambda o: schedules.CosineAnnealingLR(o, STEPS, RATE / 10)),
    "linear": lambda: rates(lambda o: schedules.LinearLR(o, 1.0, 0.1, STEPS)),
    "polynomial": lambda: rates(lambda o: schedules.PolynomialLR(o, STEPS, 0.9)),
    "exponential": lambda: rates(lambda o: schedules.ExponentialLR(o, 0.95)),
    "staircase": lambda: rates(lambda o: schedules.StepLR(o, 10, 0.5)),
    "warm-up": lambda: rates(warmed_up),
    "one cycle": one_cycle,
    "one cycle, set": lambda: one_cycle(pct_start=0.25, div_factor=10, final_div_factor=100),
    "one cycle, linear": lambda: three_phases(pct_start=0.3),
    **{f"one cycle of {n}": lambda n=n, start=start: one_cycle(n, pct_start=start) for n, start in ((5, 0.45), (37, 0.23))},
    **{
        f"one cycle of {n}, linear": lambda n=n, start=start: three_phases(steps=n, pct_start=start)
        for n, start in ((10, 0.45), (37, 0.23))
    },
}
