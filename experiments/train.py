"""Trains an experiment; started again in the same workdir, it goes on where it stopped.

    python -m experiments.train --config=configs/digits_lenet5.py:quick --workdir=runs/digits
    python -m experiments.train --config=configs/mnist_mlp.py --workdir=runs/mlp --config.replicas=3 --manual_dir=archives

Exit codes: 0 finished, 1 a mistake (one line on stderr), 75 stopped by SIGTERM, 130 stopped by Ctrl-C: after these two the same
command goes on.
"""

import sys
from pathlib import Path
from typing import Any

from absl import flags

from dl.signals import EXIT_CODES
from dl.training.run import begin, train
from experiments import program

__all__ = ["begin", "main", "summarise", "train"]

FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Trains, evaluates, and writes result and report; what stopped the run is in the exit code."""
    program.start_jax()
    from dl.training import trace

    profile = trace.parse(FLAGS.profile)
    workdir = Path(FLAGS.workdir).absolute()
    stopped, result = begin(FLAGS.config, workdir, FLAGS.data_dir, FLAGS.manual_dir, FLAGS.override_config, profile)
    if result:
        summarise(result, workdir)
    if stopped:
        sys.exit(EXIT_CODES[stopped])


def summarise(result: dict[str, Any], workdir: Path) -> None:
    """Prints what was reached and where the report is."""
    for split, metrics in result["metrics"].items():
        numbers = "  ".join(
            f"{name} {m['mean']:.4g}" + (f" ± {m['std']:.2g}" if len(m["values"]) > 1 else "") for name, m in metrics.items()
        )
        print(f"{split}  {numbers}")
        if "error" in metrics:
            print(f"{split} error: {100 * metrics['error']['mean']:.2f} %")
    print(f"{result['parameters']:,} parameters, {result['steps']:,} steps, {result['wall_seconds']:.1f} s of training")
    print(f"report: {workdir / 'report' / 'index.html'}")


if __name__ == "__main__":
    program.define_config()
    program.define_data()
    program.define_processes()
    flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
    flags.register_validator("workdir", bool, "--workdir is empty: give the folder of the run.")
    flags.DEFINE_bool("override_config", False, "Go on in a workdir that holds another configuration.")
    flags.DEFINE_string("profile", "", "FROM:TO: write a trace of these steps to the workdir's folder profile.")
    program.run(main)
