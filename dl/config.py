"""The configuration of an experiment: the keys that every config shares, and what identifies a run.

A file in `configs/` starts from `base()` and changes what its experiment needs, so that a flag means the same everywhere.
"""

import hashlib
import json
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
            "ema": 0.0,  # decay of the exponential moving average of the parameters; 0 is none
            "dataset": {
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
            },
            "augmentation": {},  # name -> settings, in the order of dl.data.augmentation
            "test_time": {"samples": 1, "augmentation": {}},  # predictions averaged over so many copies; {}: as in training
            "model": {"name": "mlp"},
            "task": {"name": "classification"},
            "optimizer": {  # besides these, what the optimizer takes: momentum, b1, weight_decay, ...
                "name": "sgd",
                "learning_rate": 0.1,
                "schedule": {"name": "constant"},
                "clip_norm": 0.0,  # global norm; 0 is none
                "l1": 0.0,  # l1 * sum |w| + l2 / 2 * sum w^2, over weights, not biases or scales
                "l2": 0.0,
                "rules": (),  # see dl.training.optimizers
            },
            "mesh": {"replica": -1, "data": -1, "fsdp": 1, "model": 1, "rules": ()},  # -1: what the devices allow
            "intervals": "steps",  # or "epochs": the unit of the three intervals that follow
            "log_every": 100,  # between lines in metrics.jsonl
            "eval_every": 0,  # 0: only at the end
            "eval_batch_size": 1000,
            "checkpoint_every": 0,  # 0: only at the end
            "best": {"metric": ""},  # of the checkpoint that is kept besides the latest, e.g. "validation/error"
            "early_stopping": {"metric": "", "patience": 0},  # evaluations without improvement
            "reference": {
                "metric": "",
                "mode": "min",
                "value": 0.0,
                "source": "",
            },  # the published result to be measured against
        },
        convert_dict=True,
    )


def flatten(config: ConfigDict) -> dict[str, Any]:
    """`{"optimizer.learning_rate": 0.1, ...}`, tuples as lists: what JSON would give back. Empty sections count as a value."""

    def walk(tree: dict[str, Any], prefix: str) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key, value in tree.items():
            if isinstance(value, dict) and value:
                out |= walk(value, f"{prefix}{key}.")
            else:
                out[prefix + key] = value
        return out

    return walk(json.loads(json.dumps(config.to_dict())), "")


def config_hash(config: ConfigDict) -> str:
    """SHA-256 of the configuration, in hexadecimal; the mesh is left out, because it does not change what is learned."""
    kept = {key: value for key, value in flatten(config).items() if not key.startswith("mesh.")}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


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
    """One line for each key in which two flattened configurations differ: `"key: old -> new"`, sorted by key."""
    missing = "(absent)"
    keys = sorted(old.keys() | new.keys())
    return [f"{k}: {old.get(k, missing)} -> {new.get(k, missing)}" for k in keys if old.get(k, missing) != new.get(k, missing)]
