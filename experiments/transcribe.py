"""Writes down what is said in sound files, or what is written in images, by a run that has learned it.

    python -m experiments.transcribe --workdir=runs/fsdd_digits a.wav b.flac
    python -m experiments.transcribe --workdir=runs/fsdd_digits --beam --json a.wav
    python -m experiments.transcribe --workdir=runs/iiit5k_crnn word1.png word2.jpg          images of one word each
    python -m experiments.transcribe --workdir=runs/scenes_east --reader=runs/iiit5k_crnn --out=read street.jpg

Sound files are WAV, FLAC or what else libsndfile reads; channels are averaged, and another rate than that of the training is
resampled. One line a file: its path, a tab, and the text. Of a run that finds words in scenes, one line a word: the path, the
corners of its box as x,y in pixels, and the word as --reader reads it; with --out the scenes are written there, the words drawn
into them.
"""

import json
import sys
from pathlib import Path
from typing import Any

from absl import flags

from dl.errors import UserError
from experiments import program

FLAGS = flags.FLAGS
MUCH = 0.001  # of the samples clipped: said


def main(argv: list[str]) -> None:
    """Restores the run, transcribes the files, prints the texts."""
    program.start_jax()
    from dl.generation import reading
    from dl.generation.transcription import transcribe

    paths = [Path(name) for name in argv[1:]]
    if not paths:
        raise UserError("no file given: python -m experiments.transcribe --workdir=DIR FILE.wav ... or IMAGE ...")
    run = _run(FLAGS.workdir)
    if "detect" in run.experiment.task.evaluators:
        _scenes(run, paths)
        return
    if FLAGS.reader or FLAGS.out:
        raise UserError(f"--reader and --out are for runs that find words in scenes, which {FLAGS.workdir} does not.")
    if reading.reads_words(run.experiment):
        texts = reading.read_files(run, paths, FLAGS.beam)
    else:
        warn_of_clipping(paths)
        texts = transcribe(run.experiment, run.params, run.variables, paths, FLAGS.beam)
    if FLAGS.json:
        print(json.dumps([{"file": str(path), "text": text} for path, text in zip(paths, texts, strict=True)]))
        return
    for path, text in zip(paths, texts, strict=True):
        print(f"{path}\t{text}")


def _run(folder: str) -> Any:
    from dl.generation.reading import Run
    from dl.training.restored import restore
    from dl.training.workdir import read_config

    workdir = Path(folder).absolute()
    found = restore(read_config(workdir), workdir, FLAGS.checkpoint, FLAGS.data_dir, FLAGS.manual_dir)
    return Run(found.experiment, *found.replica(FLAGS.replica, FLAGS.ema))


def _scenes(run: Any, paths: list[Path]) -> None:
    """Prints the words of each scene, and draws them."""
    from dl.data import image_files
    from dl.evaluation.turned_boxes import corners
    from dl.generation import reading

    reader = _run(FLAGS.reader) if FLAGS.reader else None
    for path in paths:
        grey = image_files.read(str(path)) @ image_files.LUMINANCE
        reading.check_size(grey, path)
        found = reading.find_in(run, grey, reader)
        outlines = [[[round(x, 1), round(y, 1)] for y, x in corners(word.box[None])[0].tolist()] for word in found]
        if FLAGS.json:
            words = [{"box": box, "score": w.score, "text": w.text} for box, w in zip(outlines, found, strict=True)]
            print(json.dumps({"file": str(path), "words": words}))
        for box, word in zip(outlines, found, strict=True) if not FLAGS.json else ():
            print(f"{path}\t{' '.join(f'{x:g},{y:g}' for x, y in box)}\t{word.text}")
        if FLAGS.out:
            folder = Path(FLAGS.out)
            folder.mkdir(parents=True, exist_ok=True)
            reading.drawn(grey, found).save(folder / f"{path.stem}.png")


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
    flags.DEFINE_string("reader", None, "Folder of a run that reads the words which --workdir finds.")
    flags.DEFINE_string("out", None, "Folder for scenes with the words drawn into them.")
    flags.DEFINE_bool("json", False, "Print JSON.")
    program.run(main)
