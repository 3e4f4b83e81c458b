"""Trains the classifier that came before the networks, a bag of visual words, on the data of a configuration.

    python -m experiments.visual_words --config=configs/cifar10_transfer.py:words --workdir=runs/words --manual_dir=archives

Nothing is learned by gradients, so it is no task of the engine; but data, replicas (`config.replicas`),
`result.json` and report are those of every run. `config.task` is {"name": "visual_words"} with the settings of
`dl.evaluation.visual_words.learn`.
"""

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
        UserError: another task, data without labelled images in memory, unknown settings, a folder that can't be written.
    """
    from dl import registry, report
    from dl.data.load import load
    from dl.dataset import Arrays
    from dl.evaluation import visual_words
    from dl.report import artifacts
    from dl.training import workdir as folder
    from dl.training.evaluate import Evaluated
    from dl.training.result import result

    settings = config.task.to_dict()
    if settings.pop("name") != "visual_words":
        raise UserError(f"config.task.name is {config.task.name!r}, not 'visual_words': train it with experiments.train.")
    info, splits = load(config.dataset, data_dir, manual_dir)
    arrays = {name: source.features for name, source in splits.items() if isinstance(source, Arrays)}
    if set(arrays) != set(splits) or "train" not in splits or "image" not in info.shapes or not info.num_classes:
        raise UserError(f"visual words need labelled images in memory, with a split 'train'; {info.name} has none such.")
    with folder.open_for_writing(workdir, config, override=False), closing(folder.MetricsFile(workdir, -1, True)) as log:
        start = time.monotonic()
        known = arrays.pop("train")
        given = {"images": known["image"], "labels": known["label"]}
        trained = [
            registry.call(visual_words.learn, "visual words", settings, **given, seed=config.seed + r)
            for r in range(config.replicas)
        ]
        evaluated = {}
        for split, features in arrays.items():
            outputs = [outcome(visual_words.scores(one, features["image"]), features["label"]) for one in trained]
            error = np.array([np.mean(out["prediction"] != out["label"]) for out in outputs])
            evaluated[split] = Evaluated({"error": error}, outputs)
            log.write(0, split, evaluated[split].metrics)
            artifacts.save(workdir, split, shown(info, outputs[0], features["image"]))
        params = {name: np.stack([getattr(one, name) for one in trained]) for name in ("dictionary", "weights", "bias")}
        content = result(config, (), 0, params, evaluated, time.monotonic() - start)
        folder.write_json(workdir / "result.json", content)
    report.write(workdir)
    return content


def outcome(scores: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """What the report looks at, an entry an example: label, prediction, and by how much the best score beats the label's."""
    own = np.take_along_axis(scores, labels[:, None], axis=1)[:, 0]
    return {"label": labels, "prediction": scores.argmax(1).astype(np.int32), "margin": scores.max(1) - own}


def shown(info: Any, out: dict[str, np.ndarray], images: np.ndarray) -> dict[str, Any]:
    """Confusion matrix, a table of the classes, and the worst mistakes with their images."""
    from dl.artifacts import Images, Matrix
    from dl.evaluation.classification import class_report, confusion_matrix, worst_mistakes

    names = info.class_names or tuple(str(c) for c in range(info.num_classes))
    counts = confusion_matrix(out["label"], out["prediction"], len(names))
    found: dict[str, Any] = {"confusion matrix": Matrix(counts, names, names, "actual", "predicted")}
    found["classes"] = class_report(counts, names)
    worst = worst_mistakes(out["label"], out["prediction"], out["margin"], 32)
    if len(worst):
        pixels = images[worst].astype(np.float32) / (255 if images.dtype == np.uint8 else 1)
        captions = [f"{names[out['label'][i]]} as {names[out['prediction'][i]]}" for i in worst]
        found["worst mistakes"] = Images(pixels.clip(0, 1), captions)
    return found


if __name__ == "__main__":
    program.define_config()
    program.define_data()
    flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
    program.run(main)
