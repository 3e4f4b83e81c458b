"""Trains the classifiers that came before the networks, on counts of words, on the data of a configuration.

    python -m experiments.bag_of_words --config=configs/imdb_lstm.py:words --workdir=runs/imdb_words --manual_dir=archives

Nothing is learned by gradients, so it is no task of the engine; but data, replicas (`config.replicas`), `result.json` and
report are those of every run. `config.task` is {"name": "bag_of_words"} with the settings of
`dl.evaluation.bag_of_words.learn`, such as `classifier` (naive_bayes, svm, logistic_regression, nbsvm) and `ngrams`, and
`text`, the feature that is read.
"""

import itertools
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from dl.errors import UserError
from experiments import program
from experiments.train import summarise

FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Trains, evaluates, and writes result and report."""
    program.start_jax()
    workdir = Path(FLAGS.workdir).absolute()
    summarise(train(FLAGS.config, workdir, FLAGS.data_dir, FLAGS.manual_dir), workdir)


def train(config: Any, workdir: Path, data_dir: str | None = None, manual_dir: str | None = None) -> dict[str, Any]:
    """Trains the replicas on the split `train`, evaluates them on the others, and writes everything to the workdir.

    Returns:
        The content of `result.json`.

    Raises:
        UserError: another task, data without labelled texts in memory, unknown settings, a folder that can't be written.
    """
    from dl import registry, report
    from dl.evaluation import bag_of_words
    from dl.report import artifacts
    from dl.training import workdir as folder
    from dl.training.evaluate import Evaluated
    from dl.training.result import result

    settings = config.task.to_dict()
    if settings.pop("name") != "bag_of_words":
        raise UserError(f"config.task.name is {config.task.name!r}, not 'bag_of_words': train it with experiments.train.")
    info, read = texts_of(config, settings.pop("text", "text"), data_dir, manual_dir)
    with folder.open_for_writing(workdir, config, override=False), closing(folder.MetricsFile(workdir, -1, True)) as log:
        start = time.monotonic()
        known, labels = read.pop("train")
        given = {"texts": known, "labels": labels, "held_out": read.get("validation")}
        trained = [
            registry.call(bag_of_words.learn, "bags of words", settings, **given, seed=config.seed + r)
            for r in range(config.replicas)
        ]
        evaluated = {}
        for split, (texts, label) in read.items():
            outputs = [outcome(bag_of_words.scores(one, texts), label, texts) for one in trained]
            error = np.array([np.mean(out["prediction"] != out["label"]) for out in outputs])
            evaluated[split] = Evaluated({"error": error}, outputs)
            log.write(0, split, evaluated[split].metrics)
            artifacts.save(workdir, split, shown(info, outputs[0], texts))
        weights = [bag_of_words.weights(one) for one in trained]
        params = {name: np.stack([of_one[name] for of_one in weights]) for name in weights[0]}
        content = result(config, (), 0, params, evaluated, time.monotonic() - start)
        folder.write_json(workdir / "result.json", content)
    report.write(workdir)
    return content


def texts_of(config: Any, text: str, data_dir: str | None, manual_dir: str | None) -> tuple[Any, dict[str, Any]]:
    """What is known of the data, and split -> (texts as words, labels).

    Raises:
        UserError: there are no labelled texts in memory, or none to train on.
    """
    from dl.data.load import load
    from dl.data.ragged import Ragged
    from dl.dataset import Arrays

    info, splits = load(config.dataset, data_dir, manual_dir)
    vocabulary = info.features[text].vocabulary if text in info.features else None
    if vocabulary is None or "train" not in splits or not info.num_classes:
        raise UserError(f"bags of words need labelled texts in {text!r}, with a split 'train'; {info.name} has none such.")
    names = np.array(vocabulary.names, object)
    found: dict[str, Any] = {}
    for split, source in splits.items():
        ragged = source.features[text] if isinstance(source, Arrays) else None
        if not isinstance(ragged, Ragged):
            raise UserError(f"bags of words need texts in memory, which those of {info.name} are not.")
        bounds = (ragged.offsets - ragged.offsets[0]).tolist()
        words = names[ragged.whole].tolist()
        texts = [words[start:stop] for start, stop in itertools.pairwise(bounds)]
        found[split] = texts, source.features["label"]
    return info, found


def outcome(scores: np.ndarray, labels: np.ndarray, texts: Any) -> dict[str, np.ndarray]:
    """What the report looks at, an entry an example: label, prediction, by how much the best score beats the label's, words."""
    own = np.take_along_axis(scores, labels[:, None], axis=1)[:, 0]
    margin = scores.max(1) - own
    return {
        "label": labels,
        "prediction": scores.argmax(1).astype(np.int32),
        "margin": margin,
        "length": np.array([*map(len, texts)]),
    }


def shown(info: Any, out: dict[str, np.ndarray], texts: Any) -> dict[str, Any]:
    """Confusion matrix, a table of the classes, the worst mistakes with their texts, and the error by length."""
    from dl.evaluation import text_mistakes
    from dl.evaluation.classification import worst_mistakes

    worst = worst_mistakes(out["label"], out["prediction"], out["margin"], text_mistakes.WORST)
    return text_mistakes.shown(info, out, worst, [" ".join(texts[i]) for i in worst])


if __name__ == "__main__":
    program.define_config()
    program.define_data()
    flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
    program.run(main)
