"""A classifier with its weights: from a file, a converted folder or the workdir of a run; and into a file, for us and PyTorch.

Beside a file of weights that we write, `weights.safetensors` say, stands `weights.json`: the model with its settings, the
images it takes and the names of the classes. A folder that we write holds these two. Files of others have no such record, and
are what is published for the model.
"""

import contextlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Float

from dl.data.checks import MOST_CLASSES, MOST_PIXELS
from dl.errors import UserError
from dl.files import read_json
from dl.interop import published, torchvision, weights
from dl.interop.torchvision import Layout


class Classifier(NamedTuple):
    """A network, its variables on the host, and the images that it takes.

    name, settings: name and settings of the model. variables: {"params": ..., "batch_stats": ...}, float32.
    mean, std: [C]; it takes (pixels - mean) / std of pixels in 0..1. shape: (H, W, C) of its images.
    resize: the shorter side of an image before the middle is cut out. class_names: () where they are not known.
    """

    name: str
    settings: Mapping[str, Any]
    model: nn.Module
    variables: Any
    mean: Float[np.ndarray, " c"]
    std: Float[np.ndarray, " c"]
    shape: tuple[int, int, int]
    resize: int
    class_names: tuple[str, ...]

    @property
    def num_classes(self) -> int:
        """How many scores it gives."""
        model: Any = self.model
        return model.num_classes


def load(
    path: str | Path, name: str = "", settings: Mapping[str, Any] | None = None, dtype: DTypeLike = np.float32
) -> Classifier:
    """The classifier in a file of weights, or in a folder.

    Args:
        path: `.npz`, `.safetensors`, `.pt` or `.pth` with torchvision's names (or others that `dl.interop` knows), a folder
            that `save` wrote, or the workdir of a run.
        name: name of the model; "" where there is a record beside the file.
        settings: settings of the model, before those of the record and of what is published.
        dtype: data type of the computation.

    Raises:
        UserError: the file can't be read, is of another model, or does not fit it; no name.
    """
    path = Path(path).expanduser()
    if (path / "config.json").is_file() and not (path / weights.FOLDER_FILE).is_file():
        if settings:
            raise UserError(f"{path} is a run, which has its model's settings: leave out {', '.join(settings)}.")
        return _named(of_run(path, dtype=dtype), name, path)
    file = path / weights.FOLDER_FILE if path.is_dir() else path
    arrays = weights.read(file)
    record = _read_record(file)
    name = name or record.get("model", "")
    if not name:
        raise UserError(f"which model are the weights {path} of? Give its name, such as resnet50.")
    if record.get("model", name) != name:
        raise UserError(f"the weights {path} are of {record['model']}, not of {name}.")
    found = published.published(name, arrays)
    if not found.side and not record:
        raise UserError(
            f"{path} is without the record that experiments.convert wrote beside it, {file.with_suffix('.json').name}, and "
            f"nobody published weights of {name}: convert the run again."
        )
    given = {**found.settings, **record.get("settings", {}), **(settings or {})}
    classes = given.pop("num_classes", None)
    state = found.renamed(arrays)
    shape = tuple(record.get("shape", (found.side, found.side, 3)))
    with _made_of(name, given, path):
        model = published.build(name, given, classes or 1000, dtype)
        if classes is None:
            classes = published.classes(found.layout(model), model, state, otherwise=1000)
            model = published.build(name, given, classes, dtype)
        template = published.shapes(model, shape)
    return Classifier(
        name,
        given,
        model,
        torchvision.from_state(found.layout(model), template, state, str(path), name),
        np.asarray(record.get("mean", found.mean), np.float32),
        np.asarray(record.get("std", found.std), np.float32),
        shape,
        record.get("resize", found.resize),
        tuple(record.get("class_names", ())),
    )


@contextlib.contextmanager
def _made_of(name: str, settings: Mapping[str, Any], path: Path) -> Iterator[None]:
    """Says in one line that a model cannot be made with these settings, which are the user's or a record's."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:  # as models and Linen raise
        given = ", ".join(f"{key}={value!r}" for key, value in settings.items()) or "its settings"
        reason = str(error).partition("\n")[0]
        raise UserError(f"the model {name} of {path} cannot be made with {given}: {reason}") from error


def of_run(
    workdir: Path,
    which: str = "latest",
    replica: int = 0,
    dtype: DTypeLike | None = None,
    data_dir: str | None = None,
    manual_dir: str | None = None,
) -> Classifier:
    """The classifier that a run trained.

    Args:
        workdir: folder of the run.
        which: checkpoint, "latest" or "best".
        replica: which.
        dtype: data type of the computation; None for the run's.
        data_dir: where prepared datasets are; by default where the training found them.
        manual_dir: where archives are; likewise.

    Raises:
        UserError: no run, no checkpoint, no data, or a run that trained no classifier.
    """
    import jax

    from dl.training.restored import restore
    from dl.training.workdir import read_config

    config = read_config(workdir)
    if config.task.name != "classification":
        raise UserError(f"--workdir={workdir} trained no classifier, but the task {config.task.name}.")
    restored = restore(config, workdir, which, data_dir, manual_dir)
    params, variables = jax.device_get(restored.replica(replica))
    info = restored.experiment.dataset.info
    height, width, channels = info.shapes["image"]
    settings = {key: value for key, value in config.model.to_dict().items() if key != "name"}
    model = published.build(config.model.name, settings, info.num_classes, dtype or config.dtype)
    mean, std = (np.broadcast_to(np.asarray(config.dataset[key], np.float32), (channels,)) for key in ("mean", "std"))
    variables = {"params": params["model"], **variables}
    shape, resize = (height, width, channels), min(height, width)
    return Classifier(config.model.name, settings, model, variables, mean, std, shape, resize, info.class_names)


def save(classifier: Classifier, path: Path) -> Path:
    """Writes a file and the record beside it; into a folder, `weights.safetensors` with its record.

    Names are torchvision's, or, of what is not published, ours (`dl.interop.own`).

    Returns:
        The file of weights.

    Raises:
        UserError: a file that can't be written.
    """
    file = path if path.suffix in weights.SUFFIXES else path / weights.FOLDER_FILE
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {file.parent}: {error.strerror}.") from error
    weights.write(file, torchvision.to_state(layout(classifier), classifier.variables))
    record = {
        "model": classifier.name,
        "settings": {**classifier.settings, "num_classes": classifier.num_classes},
        "mean": classifier.mean.tolist(),
        "std": classifier.std.tolist(),
        "shape": classifier.shape,
        "resize": classifier.resize,
        "class_names": classifier.class_names,
    }
    try:
        file.with_suffix(".json").write_text(json.dumps(record, indent=2) + "\n")
    except OSError as error:
        raise UserError(f"cannot write {file.with_suffix('.json')}: {error.strerror}.") from error
    return file


def layout(classifier: Classifier) -> Layout:
    """Where a state dict has the classifier's layers."""
    return published.published(classifier.name, {}).layout(classifier.model)


def _named(classifier: Classifier, name: str, path: Path) -> Classifier:
    if name not in ("", classifier.name):
        raise UserError(f"the run {path} trained {classifier.name}, not {name}.")
    return classifier


def _read_record(file: Path) -> dict[str, Any]:
    """What stands beside a file of weights; {} for a file of others, which may have some other `.json` beside it.

    Raises:
        UserError: it can't be read, or has our keys and not what belongs to them.
    """
    path = file.with_suffix(".json")
    if not path.is_file():
        return {}
    try:
        record = read_json(path, object)
    except UserError as error:
        raise UserError(f"{error} It belongs to {file.name}: convert the weights again.") from error
    if isinstance(record, dict) and record.keys() == {"task", "config"}:
        raise UserError(f"{file} has the weights of a run of the task {record['task']!r}, which trained no classifier.")
    ours = isinstance(record, dict) and 2 * len(record.keys() & KEYS.keys()) > len(KEYS)
    if not ours and file.name != weights.FOLDER_FILE:
        return {}
    if not isinstance(record, dict) or (missing := [key for key in KEYS if key not in record]):
        lacks = f"it has no {missing[0]}" if isinstance(record, dict) else "it should hold an object in JSON"
        raise UserError(f"{path} is damaged: {lacks}; convert the weights again.")
    wrong = [key for key, good in KEYS.items() if not good(record[key])]
    wrong = wrong or [text for text, good in TOGETHER.items() if not good(record)]
    if wrong:
        raise UserError(f"{path} is damaged: {wrong[0]} can't be so; convert the weights again.")
    return {**record, "settings": {key: _tuples(value) for key, value in record["settings"].items()}}


def _tuples(value: Any) -> Any:
    # JSON knows no tuples, and the settings of a model no lists.
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _numbers(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) in (int, float) and abs(n) < 1e6 for n in value)


def _size(value: Any) -> bool:
    right = isinstance(value, list) and len(value) == 3 and all(type(n) is int and n > 0 for n in value)
    return right and math.prod(value) <= MOST_PIXELS


def _settings(value: Any) -> bool:
    classes = value.get("num_classes", 1) if isinstance(value, dict) else 0
    return type(classes) is int and 0 < classes <= MOST_CLASSES


# Of a record, and what each entry must be.
KEYS: dict[str, Callable[[Any], bool]] = {
    "model": lambda value: isinstance(value, str),
    "settings": _settings,
    "mean": _numbers,
    "std": lambda value: _numbers(value) and 0 not in value,
    "shape": _size,
    "resize": lambda value: type(value) is int and 0 < value * value <= MOST_PIXELS,
    "class_names": lambda value: isinstance(value, list) and all(isinstance(name, str) for name in value),
}
# What must be of several entries.
TOGETHER: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "mean and std": lambda record: len(record["mean"]) == len(record["std"]) == record["shape"][2],
    "resize and shape": lambda record: record["resize"] >= min(record["shape"][:2]),
    "class_names": lambda record: len(record["class_names"]) in (0, record["settings"].get("num_classes", 0)),
}
