"""What identifies a run: the hash, the differences, the reference that it is measured against."""

import json

import pytest
from absl import flags
from ml_collections import ConfigDict, config_flags

from dl import config as module
from dl.config import base, cite, config_hash, differences, flatten, measured_on, reference
from experiments.program import note_reference

# A default that changes would change the meaning of stored hashes without changing them. Set the new value in the files of
# configs/ instead, or raise HASH_VERSION together with this list. A key that is new is added here.
DEFAULTS = json.loads(r"""{
"augmentation": {},
"batch_size": 128,
"best.metric": "",

"checkpoint_every": 0,
"dataset.batches": "examples",
"dataset.channels": 3,
"dataset.fit": "pad",
"dataset.holdout": 10.0,
"dataset.margin": 0,
"dataset.mean": [0.0],
"dataset.name": "digits",
"dataset.num_classes": 0,
"dataset.path": "",
"dataset.size": [0, 0],
"dataset.splits.test": "test",
"dataset.splits.train": "train",
"dataset.std": [1.0],
"dataset.variant": "",
"dataset.workers": 0,
"deterministic": true,
"dtype": "float32",
"early_stopping.metric": "",

"early_stopping.patience": 0,
"ema": 0.0,
"epochs": 0.0,
"eval_batch_size": 1000,
"eval_every": 0,
"intervals": "steps",
"log_every": 100,
"mesh.data": -1,
"mesh.fsdp": 1,
"mesh.model": 1,
"mesh.replica": -1,
"mesh.rules": [],
"microbatches": 1,
"model.name": "mlp",
"optimizer.clip_norm": 0.0,
"optimizer.l1": 0.0,
"optimizer.l2": 0.0,
"optimizer.learning_rate": 0.1,
"optimizer.name": "sgd",
"optimizer.rules": [],
"optimizer.schedule.name": "constant",
"reference.dataset": "",
"reference.metric": "",
"reference.setting": "",
"reference.source": "",
"reference.value": 0.0,
"replicas": 1,
"replicate": "unroll",
"seed": 0,
"steps": 0,
"steps_per_dispatch": 1,
"task.name": "classification",
"test_time.augmentation": {},
"test_time.samples": 1
}""")


def test_the_defaults_are_those_that_hashes_leave_out():
    assert flatten(base()) == DEFAULTS
    assert module.HASH_VERSION == 2


def test_a_key_that_is_added_with_its_default_leaves_every_hash_as_it_was(monkeypatch):
    config = base()
    config.model = ConfigDict({"name": "lenet5"})
    before, stored = config_hash(config), flatten(config)

    def later():
        made = base()
        with made.unlocked():
            made.brand_new, made.dataset.brand_new = 3, {"a": (), "b": 1}
        return made

    monkeypatch.setattr(module, "base", later)
    new = later()
    new.model = ConfigDict({"name": "lenet5"})
    assert config_hash(new) == before == config_hash(config)
    assert differences(stored, flatten(new)) == []
    new.brand_new = 4
    assert config_hash(new) != before and differences(stored, flatten(new)) == ["brand_new: 3 -> 4"]


@pytest.mark.parametrize(
    ("key", "value"),
    [("seed", 1), ("batch_size", 64), ("model.name", "lenet5"), ("dataset.splits.test", "train"), ("optimizer.l2", 1e-4)],
)
def test_what_is_learned_differently_has_another_hash(key, value):
    config = base()
    config.update_from_flattened_dict({key: value})
    assert config_hash(config) != config_hash(base())


def test_a_split_that_is_not_there_is_not_one_with_its_default():
    config = base()
    config.dataset.splits = ConfigDict({"train": "train"})
    assert config_hash(config) != config_hash(base())
    assert differences(flatten(config), flatten(base())) == ["dataset.splits.test: (absent) -> test"]


def test_mesh_and_reference_are_not_hashed():
    config = base()
    config.mesh.data = 4
    config.reference.update(metric="test/error", value=0.1)
    assert config_hash(config) == config_hash(base())


def mnist(**changes) -> ConfigDict:
    config = base()
    config.dataset.name = "mnist"
    config.reference.update(metric="test/error", value=0.0095, source="LeCun et al. 1998")
    config.update_from_flattened_dict({key.replace("__", "."): value for key, value in changes.items()})
    return config


HOLDS = {
    "published": ({}, "", "published"),
    "another seed": ({"seed": 3, "mesh__data": 2}, "", "published"),
    "another setting": ({"epochs": 6.0}, "", "epochs=6.0"),
    "a variant": ({"epochs": 6.0}, "quick", "quick, epochs=6.0"),
    "fewer examples": ({"dataset__splits__train": "train[:100]"}, "", "dataset.splits.train=train[:100]"),
}
FAILS = {
    "another dataset": {"dataset__name": "usps"},
    "another variant of it": {"dataset__name": "emnist", "dataset__variant": "letters"},
    "one's own": {"dataset__name": "folder", "dataset__path": "mine"},
    "another slice": {"dataset__splits__test": "train"},
}


@pytest.mark.parametrize(("changes", "variant", "setting"), HOLDS.values(), ids=HOLDS)
def test_a_reference_holds_for_its_data_and_says_the_setting(changes, variant, setting):
    config = mnist(**changes)
    cite(config, mnist(), variant, {key.replace("__", "."): value for key, value in changes.items()})
    assert reference(config) == {
        "metric": "test/error",
        "value": 0.0095,
        "source": "LeCun et al. 1998",
        "dataset": "mnist test",
        "setting": setting,
    }
    assert reference(config.to_dict()) == reference(config)


@pytest.mark.parametrize("changes", FAILS.values(), ids=FAILS)
def test_a_reference_of_other_data_does_not_hold(changes):
    for variant in ("", "smoke"):  # by flags, or by a variant of the file
        config = mnist(**changes)
        cite(config, mnist(), variant, {} if variant else {key.replace("__", "."): value for key, value in changes.items()})
        assert reference(config) == {}
        assert config.reference.dataset == "mnist test"


def test_a_reference_that_flags_give_is_for_the_data_that_are_there():
    changes = {"dataset__name": "usps", "reference__value": 0.02}
    config = mnist(**changes)
    cite(config, mnist(), "", {key.replace("__", "."): value for key, value in changes.items()})
    assert reference(config)["dataset"] == "usps test"


def test_what_is_measured_on_a_text_has_a_level():
    config = base()
    config.dataset = ConfigDict({"name": "ptb", "level": "word", "splits": {"test": "test"}})
    config.reference.metric = "test/perplexity"
    assert measured_on(config) == "ptb word test"


COMMANDS = {
    "configs/mnist_lenet5.py": ("mnist test", True),
    "configs/mnist_lenet5.py:quick": ("mnist test", True),
    "configs/mnist_lenet5.py:smoke": ("mnist test", False),
    "configs/mnist_lenet5.py --config.dataset.name=usps": ("mnist test", False),
    "configs/ptb_lstm_large.py:smoke": ("ptb word test", False),
    "configs/tiny_shakespeare_lstm.py:quick": ("tiny_shakespeare character train[90%:]", True),
    "configs/imagenet_resnet50.py:folder": ("", False),
}


@pytest.mark.parametrize(("given", "expected"), COMMANDS.items())
def test_the_reference_of_a_command(given, expected):
    words = ["x", *f"--config={given}".split()]
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=words)
    values(words)
    found = values.config
    flag = values["config"]
    note_reference(found, config_flags.get_config_filename(flag), config_flags.get_override_values(flag))
    assert (found.reference.dataset, bool(reference(found))) == expected
