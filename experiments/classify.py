"""Says of which class texts are, by a run that was trained on texts or on trees over sentences.

    python -m experiments.classify --workdir=runs/imdb_lstm "A film that I would gladly forget." "Simply wonderful!"
    python -m experiments.classify --workdir=runs/sst_rntn --out=trees.html "((The movie) ((was (not bad)) .))"

A recursive net needs a tree. Give it in brackets, two parts to a pair; otherwise a sentence is read as a (b (c d)), which is
not how people parse it, and a line says so. Of the sentences of `dl.evaluation.sentences` the parse is known.
`--out` writes a page with the trees, each node in the colour of what is said of it. `--file=FILE` takes a text a line.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags

from dl.errors import UserError
from experiments import program

FLAGS = flags.FLAGS
TASKS = ("text_classification", "tree_classification")


class Judged(NamedTuple):
    """What is said of a text.

    classes: name -> probability, the likeliest first.
    tree: an artifact, of a recursive net.
    guessed: whether its parse was made up.
    """

    text: str
    classes: dict[str, float]
    tree: Any = None
    guessed: bool = False


def main(argv: list[str]) -> None:
    """Prints a table for each text."""
    program.start_jax()
    where = {"data_dir": FLAGS.data_dir, "manual_dir": FLAGS.manual_dir}
    found = judged(
        Path(FLAGS.workdir).absolute(), texts(argv[1:], FLAGS.file), FLAGS.checkpoint, FLAGS.ema, FLAGS.replica, **where
    )
    for one in found:
        if FLAGS.json:
            print(json.dumps({"text": one.text, "classes": one.classes, "parse": "guessed" if one.guessed else "given"}))
            continue
        print(one.text)
        if one.guessed:
            print("  (no parse was given: read as a (b (c d)), from right to left)")
        for name, probability in list(one.classes.items())[: FLAGS.top]:
            print(f"  {probability:7.2%}  {name}")
    if FLAGS.out:
        print(write(Path(FLAGS.out), found))


def texts(given: Sequence[str], file: str | None) -> list[str]:
    """The texts of the command line, and those of a file, one a line.

    Raises:
        UserError: there are none, or the file can't be read.
    """
    from dl.data.sources.text import read_text

    lines = read_text(Path(file).expanduser(), "utf-8").split("\n") if file else []
    found = [text for text in (*given, *lines) if text.strip()]
    if not found:
        raise UserError("which texts? Give them after the flags, each in quotation marks, or --file=FILE with one a line.")
    return found


def judged(
    workdir: Path,
    given: Sequence[str],
    which: str = "latest",
    ema: bool = True,
    replica: int = 0,
    data_dir: str | None = None,
    manual_dir: str | None = None,
) -> list[Judged]:
    """What the run in a workdir says of texts.

    Args:
        workdir: of the run.
        given: the texts; a tree in brackets for a recursive net.
        which: checkpoint, "latest" or "best".
        ema: whether to take the moving average of the parameters, where there is one.
        replica: of the run.
        data_dir: of prepared sets; by default where the training found them.
        manual_dir: of archives; likewise.

    Raises:
        UserError: no such run or checkpoint, a run of another task, or brackets that are no tree.
    """
    from dl import registry
    from dl.evaluation import sentences, text_mistakes
    from dl.tasks import text_classification, tree_classification
    from dl.training.restored import restore
    from dl.training.workdir import read_config

    config = read_config(workdir)
    if config.task.name not in TASKS:
        raise UserError(f"{workdir} trained {config.task.name}, which classifies no texts; a run of {' or '.join(TASKS)} does.")
    run = restore(config, workdir, which, data_dir, manual_dir)
    params, _ = run.replica(replica, ema)
    info = run.experiment.dataset.info
    names = text_mistakes.class_names(info)
    module = {"text_classification": text_classification, "tree_classification": tree_classification}[config.task.name]
    settings = registry.read(module.Settings, f"the task {config.task.name}", config.task)
    learner: Any = module.learner(config, info, settings)
    if config.task.name == "text_classification":
        symbols = [sentences.read(text, learner.vocabulary, learner.dataset) for text in given]
        said = [learner.probabilities(params, [text])[0] for text in symbols]
        return [Judged(text, ranked(p, names)) for text, p in zip(given, said, strict=True)]
    trees = [sentences.tree_of(text) for text in given]
    found = []
    for text, (tree, guessed) in zip(given, trees, strict=True):
        (said,) = learner.judge(params, [tree])
        picture = sentences.drawn(tree, said, names) if settings.sentiment else None
        found.append(Judged(text, ranked(said[sentences.root(tree)], names), picture, guessed))
    return found


def ranked(probabilities: Any, names: Sequence[str]) -> dict[str, float]:
    """Class -> probability, the likeliest first."""
    order = sorted(range(len(names)), key=lambda c: -probabilities[c])
    return {names[c]: float(probabilities[c]) for c in order}


def write(path: Path, found: Sequence[Judged]) -> Path:
    """A page with the trees, or a table where there are none; returns the file.

    Raises:
        UserError: it can't be written.
    """
    from html import escape

    from dl.artifacts import Table
    from dl.report import page

    rows = [(one.text, *next(iter((name, f"{p:.0%}") for name, p in one.classes.items()))) for one in found]
    blocks = {"Texts": page.artifact_section("classes", "", Table(("text", "class", "probability"), rows))}
    pictures = [(one.text, "parse guessed" if one.guessed else "", one.tree) for one in found if one.tree is not None]
    blocks["Trees"] = page.stack(*(page.artifact_section(*picture) for picture in pictures))
    return page.save(path, page.document("Classified", f"<p>{escape(str(FLAGS.workdir))}</p>", blocks, "classified"))


if __name__ == "__main__":
    program.define_data()
    flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
    flags.DEFINE_string("file", None, "Texts, one a line.")
    flags.DEFINE_enum("checkpoint", "latest", ["latest", "best"], "Which checkpoint.")
    flags.DEFINE_bool("ema", True, "Take the moving average of the parameters, where the run kept one.")
    flags.DEFINE_integer("replica", 0, "Which replica of the run.", lower_bound=0)
    flags.DEFINE_integer("top", 5, "How many classes to print.", lower_bound=1)
    flags.DEFINE_bool("json", False, "Print JSON, one line a text.")
    flags.DEFINE_string("out", "", "A page (.html) to write.")
    program.run(main)
