"""Metrics of the steps since the last line: they stay on the device until a line is due, then are checked and averaged."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from dl.errors import UserError
from dl.training.plan import Block
from dl.training.step import Packed

Sums = dict[str, list[np.ndarray]]  # name -> [sum, count], each float64 [replicas]
Speed = dict[str, float]


class Meter:
    """Collects the metrics of dispatches.

    Args:
        examples: a step of each phase, over all replicas, or of all phases; they give the speed.
        seconds: what earlier starts of the run took.
        sums: sums over the steps before the first that is added, where an earlier start stopped between two lines.
        clock: seconds, from any origin.
    """

    def __init__(
        self,
        examples: float | Sequence[float],
        seconds: float,
        sums: Mapping[str, Any] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ):
        self.examples, self.seconds, self.clock = examples, seconds, clock
        self.sums: Sums = {name: [np.asarray(x, np.float64) for x in pair] for name, pair in (sums or {}).items()}
        self.pending: list[tuple[Block, Packed]] = []
        self.since = clock()
        self.taken, self.duration = 0.0, 0.0  # examples and time since the last line, without pauses

    def add(self, block: Block, metrics: Packed) -> None:
        """Remembers the metrics [replicas, K, M, 2] of a dispatch, without waiting for it."""
        self.pending.append((block, metrics))
        each = self.examples[block.phase] if isinstance(self.examples, Sequence) else self.examples
        self.taken += (block.end - block.start) * each

    def collect(self, kept: str) -> Sums:
        """Sums and counts since the last line, once the steps are taken.

        Args:
            kept: what is saved, for the message.

        Raises:
            UserError: a metric was NaN or infinite; the message names it and the first such step.
        """
        for block, metrics in self.pending:
            values = np.asarray(jax.device_get(metrics.values))[:, : block.end - block.start]
            _check_finite(block, metrics.names, values, kept)
            total = values.astype(np.float64).sum(1)  # [replicas, M, 2]
            for m, name in enumerate(metrics.names):
                before = self.sums.get(name, [np.float64(0), np.float64(0)])
                self.sums[name] = [before[0] + total[:, m, 0], before[1] + total[:, m, 1]]
        self.pending = []
        return self.sums

    def flush(self, kept: str) -> tuple[dict[str, np.ndarray], Speed]:
        """Means since the last flush: name -> [replicas], and `examples_per_second` and `seconds` (of training, in all).

        A metric that nothing was counted for is left out. Raises UserError as `collect`.
        """
        sums = self.collect(kept)
        self.pause()
        speed = {
            "examples_per_second": round(self.taken / max(self.duration, 1e-9), 1),
            "seconds": round(self.seconds, 3),
        }
        self.sums, self.taken, self.duration = {}, 0.0, 0.0
        return {name: total / count for name, (total, count) in sums.items() if np.all(count)}, speed

    def pause(self) -> None:
        """The time until now was training."""
        now = self.clock()
        self.duration += now - self.since
        self.seconds += now - self.since
        self.since = now

    def skip(self) -> None:
        """The time since the last pause or line was not training (but an evaluation): it counts in the total alone."""
        now = self.clock()
        self.seconds += now - self.since
        self.since = now


def _check_finite(block: Block, names: tuple[str, ...], values: np.ndarray, kept: str) -> None:
    bad = ~np.isfinite(values[..., 0])  # [replicas, steps, M]
    if not bad.any():
        return
    step = int(np.argwhere(bad.any((0, 2)))[0, 0])
    known = sorted(
        range(len(names)), key=lambda m: (names[m].startswith("gradient_norm/"), "/" in names[m])
    )  # best known first
    m = next(m for m in known if bad[:, step, m].any())
    replica = int(np.argwhere(bad[:, step, m])[0, 0])
    raise UserError(
        f"stopped at step {block.start + step + 1}: the metric {names[m]!r} of replica {replica} is "
        f"{values[replica, step, m, 0]} ({kept}). Lower the learning rate, clip the gradient (config.optimizer.clip_norm) or "
        "look for NaN in the data."
    )
