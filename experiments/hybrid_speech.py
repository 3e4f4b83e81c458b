"""Compares Gaussian mixtures with a network in hidden Markov models of words, by a run of configs/fsdd_hybrid.py.

    python -m experiments.hybrid_speech --workdir=runs/fsdd_hybrid

Prints the word error of both and the relative change, beside that of Switchboard (Hinton et al. 2012, table 3).
"""

import json
from pathlib import Path

from absl import flags

from experiments import program

FLAGS = flags.FLAGS
PUBLISHED = (0.274, 0.185)  # Hinton et al. 2012, table 3: Switchboard, 309 hours, Hub5'00-SWB


def main(argv: list[str]) -> None:
    """Restores the run, recognises the split by both systems, prints what is wrong."""
    program.start_jax()
    from dl.generation.hybrid_speech import compare
    from dl.training.restored import folders, restore
    from dl.training.workdir import read_config

    workdir = Path(FLAGS.workdir).absolute()
    run = restore(read_config(workdir), workdir, "latest", FLAGS.data_dir, FLAGS.manual_dir)
    params, _ = run.replica(FLAGS.replica)
    _, manual_dir = folders(workdir, FLAGS.data_dir, FLAGS.manual_dir)
    found = compare(run.experiment, params, manual_dir, FLAGS.split)
    if FLAGS.json:
        print(json.dumps({**found._asdict(), "change": found.change}))
        return
    published = (PUBLISHED[1] - PUBLISHED[0]) / PUBLISHED[0]
    print(f"word error, {found.utterances:,} utterances of the split {FLAGS.split}")
    print(f"  Gaussian mixtures   {found.mixtures:8.2%}   published {PUBLISHED[0]:.1%}")
    print(f"  deep belief net     {found.network:8.2%}   published {PUBLISHED[1]:.1%}")
    print(f"  relative change     {found.change:+8.0%}   published {published:+.0%}")


if __name__ == "__main__":
    program.define_data()
    flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
    flags.DEFINE_integer("replica", 0, "Which replica of the run.", lower_bound=0)
    flags.DEFINE_enum("split", "test", ["test", "train"], "Of the dataset.")
    flags.DEFINE_bool("json", False, "Print JSON.")
    program.run(main)
