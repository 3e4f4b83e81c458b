"""Converts published weights into a folder that the other programs take, and a trained run into a file for PyTorch.

    python -m experiments.convert --from=resnet50.pth --model=resnet50 --to=weights/resnet50
    python -m experiments.convert --from=squeezenet_v1.0_oihw_float32.npz --model=squeezenet --to=squeezenet.safetensors
    python -m experiments.convert --from=runs/cifar10_resnet20 --to=resnet20.pth
    python -m experiments.convert --from=runs/cifar10_resnet20 --to=resnet20.safetensors

Reads `.pth`, `.pt`, `.safetensors` and `.npz` with torchvision's names, a folder that it wrote, or the workdir of any run.
Nothing in a file is executed. Writes a file of one of these kinds: with torchvision's names where it has the architecture, so
that PyTorch's `load_state_dict` takes it, else with ours and PyTorch's axes (`dl/interop/own.py`). Beside it stands a `.json`
with the model's settings, its images and classes; a folder gets `weights.safetensors` and `weights.json`. Of classifiers,
`experiments.predict --weights=...` takes either; of another run, the `.json` has the configuration.
"""

import ast
import re
from pathlib import Path
from typing import Any

from absl import flags

from dl.errors import UserError
from experiments import program

FLAGS = flags.FLAGS
OURS = "note: names are ours and axes PyTorch's, as dl/interop/own.py says; torchvision has no such network."


def main(argv: list[str]) -> None:
    """Reads, writes, and says what it was."""
    if len(argv) > 1:
        raise UserError(f"what is {argv[1]!r}? Files are given by --from and --to.")
    program.start_jax()
    from dl.interop import classifier, own

    to = destination(FLAGS.to, FLAGS.overwrite)
    source = str(FLAGS["from"].value)  # a word of Python, so no attribute
    if other_task(source):
        if FLAGS.model or FLAGS.set or FLAGS.classes:
            raise UserError(f"{source} is a run of no classifier: leave out --model, --set and --classes.")
        saved = own.save_run(Path(source).expanduser().absolute(), to, FLAGS.checkpoint, FLAGS.replica)
        print(f"{saved.file}: {saved.model} of the task {saved.task}, {saved.parameters:,} parameters")
        print(OURS)
        return
    found = load(source, FLAGS.model, model_settings(FLAGS.set), FLAGS.checkpoint, FLAGS.replica, FLAGS.classes)
    file = classifier.save(found, to)
    print(f"{file}: {described(found)}")
    for line in differences(found):
        print(f"note: {line}")


def other_task(source: str) -> bool:
    """Whether this is the workdir of a run that trained no classifier."""
    from dl.training.workdir import read_config

    path = Path(source).expanduser()
    return (path / "config.json").is_file() and read_config(path).task.name != "classification"


def load(
    source: str,
    model: str | None,
    settings: dict[str, Any],
    checkpoint: str = "latest",
    replica: int = 0,
    classes: str | None = None,
    data_dir: str | None = None,
    manual_dir: str | None = None,
) -> Any:
    """The classifier in a file, a folder or a run.

    Args:
        source: its path.
        model: its name; None where a record says it.
        settings: settings of the model.
        checkpoint: which one of a run, "latest" or "best".
        replica: replica of a run.
        classes: a file of class names, in place of those that are known.
        data_dir: folder of a run's data; by default where the training found them.
        manual_dir: likewise.

    Raises:
        UserError: it can't be read or does not fit, flags do not go together, or there are not as many names as classes.
    """
    from dl.data.class_names import read_class_names
    from dl.interop import classifier

    path = Path(source).expanduser().absolute()
    if (path / "config.json").is_file():
        if settings or model:
            raise UserError(f"{path} is a run, which knows its model: leave out --model and --set.")
        found = classifier.of_run(path, checkpoint, replica, data_dir=data_dir, manual_dir=manual_dir)
    else:
        found = classifier.load(path, model or "", settings)
    if classes:
        found = found._replace(class_names=read_class_names(Path(classes), found.num_classes))
    return found


def model_settings(given: list[str]) -> dict[str, Any]:
    """KEY=VALUE settings of the model; their names are checked when it is made.

    Raises:
        UserError: one without "=".
    """
    out: dict[str, Any] = {}
    for setting in given:
        key, equals, text = setting.partition("=")
        if not equals:
            raise UserError(f"--set {setting}: give KEY=VALUE, such as depth=20.")
        try:
            out[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            out[key] = text
    # A version is a word to the models, and looks like a number.
    return {key: str(value) if key == "version" else value for key, value in out.items()}


def destination(name: str, overwrite: bool) -> Path:
    """Where to write, before anything is read.

    Raises:
        UserError: a kind of file that can't be written, a folder of a run, or something that is there already.
    """
    from dl.interop import weights

    to = Path(name).expanduser()
    if to.suffix not in weights.SUFFIXES:
        if re.fullmatch(r"\.[A-Za-z]\w*", to.suffix) and not to.is_dir():
            raise UserError(f"--to={to} must be a folder, or end in one of {', '.join(weights.SUFFIXES)}.")
        if (to / "config.json").exists():
            raise UserError(f"--to={to} is the workdir of a run: give another folder.")
    file = to if to.suffix in weights.SUFFIXES else to / weights.FOLDER_FILE
    if file.exists() and not overwrite:
        raise UserError(f"{file} is there already: give another --to, or --overwrite.")
    return to


def described(found: Any) -> str:
    """A line about a classifier."""
    import jax

    count = sum(leaf.size for leaf in jax.tree.leaves(found.variables["params"]))
    size = "x".join(map(str, found.shape))
    return f"{found.name}, {count:,} parameters, {found.num_classes} classes, images of {size}"


def differences(found: Any) -> list[str]:
    """What PyTorch must be told, since a state dict does not say it: other settings and images than torchvision's."""
    import numpy as np

    from dl.interop import published

    usual = published.published(found.name, {})
    lines = [] if usual.side else [OURS.removeprefix("note: ")]
    lines += [
        f"{key} is {found.settings[key]} and not torchvision's {value}, so the same weights mean another function there."
        for key, value in usual.settings.items()
        if key in found.settings and found.settings[key] != value
    ]
    if found.settings.get("padding"):
        lines.append(f"the last convolution is padded by {found.settings['padding']}; torchvision's is not.")
    if found.settings.get("stochastic_depth"):
        lines.append("branches are multiplied by their probability of survival, which PyTorch's module must do, too.")
    alike = len(found.mean) == len(usual.mean) and np.allclose([found.mean, found.std], [usual.mean, usual.std], atol=1e-3)
    if not alike:
        mean, std = (tuple(round(float(v), 4) for v in values) for values in (found.mean, found.std))
        lines.append(f"images in 0..1 are standardised with mean={mean} and std={std}.")
    return lines


def define_model() -> None:
    """Flags that say which network, for this program and `experiments.predict`."""
    flags.DEFINE_string("model", None, "Of the weights: its name in dl/models, e.g. resnet50. A run and a folder know it.")
    flags.DEFINE_multi_string("set", [], "KEY=VALUE: a setting of the model, e.g. depth=20.")
    flags.DEFINE_enum("checkpoint", "latest", ["latest", "best"], "Which checkpoint of a run.")
    flags.DEFINE_integer("replica", 0, "Which replica of a run.", lower_bound=0)
    flags.DEFINE_string("classes", None, "File of class names, one a line, ImageNet's synset_words.txt for one.")


if __name__ == "__main__":
    define_model()
    flags.DEFINE_string("from", None, "File of weights, folder that this program wrote, or workdir of a run.", required=True)
    flags.DEFINE_string("to", None, "File to write (.pth, .pt, .safetensors, .npz), or a folder.", required=True)
    flags.DEFINE_bool("overwrite", False, "Write over a file that is there.")
    program.run(main)
