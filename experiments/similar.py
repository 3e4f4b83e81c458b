"""What vectors of words know: the words nearest to one, analogies, how similar two words are.

    python -m experiments.similar --workdir=runs/vectors --nearest=film --nearest=terrible
    python -m experiments.similar --workdir=runs/vectors --analogy="man king woman" --similarity="movie film"
    python -m experiments.similar --workdir=runs/vectors --sum="king - man + woman"
    python -m experiments.similar --workdir=runs/vectors --out=vectors.bin
    python -m experiments.similar --vectors=vectors.txt --most=50000 --benchmarks=analogies,wordsim353 --manual_dir=archives
    python -m experiments.similar --vectors=vectors.bin --debias --out=debiased.bin

The vectors are those of a run or of a file in word2vec's or GloVe's format, which may be compressed by gzip. `--debias` shows
how occupations lean before and after hard debiasing (Bolukbasi et al. 2016); what is asked and written is then without it.
`--out` writes word2vec's binary format where the name ends in .bin, else GloVe's text; `--format` says otherwise.
"""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from dl.errors import UserError
from experiments import program

if TYPE_CHECKING:
    from dl.evaluation.word_vectors import WordVectors

FLAGS = flags.FLAGS
LEANING = 8  # occupations that are shown on either side


def main(argv: list[str]) -> None:
    """Reads the vectors, answers, writes."""
    if bool(FLAGS.workdir) == bool(FLAGS.vectors):
        raise UserError("give the vectors: --workdir=RUN or --vectors=FILE, one of the two.")
    asked = (FLAGS.nearest, FLAGS.analogy, FLAGS.similarity, FLAGS.sum, FLAGS.benchmarks, FLAGS.debias, FLAGS.out)
    if not any(asked):
        raise UserError(
            "ask something: --nearest=WORD, --analogy='man king woman', --similarity='a b', --sum, --benchmarks, --out."
        )
    vectors = _vectors()
    answers: dict[str, Any] = {}
    if FLAGS.debias:
        vectors, answers["bias"] = debias(vectors)
    answers |= answered(vectors)
    print(json.dumps(answers, ensure_ascii=False, indent=1) if FLAGS.json else "\n\n".join(_lines(answers)))
    if FLAGS.out:
        from dl.interop import word_vectors as files

        print(files.write(Path(FLAGS.out), vectors, FLAGS.format))


def _vectors() -> "WordVectors":
    if FLAGS.workdir:
        program.start_jax()
        return of_run(
            Path(FLAGS.workdir).absolute(), FLAGS.checkpoint, FLAGS.replica, FLAGS.data_dir, FLAGS.manual_dir, FLAGS.most
        )
    from dl.interop import word_vectors as files

    return files.read(Path(FLAGS.vectors), FLAGS.most)


def of_run(
    workdir: Path,
    which: str = "latest",
    replica: int = 0,
    data_dir: str | None = None,
    manual_dir: str | None = None,
    most: int = 0,
) -> "WordVectors":
    """The vectors that a run has learned, of the first `most` words of its vocabulary (0: all).

    Raises:
        UserError: no such run or checkpoint, or one that learned no vectors of words.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    from dl.evaluation.word_vectors import WordVectors
    from dl.training.restored import restore
    from dl.training.workdir import read_config

    run = restore(read_config(workdir), workdir, which, data_dir, manual_dir)
    evaluator = run.experiment.task.evaluators.get("vectors")
    vocabulary = run.experiment.dataset.info.features["token"].vocabulary if evaluator else None
    if evaluator is None or vocabulary is None:
        raise UserError(f"{workdir} learned no vectors of words: its task is {run.experiment.config.task.name}.")
    words = vocabulary.names[: most or None]
    batch = {"token": jnp.arange(len(words)), "mask": jnp.ones(len(words), bool)}
    _, outputs = evaluator.step(*run.replica(replica), batch, jax.random.key(0))
    return WordVectors(words, np.asarray(outputs["vector"], np.float32))


def answered(vectors: "WordVectors") -> dict[str, Any]:
    """What the flags ask: question -> answer."""
    from dl.data.word_similarity import benchmarks
    from dl.evaluation import word_vectors
    from dl.evaluation.word_vector_measures import measure

    found: dict[str, Any] = {}
    for word in FLAGS.nearest:
        found[f"nearest to {word}"] = word_vectors.neighbours(vectors, word, FLAGS.top)
    for question in FLAGS.analogy:
        a, b, c = _words(question, 3, "--analogy='man king woman'")
        found[f"{a} is to {b} as {c} is to"] = word_vectors.analogy(vectors, a, b, c, FLAGS.top)
    for pair in FLAGS.similarity:
        one, other = _words(pair, 2, "--similarity='movie film'")
        found[f"similarity of {one} and {other}"] = word_vectors.similarity(vectors, one, other)
    for text in FLAGS.sum:
        found[text] = word_vectors.arithmetic(vectors, terms(text), FLAGS.top)
    return found | measure(vectors, benchmarks(FLAGS.benchmarks, FLAGS.manual_dir))


def _words(text: str, count: int, example: str) -> list[str]:
    words = text.replace(",", " ").split()
    if len(words) != count:
        raise UserError(f"{count} words are needed, as in {example}, not {text!r}.")
    return words


def terms(text: str) -> list[tuple[float, str]]:
    """`king - man + woman` as signs and words; signs stand between blanks.

    Raises:
        UserError: it is no such sum.
    """
    parts = text.split()
    parts = parts if parts[:1] and parts[0] in "+-" else ["+", *parts]
    if len(parts) % 2 or not all(sign in "+-" for sign in parts[::2]) or any(re.fullmatch(r"[+-]", w) for w in parts[1::2]):
        raise UserError(f"--sum={text!r} must be words with + and - between blanks, such as 'king - man + woman'.")
    return [(-1.0 if sign == "-" else 1.0, word) for sign, word in zip(parts[::2], parts[1::2], strict=True)]


def debias(vectors: "WordVectors") -> tuple["WordVectors", dict[str, Any]]:
    """The vectors after hard debiasing, and the bias before and after."""
    from dl.evaluation import debiasing

    axis = debiasing.direction(vectors)
    after = debiasing.debiased(vectors, axis)
    lean = sorted(debiasing.lean(vectors, debiasing.PROFESSIONS, axis).items(), key=lambda item: item[1])
    bias: dict[str, Any] = {
        "direct bias of occupations before": debiasing.direct_bias(vectors, debiasing.PROFESSIONS, axis),
        "direct bias of occupations after": debiasing.direct_bias(after, debiasing.PROFESSIONS, axis),
        "leaning to she before": lean[::-1][:LEANING],
        "leaning to he before": lean[:LEANING],
    }
    return after, bias


def _lines(answers: dict[str, Any]) -> list[str]:
    lines = []
    for question, answer in answers.items():
        if isinstance(answer, dict):
            lines += _lines(answer)
        elif isinstance(answer, list):
            lines.append("\n".join([question, *(f"  {value:7.4f}  {word}" for word, value in answer)]))
        else:
            lines.append(f"{question}: {answer:.4f}")
    return lines


if __name__ == "__main__":
    program.define_data()
    flags.DEFINE_string("workdir", None, "Folder of a run that learned vectors of words.")
    flags.DEFINE_string("vectors", None, "A file of vectors, in word2vec's or GloVe's format.")
    flags.DEFINE_integer("most", 0, "Only the first so many words, the most frequent; 0 is all.", lower_bound=0)
    flags.DEFINE_enum("checkpoint", "latest", ["latest", "best"], "Which checkpoint of the run.")
    flags.DEFINE_integer("replica", 0, "Which replica of the run.", lower_bound=0)
    flags.DEFINE_multi_string("nearest", [], "A word, whose nearest words are shown.")
    flags.DEFINE_multi_string("analogy", [], "Three words: 'a b c' asks what is to c as b is to a.")
    flags.DEFINE_multi_string("similarity", [], "Two words, whose cosine is shown.")
    flags.DEFINE_multi_string("sum", [], "Words to add and subtract, such as 'king - man + woman'.")
    flags.DEFINE_integer("top", 10, "How many words are shown.", lower_bound=1)
    flags.DEFINE_list("benchmarks", [], "What to measure by, such as analogies,wordsim353; needs --manual_dir.")
    flags.DEFINE_bool("debias", False, "Hard debiasing, with the bias before and after.")
    flags.DEFINE_string("out", "", "A file to write the vectors to.")
    flags.DEFINE_enum("format", "", ["", "word2vec", "word2vec_text", "glove"], "Of --out; by its name, if not given.")
    flags.DEFINE_bool("json", False, "Answers as JSON.")
    program.run(main)
