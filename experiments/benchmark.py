"""Times training steps of this code beside PyTorch's eager mode, the two taking turns in one process.

    ./dev install torch
    python -m experiments.benchmark                      # all cases
    python -m experiments.benchmark --cases=lenet5 --rounds=9 --json=benchmark.json
    python -m experiments.benchmark --cases=input --images=FOLDER --size=224

A step is what the engine does in training: gather, convert, forward, backward, optimizer, metrics. PyTorch gets its batch as
a ready tensor. `ratio` is PyTorch's time over this code's, the median over the rounds: above 1 is faster than PyTorch. `loop`
is the time of a step in the real loop, with reading, logging and progress, over that of the step alone, timed before and after
it, as a machine that others share is not equally fast for a minute; the median of three. `load` is how many
processes wanted a processor in the last minute: other programs slow both down, and not always alike.

The case `input` times reading alone (`experiments.benchmark_input`): batches of 128 random windows of JPEGs, with 0, 1 and 2
workers, beside PyTorch's DataLoader. `--images` names a folder of them; without it, some of 128x128 are made, for `--size=112`,
and some of 375x500, for 224.

The case `words` times skip-gram beside gensim, in words a second of the whole loop (`experiments.benchmark_words`;
`./dev install gensim`). `--text` names a text file; without it, one is made.
"""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict

from dl.errors import UserError, unknown
from experiments import benchmark_input, benchmark_words, program
from experiments.benchmark_cases import CASES

FLAGS = flags.FLAGS
LOOP_SECONDS, LOOP_ROUNDS = 20, 3  # of a slow case; how often it takes turns with the bare step
INPUT, WORDS = "input", "words"
MADE = {112: (128, 128), 224: (375, 500)}  # size of the windows -> of the images that are made for it


def jax_step(config: ConfigDict) -> tuple[Callable[[], Any], int]:
    """A dispatch of the engine on one block of batches, and how many steps it takes."""
    import jax
    import numpy as np

    from dl.training.assembly import assemble
    from dl.training.feed import feeds
    from dl.training.loop import compile_dispatches

    experiment = assemble(config)
    fed = feeds(experiment.task.phases, experiment.streams(), experiment.mesh, config.steps_per_dispatch)
    creation = experiment.creation()
    taken = compile_dispatches(experiment, fed, creation.target)[0]
    batch, count = fed[0].read(0, config.steps_per_dispatch), jax.device_put(np.int32(config.steps_per_dispatch))
    constants, state = fed[0].constants(), creation.make()

    def step() -> Any:
        nonlocal state
        state, metrics = taken(state, constants, batch, count)
        return jax.block_until_ready(metrics)

    return step, config.steps_per_dispatch


def loop_seconds(config: ConfigDict, steps: int) -> float:
    """Seconds of a step in the real loop; from the second log line on, when everything is compiled."""
    from dl.training.assembly import assemble
    from dl.training.loop import train
    from dl.training.progress import Progress
    from dl.training.workdir import read_metrics

    config.steps = max(steps, 5 * config.log_every)
    with tempfile.TemporaryDirectory() as folder:
        train(assemble(config), Path(folder), Progress(config.steps, enabled=False))
        lines = [line for line in read_metrics(Path(folder)) if line["split"] == "train"]
    return (lines[-2]["seconds"] - lines[1]["seconds"]) / (lines[-2]["step"] - lines[1]["step"])


def timed(function: Callable[[], Any], seconds: float) -> float:
    """Mean seconds of a call, of as many as fit into so many seconds."""
    calls, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds:
        function()
        calls += 1
    return spent / calls


def measure(name: str, rounds: int, seconds: float, loop_steps: int) -> dict[str, Any]:
    """Times a case; all figures in milliseconds a step, medians over the rounds."""
    torch, case = _torch(), CASES[name]
    config = case.config()
    (ours, steps), theirs = jax_step(config), case.torch_step(torch, config.batch_size)
    ours(), theirs()
    pairs = [(timed(ours, seconds) / steps, timed(theirs, seconds)) for _ in range(rounds)]
    step = statistics.median(a for a, _ in pairs)
    loops = []
    for _ in range(LOOP_ROUNDS):
        before = timed(ours, seconds)
        loop = loop_seconds(config, min(loop_steps, int(LOOP_SECONDS / step)))
        loops.append(2 * steps * loop / (before + timed(ours, seconds)))
    return {
        "case": name,
        "ours_ms": 1e3 * step,
        "torch_ms": 1e3 * statistics.median(b for _, b in pairs),
        "ratio": statistics.median(b / a for a, b in pairs),
        "loop": statistics.median(loops),
        "load": os.getloadavg()[0],
    }


def measure_input(folder: str, size: int, rounds: int, seconds: float) -> Iterator[dict[str, Any]]:
    """Times reading; a row for each size and number of workers, in milliseconds a batch, medians over the rounds."""
    torch = _torch()
    with tempfile.TemporaryDirectory() as made:
        for side in (size,) if folder else MADE:
            if folder:
                paths = benchmark_input.found(Path(folder).expanduser())
            else:
                (Path(made) / str(side)).mkdir()
                paths = benchmark_input.images(Path(made) / str(side), MADE[side])
            for workers in benchmark_input.WORKERS:
                both = benchmark_input.ours(paths, side, workers), benchmark_input.torch_loader(torch, paths, side, workers)
                pairs = [[_turn(read, seconds) for read in both] for _ in range(rounds)]
                yield {
                    "case": f"{INPUT}{side}/{workers}",
                    "ours_ms": 1e3 * statistics.median(a for a, _ in pairs),
                    "torch_ms": 1e3 * statistics.median(b for _, b in pairs),
                    "ratio": statistics.median(b / a for a, b in pairs),
                    "images_per_second": benchmark_input.BATCH / statistics.median(a for a, _ in pairs),
                    "load": os.getloadavg()[0],
                }


def _turn(read: Callable[[], Any], seconds: float) -> float:
    for _ in range(benchmark_input.DRAINED):
        read()
    return timed(read, seconds)


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise UserError("the benchmark needs PyTorch: ./dev install torch") from error
    return torch


def _rows(name: str) -> Iterator[dict[str, Any]]:
    if name == WORDS:
        yield benchmark_words.measure(FLAGS.text, FLAGS.rounds)
    elif name == INPUT:
        yield from measure_input(FLAGS.images, FLAGS.size, FLAGS.rounds, FLAGS.seconds)
    else:
        yield measure(name, FLAGS.rounds, FLAGS.seconds, FLAGS.loop_steps)


def main(argv: list[str]) -> None:
    """Prints a table, and writes JSON where asked to."""
    for name in FLAGS.cases:
        if name not in (*CASES, INPUT, WORDS):
            raise unknown("case", name, (*CASES, INPUT, WORDS))
    program.start_jax()
    rows = []
    print(f"{'case':10s} {'ours ms':>9s} {'torch ms':>9s} {'ratio':>6s} {'loop':>6s} {'load':>5s}")
    for name in FLAGS.cases or (*CASES, INPUT):
        for r in _rows(name):
            rows.append(r)
            if name == WORDS:
                speeds = f"{r['words_per_second']:,.0f} words/s, gensim {r['gensim_words_per_second']:,.0f}"
                print(f"{r['case']:10s} {speeds}, ratio {r['ratio']:.2f}, load {r['load']:.1f}", flush=True)
                continue
            loop = f"{r['loop']:6.3f}" if "loop" in r else f"{'':6s}"
            print(
                f"{r['case']:10s} {r['ours_ms']:9.3f} {r['torch_ms']:9.3f} {r['ratio']:6.2f} {loop} {r['load']:5.1f}",
                flush=True,
            )
    if FLAGS.json:
        Path(FLAGS.json).write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    flags.DEFINE_list("cases", [], f"Which cases: {', '.join((*CASES, INPUT, WORDS))}; all but words if none is named.")
    flags.DEFINE_integer("rounds", 7, "How often the two take turns.", lower_bound=1)
    flags.DEFINE_float("seconds", 1.5, "Seconds of each turn.", lower_bound=0.01)
    flags.DEFINE_integer(
        "loop_steps", 2000, f"Steps of the real loop, or as many as take {LOOP_SECONDS} seconds.", lower_bound=500
    )
    flags.DEFINE_string("images", "", "For the case input: a folder of JPEGs; some are made where none is given.")
    flags.DEFINE_integer("size", 112, "For the case input with --images: the side of the windows.", lower_bound=1)
    flags.DEFINE_string("text", "", "For the case words: a text file, a text a line; one is made where none is given.")
    flags.DEFINE_string("json", "", "A file for the figures.")
    program.run(main)
