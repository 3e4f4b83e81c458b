"""Times training steps of this code beside PyTorch's eager mode, the two taking turns in one process.

    ./dev install torch
    python -m experiments.benchmark                      # all cases
    python -m experiments.benchmark --cases=lenet5 --rounds=9 --json=benchmark.json

A step is what the engine does in training: gather, convert, forward, backward, optimizer, metrics. PyTorch gets its batch as
a ready tensor. `ratio` is PyTorch's time over this code's, the median over the rounds: above 1 is faster than PyTorch. `loop`
is the time of a step in the real loop, with reading, logging and progress, over that of the step alone.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags
from ml_collections import ConfigDict

from dl.errors import UserError, unknown
from experiments import program

FLAGS = flags.FLAGS


class Case(NamedTuple):
    """A configuration and the PyTorch step that does the same: `(torch, batch size) -> step()`."""

    config: Callable[[], ConfigDict]
    torch_step: Callable[[Any, int], Callable[[], Any]]


def mlp_config() -> ConfigDict:
    """784-512-10, ReLU, batch 128, SGD, on random bytes."""
    from dl.config import base

    config = base()
    config.update(steps=10**6, batch_size=128, steps_per_dispatch=20, log_every=100)
    config.model = ConfigDict({"name": "mlp", "hidden": (512,)})
    config.dataset.update(name="random_images", shape=(28, 28, 1))
    return config


def lenet5_config() -> ConfigDict:
    """LeNet-5 in its modern form, batch 128, Adam, on random bytes."""
    config = mlp_config()
    config.update(steps_per_dispatch=16, log_every=96)
    config.model = ConfigDict({"name": "lenet5_modern"})
    config.dataset.shape = (32, 32, 1)
    config.optimizer.update(name="adam", learning_rate=1e-3)
    return config


def dcgan_config() -> ConfigDict:
    """DCGAN of 28x28 images, width 64, batch 64, Adam, a step of each player, on random bytes."""
    config = mlp_config()
    config.update(batch_size=64, steps_per_dispatch=4, log_every=40)
    config.model = ConfigDict({"name": "dcgan", "width": 64})
    config.task = ConfigDict({"name": "adversarial"})
    config.optimizer.update(name="adam", learning_rate=2e-4, b1=0.5)
    return config


def torch_mlp(torch: Any, batch: int) -> Callable[[], Any]:
    """PyTorch's step of `mlp_config`."""
    nn = torch.nn
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10))
    return _torch_step(torch, model, torch.optim.SGD(model.parameters(), 0.1), (batch, 1, 28, 28))


def torch_lenet5(torch: Any, batch: int) -> Callable[[], Any]:
    """PyTorch's step of `lenet5_config`."""
    nn = torch.nn
    convolutions = (nn.Conv2d(1, 6, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(6, 16, 5), nn.MaxPool2d(2), nn.ReLU())
    dense = (nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))
    model = nn.Sequential(*convolutions, *dense)
    return _torch_step(torch, model, torch.optim.Adam(model.parameters(), 1e-3), (batch, 1, 32, 32))


def torch_dcgan(torch: Any, batch: int) -> Callable[[], Any]:
    """PyTorch's step of `dcgan_config`."""
    nn, softplus = torch.nn, torch.nn.functional.softplus

    def down(inputs: int, features: int) -> Any:
        return nn.Conv2d(inputs, features, 4, 2, 1, bias=False)

    def up(inputs: int, features: int) -> Any:
        return nn.ConvTranspose2d(inputs, features, 4, 2, 1, bias=False)

    start = (nn.Linear(100, 7 * 7 * 128, bias=False), nn.Unflatten(1, (128, 7, 7)), nn.BatchNorm2d(128), nn.ReLU())
    generator = nn.Sequential(*start, up(128, 64), nn.BatchNorm2d(64), nn.ReLU(), up(64, 1), nn.Tanh())
    convolutions = (down(1, 64), nn.LeakyReLU(0.2), down(64, 128), nn.BatchNorm2d(128), nn.LeakyReLU(0.2))
    discriminator = nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(7 * 7 * 128, 1, bias=False))
    of_g, of_d = (torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999)) for net in (generator, discriminator))
    images = torch.rand((batch, 1, 28, 28))

    def step() -> Any:
        of_d.zero_grad()
        fake = generator(torch.randn(batch, 100)).detach()
        loss = softplus(-discriminator(images)).mean() + softplus(discriminator(fake)).mean()
        loss.backward()
        of_d.step()
        of_g.zero_grad()
        softplus(-discriminator(generator(torch.randn(batch, 100)))).mean().backward()
        of_g.step()
        return loss.item()

    return step


def _torch_step(torch: Any, model: Any, optimizer: Any, shape: tuple[int, ...]) -> Callable[[], Any]:
    images, labels = torch.rand(shape), torch.randint(10, shape[:1])

    def step() -> Any:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


CASES = {
    "mlp": Case(mlp_config, torch_mlp),
    "lenet5": Case(lenet5_config, torch_lenet5),
    "dcgan": Case(dcgan_config, torch_dcgan),
}


def jax_step(config: ConfigDict) -> tuple[Callable[[], Any], int]:
    """A dispatch of the engine on one block of batches, and how many steps it takes."""
    import jax

    from dl.data.pipeline import read_block
    from dl.experiment import assemble
    from dl.training import mesh as meshes
    from dl.training.step import dispatch

    experiment = assemble(config)
    stream = experiment.streams()["train"]
    one = dispatch(experiment.task, experiment.task.phases[0], stream.prepare, config.microbatches, config.ema)
    lifted = jax.jit(meshes.per_replica(one, experiment.mesh, config.replicate, (True, False, True)), donate_argnums=0)
    batch = read_block(stream, experiment.mesh, 0, config.steps_per_dispatch)
    state = experiment.initial_state()

    def step() -> Any:
        nonlocal state
        state, metrics = lifted(state, stream.constants, batch)
        return jax.block_until_ready(metrics)

    return step, config.steps_per_dispatch


def loop_seconds(config: ConfigDict, steps: int) -> float:
    """Seconds of a step in the real loop; from the second log line on, when everything is compiled."""
    from dl.experiment import assemble
    from dl.training.loop import train
    from dl.training.progress import Progress
    from dl.training.workdir import read_metrics

    config.steps = steps
    with tempfile.TemporaryDirectory() as folder:
        train(assemble(config), Path(folder), Progress(steps, enabled=False))
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
    try:
        import torch
    except ImportError as error:
        raise UserError("the benchmark needs PyTorch: ./dev install torch") from error
    case = CASES[name]
    config = case.config()
    (ours, steps), theirs = jax_step(config), case.torch_step(torch, config.batch_size)
    ours(), theirs()
    pairs = [(timed(ours, seconds) / steps, timed(theirs, seconds)) for _ in range(rounds)]
    step = statistics.median(a for a, _ in pairs)
    return {
        "case": name,
        "ours_ms": 1e3 * step,
        "torch_ms": 1e3 * statistics.median(b for _, b in pairs),
        "ratio": statistics.median(b / a for a, b in pairs),
        "loop": loop_seconds(config, loop_steps) / step,
    }


def main(argv: list[str]) -> None:
    """Prints a table, and writes JSON where asked to."""
    for name in FLAGS.cases:
        if name not in CASES:
            raise unknown("case", name, CASES)
    program.start_jax()
    rows = []
    print(f"{'case':10s} {'ours ms':>9s} {'torch ms':>9s} {'ratio':>6s} {'loop':>6s}")
    for name in FLAGS.cases or CASES:
        rows.append(measure(name, FLAGS.rounds, FLAGS.seconds, FLAGS.loop_steps))
        r = rows[-1]
        print(f"{name:10s} {r['ours_ms']:9.3f} {r['torch_ms']:9.3f} {r['ratio']:6.2f} {r['loop']:6.3f}", flush=True)
    if FLAGS.json:
        Path(FLAGS.json).write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    flags.DEFINE_list("cases", [], f"Which cases: {', '.join(CASES)}; all if none is named.")
    flags.DEFINE_integer("rounds", 7, "How often the two take turns.", lower_bound=1)
    flags.DEFINE_float("seconds", 1.5, "Seconds of each turn.", lower_bound=0.01)
    flags.DEFINE_integer("loop_steps", 2000, "Steps of the real loop.", lower_bound=500)
    flags.DEFINE_string("json", "", "A file for the figures.")
    program.run(main)
