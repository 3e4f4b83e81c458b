"""The configuration of an experiment: the keys that every config shares, and what identifies a run.

A file in `configs/` starts from `base()` and changes what its experiment needs, so that a flag means the same everywhere.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from dl.errors import UserError


def base() -> ConfigDict:
    """The shared keys with their defaults. Sections that differ from experiment to experiment are replaced whole."""
    return ConfigDict(
        {
            "seed": 0,  # replica r uses seed + r
            "replicas": 1,  # independent runs in one program
            "replicate": "unroll",  # or "vmap": how the replicas of one device share it
            "steps": 0,  # give steps or epochs, not both
            "epochs": 0.0,
            "batch_size": 128,  # examples a step, over all devices
            "microbatches": 1,  # gradients of so many equal parts of the batch are averaged before an update
            "steps_per_dispatch": 1,  # steps that one call of the compiled program takes
            "dtype": "float32",  # of the computation; parameters are always float32
            "deterministic": True,  # on GPUs: no operation whose result may differ from run to run (docs/architecture.md)
            "ema": 0.0,  # decay of the exponential moving average of the parameters; 0 is none
            "dataset": _dataset(),
            "augmentation": {},  # name -> settings, in the order of dl.data.augmentation
            "test_time": {"samples": 1, "augmentation": {}},  # predictions averaged over so many copies; {}: as in training
            "model": {"name": "mlp"},
            "task": {"name": "classification"},
            "optimizer": _optimizer(),
            "mesh": {"replica": -1, "data": -1, "fsdp": 1, "model": 1, "rules": ()},  # -1: what the devices allow
            "intervals": "steps",  # or "epochs": the unit of the three intervals that follow
            "log_every": 100,  # between lines in metrics.jsonl
            "eval_every": 0,  # 0: only at the end
            "eval_batch_size": 1000,
            "checkpoint_every": 0,  # 0: only at the end
            "best": {"metric": ""},  # of the checkpoint that is kept besides the latest, e.g. "validation/error"
            "early_stopping": {"metric": "", "patience": 0},  # evaluations without improvement
            "reference": _reference(),
        },
        convert_dict=True,
    )


def _dataset() -> dict[str, Any]:
    """Where the examples come from, and how they are read."""
    return {
        "name": "digits",
        "splits": {"train": "train", "test": "test"},  # TFDS's slicing syntax; "validation" where there is one
        "path": "",  # of one's own images (name "folder"), arrays ("npz") or text
        "channels": 3,  # of one's own images: 1 is grey
        "holdout": 10.0,  # percent of one's own examples for validation, and as many for the test
        "num_classes": 0,  # of one's own arrays; 0: the largest label and one
        "variant": "",  # of a dataset that has several, e.g. EMNIST's "letters"
        "batches": "examples",  # how training batches are made of a split: a name of dl.data.batches
        "workers": 0,  # processes that read and decode, for data larger than memory
        "margin": 0,  # pixels cut off every side of an image, before all else
        "size": (0, 0),  # height and width of images; (0, 0) leaves them
        "fit": "pad",  # or "resize", "crop": how images get that size
        "mean": (0.0,),  # subtracted from pixels in 0..1, a channel each or one for all
        "std": (1.0,),  # then divided by
    }


def _optimizer() -> dict[str, Any]:
    """Besides these, what the optimizer takes: momentum, b1, weight_decay, ..."""
    return {
        "name": "sgd",
        "learning_rate": 0.1,
        "schedule": {"name": "constant"},
        "clip_norm": 0.0,  # global norm; 0 is none
        "l1": 0.0,  # l1 * sum |w| + l2 / 2 * sum w^2, over weights, not biases or scales
        "l2": 0.0,
        "rules": (),  # see dl.training.optimizers
    }


def _reference() -> dict[str, Any]:
    """The published result to be measured against."""
    return {
        "metric": "",
        "value": 0.0,
        "source": "",
        "dataset": "",  # what it was measured on (see `measured_on`); programs fill it in from the published setting
        "setting": "",  # how this run differs from the published setting, or "published"; filled in likewise
    }


def flatten(config: ConfigDict) -> dict[str, Any]:
    """`{"optimizer.learning_rate": 0.1, ...}`, tuples as lists: what JSON would give back. Empty sections count as a value."""
    return _leaves(json.loads(json.dumps(config.to_dict())))


# Raised when what a hash means changes: a default of `base()` that gets another value, say.
HASH_VERSION = 2
# What does not change what is learned.
UNHASHED = ("mesh.", "reference.")
# Sections whose keys differ from one configuration to another: there, an absent key is not one with its default.
OPEN = ("dataset.splits.",)
# Keys that a model, task or optimizer got after results were kept, with the value that stands for what was done before.
LATER: dict[str, Any] = {"task.dropout": 0.0}
# Keys that were there when runs were kept, and say nothing any more.
REMOVED = ("best.mode", "early_stopping.mode", "reference.mode")
# Keys that had another name when runs were kept.
RENAMED = {"task.anew": "task.reinitialise"}


def config_hash(config: ConfigDict) -> str:
    """SHA-256 of the configuration, in hexadecimal.

    Keys that have their default (`base()`, `LATER`) are left out, so that a key that is added with a default leaves every
    hash as it was; the mesh and the reference are left out because they do not change what is learned.
    """
    defaults = {**flatten(base()), **LATER}
    kept = {
        key: value
        for key, value in flatten(config).items()
        if not key.startswith((*UNHASHED, *REMOVED))
        and (key.startswith(OPEN) or key not in defaults or not _same(value, defaults[key]))
    }
    return hashlib.sha256(json.dumps([HASH_VERSION, kept], sort_keys=True).encode()).hexdigest()


def completed(config: Mapping[str, Any]) -> ConfigDict:
    """A configuration as it was stored, perhaps by an older version: renamed keys have today's names, new ones their default.

    Args:
        config: nested dictionaries, tuples as tuples.

    Raises:
        UserError: it lacks what every configuration has.
    """
    for section in ("dataset", "model", "task", "optimizer"):
        if not isinstance(config.get(section), Mapping) or not isinstance(config[section].get("name"), str):
            raise UserError(f"it has no {section}.name")
    _check_sections(config, base().to_dict())
    flat = {RENAMED.get(key, key): value for key, value in _leaves(config).items()}
    defaults = _leaves(base().to_dict())
    for key in REMOVED:
        if key not in defaults:
            flat.pop(key, None)
    for key, default in defaults.items():
        empty = default == {} and any(other.startswith(f"{key}.") for other in flat)
        if not key.startswith(OPEN) and not empty:
            flat.setdefault(key, default)
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *sections, name = key.split(".")
        place = nested
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise UserError(f"{section} should be an object")
        place[name] = value
    return ConfigDict(nested)


def _check_sections(config: Mapping[str, Any], known: Mapping[str, Any], prefix: str = "") -> None:
    """Raises UserError where something else stands in the place of a section of `known`, or of the text that a split is."""
    for key, value in known.items():
        if isinstance(value, Mapping) and key in config:
            if not isinstance(config[key], Mapping):
                raise UserError(f"{prefix}{key} should be an object")
            _check_sections(config[key], value, f"{prefix}{key}.")
        if prefix + key == "dataset.splits" and not all(isinstance(split, str) for split in config.get(key, {}).values()):
            raise UserError(f"{prefix}{key} should hold texts")


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        leaves |= _leaves(value, f"{prefix}{key}.") if isinstance(value, Mapping) and value else {prefix + key: value}
    return leaves


def _same(a: Any, b: Any) -> bool:
    return json.dumps(a) == json.dumps(b)  # 1, 1.0 and True are three values


# The keys of `dataset` that decide what a metric means; others say how examples are read and shown to the model.
MEASURED = ("name", "variant", "level", "path")


def measured_on(config: ConfigDict | Mapping[str, Any]) -> str:
    """The data that the reference's metric is measured on: dataset and slice, such as `"mnist test"`, `"ptb word test"`.

    Args:
        config: a configuration, or the same as nested dictionaries.
    """
    dataset = config.get("dataset") or {}
    split = str((config.get("reference") or {}).get("metric") or "").partition("/")[0]
    names = [dataset.get(key) for key in MEASURED] + [(dataset.get("splits") or {}).get(split)]
    return " ".join(str(name) for name in names if name)


def reference(config: ConfigDict | Mapping[str, Any]) -> dict[str, Any]:
    """The reference of a configuration, where it holds for the data that is configured; empty where it does not.

    Args:
        config: a configuration, or the same as nested dictionaries.
    """
    found = dict(config.get("reference") or {})
    holds = found.get("metric") and found.get("dataset") in (None, "", measured_on(config))
    return found if holds else {}


# Overrides that leave a setting the published one.
UNIMPORTANT = {"seed", "replicas", "replicate", "steps_per_dispatch", "log_every", "eval_every", "eval_batch_size"}
UNIMPORTANT |= {"checkpoint_every", "dataset.workers", "deterministic"}


def cite(config: ConfigDict, published: ConfigDict, variant: str, overrides: Mapping[str, Any]) -> None:
    """Notes in `config.reference` what the reference was measured on, and how the configuration differs from its setting.

    Args:
        config: the configuration as it will be used.
        published: what its file returns without a variant: the setting that the reference is of.
        variant: variant of the configuration.
        overrides: flat keys that were changed by flags. Whoever gives a reference by flags means it for the data given.
    """
    if not config.reference.get("metric"):
        return
    own = any(key.startswith("reference.") for key in overrides)
    changes = [variant] * bool(variant)
    changes += [f"{k}={v}" for k, v in overrides.items() if k not in UNIMPORTANT and not k.startswith(UNHASHED)]
    with config.unlocked():
        config.reference.dataset = measured_on(config if own else {**published, "reference": config.reference})
        config.reference.setting = ", ".join(changes) or "published"


def variants(config: ConfigDict) -> list[tuple[int, int]]:
    """Seed and number of the learning rate of each replica: replica r has seed + r.

    Where an optimizer's `learning_rate` is a tuple of L rates, as `experiments.sweep` makes it, the replicas are L groups of
    equal size, group i with the rate number i, and the seeds start again in each.

    Raises:
        UserError: the replicas do not divide so, or there are tuples of different lengths.
    """
    rates = {len(v) for k, v in flatten(config).items() if k.rpartition(".")[2] == "learning_rate" and isinstance(v, list)}
    if len(rates) > 1:
        raise UserError(f"all lists of learning rates must have the same length, not {sorted(rates)}.")
    count = max(rates, default=1)
    if count == 0 or config.replicas % count:
        raise UserError(f"config.replicas={config.replicas} must be a multiple of the number of learning rates, {count}.")
    size = config.replicas // count
    return [(config.seed + r % size, r // size) for r in range(config.replicas)]


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """One line for each key in which two flattened configurations differ: `"key: old -> new"`, sorted by key.

    A key that one of them lacks has its default there, so that a key added to `base()` makes no difference.
    """
    defaults = {k: v for k, v in {**flatten(base()), **LATER}.items() if not k.startswith(OPEN)}

    def value(config: dict[str, Any], key: str) -> Any:
        return config.get(key, defaults.get(key, "(absent)"))

    keys = sorted(key for key in old.keys() | new.keys() if key not in REMOVED)
    return [f"{k}: {value(old, k)} -> {value(new, k)}" for k in keys if value(old, k) != value(new, k)]
