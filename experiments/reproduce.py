"""Runs experiments that cite a published result, and keeps the page that shows ours beside it.

    python -m experiments.reproduce --run=mnist_logistic,mnist_mlp:quick --manual_dir=archives   # trains, then writes the page
    python -m experiments.reproduce --collect=runs/mnist_mlp --collect=runs/mnist_lenet5          # takes finished runs
    python -m experiments.reproduce --check                                                       # fails if it does not hold

A run is kept if it can be repeated: it comes from a commit in this repository's history, without changes, and from one
configuration. `--check` lists the kept results that the present code no longer gives such a configuration for.

The page is docs/results.md; the result files behind it lie in docs/results/. Without a flag the page is written anew, and
so are the tables of results in the other pages (`dl.report.embedded`).
"""

import shlex
import subprocess
import sys
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

from dl import config_file
from dl.errors import UserError
from dl.report import embedded, results
from experiments import program

FLAGS = flags.FLAGS
ROOT = Path(__file__).resolve().parents[1]


def main(argv: list[str]) -> None:
    """Trains what is asked for, collects, writes or checks."""
    docs = Path(FLAGS.docs)
    runs = [train(name) for name in FLAGS.run] + [Path(run) for run in FLAGS.collect]
    for path in results.collect(runs, docs):
        print(f"kept {path}")
    pages = {path: embedded.filled(path.read_text(), results.kept(docs)) for path in sorted(docs.glob("*.md"))}
    for path, text in {**pages, docs / results.PAGE: results.page(docs)}.items():
        if path.exists() and path.read_text() == text:
            continue
        if FLAGS.check:
            raise UserError(f"{path} does not fit its result files: run python -m experiments.reproduce")
        path.write_text(text)
        print(f"wrote {path}")
    if FLAGS.check and (found := check(docs)):
        raise UserError(f"{len(found)} kept results do not hold any more: {' '.join(found)} Train them again.")


def check(docs: Path) -> list[str]:
    """What does not hold any more of the kept results, a line each."""
    lines = []
    for name, result in results.kept(docs).items():
        try:
            found = results.problems(result, configuration(result["command"]))
        except (OSError, AttributeError, KeyError, TypeError, ValueError, UserError, flags.Error) as error:
            found = [f"its command gives no configuration any more ({error})"]
        lines += [f"{name}: {line}." for line in found]
    return lines


def configuration(command: str) -> ConfigDict:
    """The configuration that a command gives now; as in a program, a name in its flags takes that name's settings."""
    from dl.training.settings import prepare

    named, rest = program.named_config(["command", *(word for word in shlex.split(command) if word.startswith("--config"))])
    config = config_file.load(named or "")
    prepare(config, program.overrides(rest))
    values = flags.FlagValues()
    config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=rest)
    values(rest)
    return config


def train(name: str) -> Path:
    """Trains `config[:variant]` in a process of its own, in `--runs`; a run that was begun goes on.

    Raises:
        UserError: there is no such config, or it failed.
    """
    config, _, variant = name.partition(":")
    config_file.load(f"{ROOT}/configs/{config}.py" + (f":{variant}" if variant else ""))
    workdir = Path(FLAGS.runs) / name.replace(":", "_")
    command = [sys.executable, "-m", "experiments.train", f"--config=configs/{config}.py" + (f":{variant}" if variant else "")]
    command += [f"--workdir={workdir.absolute()}", f"--config.replicas={FLAGS.replicas}"]
    command += [f"--{flag}={Path(value).absolute()}" for flag in ("data_dir", "manual_dir") if (value := FLAGS[flag].value)]
    print(" ".join(command), flush=True)
    if subprocess.run(command, cwd=ROOT).returncode:
        raise UserError(f"{name} failed; what it reached lies in {workdir}.")
    return workdir


if __name__ == "__main__":
    program.define_data()
    flags.DEFINE_list("run", [], "Configs to train, NAME[:variant].")
    flags.DEFINE_multi_string("collect", [], "Workdirs of finished runs.")
    flags.DEFINE_integer("replicas", 3, "Replicas of the runs to train.", lower_bound=1)
    flags.DEFINE_string("runs", "runs", "Folder of the workdirs.")
    flags.DEFINE_string("docs", str(ROOT / "docs"), "Folder of the page.")
    flags.DEFINE_bool("check", False, "Only check that the page fits its result files, and that these hold.")
    program.run(main)
