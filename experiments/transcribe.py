"""Writes down what is said in sound files, by a run that has learned it.

    python -m experiments.transcribe --workdir=runs/fsdd_digits a.wav b.flac
    python -m experiments.transcribe --workdir=runs/fsdd_digits --beam --json a.wav

Files are WAV, FLAC or what else libsndfile reads; channels are averaged, and another rate than that of the training is
resampled. One line a file: its path, a tab, and the text.
"""

import json
import sys
from pathlib import Path

from absl import flags

from dl.errors import UserError
from experiments import program

FLAGS = flags.FLAGS
MUCH = 0.001  # of the samples clipped: said


def main(argv: list[str]) -> None:
    """Restores the run, transcribes the files, prints the texts."""
    program.start_jax()
    from dl.generation.transcription import transcribe
    from dl.training.restored import restore
    from dl.training.workdir import read_config

    paths = [Path(name) for name in argv[1:]]
    if not paths:
        raise UserError("no sound file given: python -m experiments.transcribe --workdir=DIR FILE.wav ...")
    warn_of_clipping(paths)
    workdir = Path(FLAGS.workdir).absolute()
    run = restore(read_config(workdir), workdir, FLAGS.checkpoint, FLAGS.data_dir, FLAGS.manual_dir)
    params, variables = run.replica(FLAGS.replica, FLAGS.ema)
    texts = transcribe(run.experiment, params, variables, paths, FLAGS.beam)
    if FLAGS.json:
        print(json.dumps([{"file": str(path), "text": text} for path, text in zip(paths, texts, strict=True)]))
        return
    for path, text in zip(paths, texts, strict=True):
        print(f"{path}\t{text}")


def warn_of_clipping(paths: list[Path]) -> None:
    """Reads all files before anything else, so that a wrong one costs no time; says which are clipped."""
    from dl.data.sound.reading import clipped, read_sound

    for path in paths:
        share = clipped(read_sound(path).samples)
        if share > MUCH:
            print(f"{path}: {share:.1%} of its samples are clipped; it was recorded too loud.", file=sys.stderr)


if __name__ == "__main__":
    program.define_data()
    flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
    flags.DEFINE_enum("checkpoint", "latest", ["latest", "best"], "Which checkpoint.")
    flags.DEFINE_bool("ema", True, "Take the moving average of the parameters, where the run kept one.")
    flags.DEFINE_integer("replica", 0, "Which replica of the run.", lower_bound=0)
    flags.DEFINE_bool("beam", False, "Search with the beam of the run, task.beam, instead of greedily.")
    flags.DEFINE_bool("json", False, "Print JSON.")
    program.run(main)
