"""Evaluates a trained run on one of its splits.

    python -m experiments.evaluate --workdir=runs/mnist
    python -m experiments.evaluate --workdir=runs/mnist --split=train --checkpoint=best
    python -m experiments.evaluate --workdir=runs/mnist --noema --set test_time.samples=16

Prints the metrics, mean and standard deviation over the replicas; `--json` prints them for programs.
"""

import ast
import json
import sys
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict

from dl.errors import UserError
from experiments import program

FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Restores, evaluates, prints."""
    program.start_jax()
    from dl.training.workdir import read_config, statistics

    workdir = Path(FLAGS.workdir).absolute()
    config = read_config(workdir)
    said = override(config, FLAGS.set)
    step, metrics = evaluate(config, workdir, FLAGS.split, FLAGS.checkpoint, FLAGS.ema, FLAGS.data_dir, FLAGS.manual_dir)
    numbers = {name: statistics(values) for name, values in metrics.items()}
    program.tell(said, sys.stderr if FLAGS.json else None)
    if FLAGS.json:
        print(json.dumps({"step": step, "split": FLAGS.split, "checkpoint": FLAGS.checkpoint, **numbers}))
        return
    print(f"{FLAGS.split}, step {step}")
    for name, n in numbers.items():
        print(f"  {name:20s} {n['mean']:.6g}" + (f" ± {n['std']:.3g}" if len(n["values"]) > 1 else ""))


def override(config: ConfigDict, settings: list[str]) -> list[str]:
    """Makes the changes KEY=VALUE in a configuration, as `--config.KEY=VALUE` does in training: a name takes its own settings.

    Returns:
        For each name that another one replaces, a sentence with the settings that went with it.

    Raises:
        UserError: no such key, or a value of another type.
    """
    from dl.training.settings import assign, prepare

    given: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not key or not equals:
            raise UserError(f"--set {setting}: give KEY=VALUE, such as test_time.samples=16.")
        given[key] = value_of(text)
    said = prepare(config, {key: str(value) for key, value in given.items()})
    assign(config, given, "--set")
    return said


def value_of(text: str) -> Any:
    """A Python literal, or else the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def evaluate(
    config: ConfigDict,
    workdir: Path,
    split: str,
    which: str,
    ema: bool,
    data_dir: str | None = None,
    manual_dir: str | None = None,
) -> tuple[int, dict[str, Any]]:
    """The metrics of a checkpoint on a split: (step, name -> [replicas]).

    Args:
        config: configuration of the run; mesh, test-time augmentation and data may differ from those of the training.
        workdir: folder of the run.
        split: a key of `config.dataset.splits`, or a slice of the dataset in TFDS's syntax.
        which: "latest" or "best".
        ema: whether the moving average of the parameters is evaluated, where the run kept one.
        data_dir: folder of prepared datasets; by default where the training found them.
        manual_dir: folder of archives; likewise.

    Raises:
        UserError: no checkpoint, or no such split.
    """
    from dl.training.evaluate import Evaluations
    from dl.training.restored import restore

    if split not in config.dataset.splits:
        config.dataset.splits[split] = split
    experiment, step, state = restore(config, workdir, which, data_dir, manual_dir)
    return step, Evaluations(experiment)(state, split, ema=ema).metrics


if __name__ == "__main__":
    program.define_data()
    flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
    flags.register_validator("workdir", bool, "--workdir is empty: give the folder of the run.")
    flags.DEFINE_string("split", "test", "Which split: one of the run's, or TFDS's slicing syntax, e.g. train[:1000].")
    flags.DEFINE_enum("checkpoint", "latest", ["latest", "best"], "Which checkpoint.")
    flags.DEFINE_bool("ema", True, "Evaluate the moving average of the parameters, where the run kept one.")
    flags.DEFINE_multi_string("set", [], "KEY=VALUE: changes the run's configuration for this evaluation.")
    flags.DEFINE_bool("json", False, "Print JSON.")
    program.run(main)
