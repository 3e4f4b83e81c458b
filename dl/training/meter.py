"""Metrics of the steps since the last line: they stay on the device until a line is due, then are checked and averaged."""

import time
from typing import Any

import jax
import numpy as np

from dl.errors import UserError
from dl.task import Metrics
from dl.training.plan import Block


class Meter:
    """Collects the metrics of dispatches.

    Args:
        examples: a step, over all replicas; they give the speed.
        seconds: what earlier starts of the run took.
    """

    def __init__(self, examples: int, seconds: float):
        self.examples = examples
        self.seconds = seconds
        self.pending: list[tuple[Block, Metrics]] = []
        self.since = time.perf_counter()
        self.steps = 0

    def add(self, block: Block, metrics: Metrics) -> None:
        """Remembers the metrics [replicas, steps] of a dispatch, without waiting for it."""
        self.pending.append((block, metrics))
        self.steps += block.end - block.start

    def flush(self, kept: str) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        """Means since the last flush: name -> [replicas], and `examples_per_second` and `seconds` (of training, in all).

        Args:
            kept: what is saved, for the message.

        Raises:
            UserError: a metric was NaN or infinite; the message names it and the first such step.
        """
        values: list[tuple[Block, dict[str, Any]]] = [(b, jax.device_get(m)) for b, m in self.pending]
        now = time.perf_counter()
        duration = now - self.since
        self.seconds += duration
        speed = {"examples_per_second": round(self.steps * self.examples / duration, 1), "seconds": round(self.seconds, 3)}
        self.pending, self.since, self.steps = [], now, 0
        for block, metrics in values:
            _check_finite(block, metrics, kept)
        means: dict[str, np.ndarray] = {}
        for name in dict.fromkeys(n for _, metrics in values for n in metrics):
            pairs = [metrics[name] for _, metrics in values if name in metrics]
            total = sum(np.asarray(s, np.float64).sum(-1) for s, _ in pairs)
            count = sum(np.asarray(c, np.float64).sum(-1) for _, c in pairs)
            means[name] = np.asarray(total / np.maximum(count, 1e-30))
        return means, speed

    def skip(self) -> None:
        """Leaves the time since the last flush (of an evaluation, say) out of the speed, but not out of the total."""
        now = time.perf_counter()
        self.seconds += now - self.since
        self.since = now


def _check_finite(block: Block, metrics: dict[str, Any], kept: str) -> None:
    bad = {name: ~np.isfinite(np.asarray(total)) for name, (total, _) in metrics.items()}
    first = min((int(np.argwhere(b.any(0))[0, 0]) for b in bad.values() if b.any()), default=None)
    if first is None:
        return
    for name in sorted(bad, key=lambda name: (name.startswith("gradient_norm/"), "/" in name)):  # what is best known, first
        where = bad[name]
        if where[:, first].any():
            replica = int(np.argwhere(where[:, first])[0, 0])
            value = float(np.asarray(metrics[name][0])[replica, first])
            raise UserError(
                f"stopped at step {block.start + first + 1}: the metric {name!r} of replica {replica} is {value} ({kept}). "
                "Lower the learning rate, clip the gradient (config.optimizer.clip_norm) or look for NaN in the data."
            )
