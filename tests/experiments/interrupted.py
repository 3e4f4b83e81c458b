"""Trains a config twice in one process, undisturbed and stopped by SIGTERM half-way, and evaluates the second.

    python -m tests.experiments.interrupted --config=configs/mnist_mlp.py:smoke --workdir=FOLDER

The workdirs are FOLDER/undisturbed and FOLDER/stopped. Prints what the evaluation found, as `experiments.evaluate --json` does.
"""

import json
import signal
from pathlib import Path
from unittest import mock

from absl import flags

from dl.training import progress
from dl.training.workdir import read_config, statistics
from experiments import program
from experiments.evaluate import evaluate
from experiments.train import begin

FLAGS = flags.FLAGS


class Stopping(progress.Progress):
    """Sends SIGTERM to its own process after the first dispatch that passes the middle."""

    def advance(self, step: int) -> None:
        super().advance(step)
        if self.total // 2 < step:
            signal.raise_signal(signal.SIGTERM)


def main(argv: list[str]) -> None:
    program.start_jax()
    undisturbed, stopped = (Path(FLAGS.workdir) / name for name in ("undisturbed", "stopped"))

    def run(workdir: Path) -> str:
        return begin(FLAGS.config.copy_and_resolve_references(), workdir, None, FLAGS.manual_dir)[0]

    with mock.patch.object(progress, "Progress", Stopping):
        assert run(stopped) == "SIGTERM" and not (stopped / "result.json").exists()
    assert run(stopped) == run(undisturbed) == ""
    reached = json.loads((stopped / "result.json").read_text())["metrics"]
    split = "test" if "test" in reached else next(iter(reached))
    step, metrics = evaluate(read_config(stopped), stopped, split, "latest", True, None, FLAGS.manual_dir)
    print(json.dumps({"step": step, "split": split, **{name: statistics(values) for name, values in metrics.items()}}))


if __name__ == "__main__":
    program.define_config()
    program.define_data()
    flags.DEFINE_string("workdir", None, "Folder of both runs.", required=True)
    program.run(main)
