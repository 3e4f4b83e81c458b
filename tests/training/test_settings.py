"""A name that a flag gives takes its own settings; those of the old name go, and are told."""

import runpy

import pytest

from dl import registry
from dl.config import base
from dl.errors import UserError
from dl.training.assembly import assemble
from dl.training.settings import prepare
from tests.conftest import REPOSITORY


def config(name, variant=""):
    made = runpy.run_path(str(REPOSITORY / "configs" / f"{name}.py"))["get_config"](variant)
    made.lock()
    return made


def test_another_model_takes_its_own_settings():
    made = config("imagenet_resnet50", "smoke")
    made.model.zero_last_scale = True
    said = prepare(made, {"model.name": "mlp", "model.hidden": "(8,)"})
    assert said == [
        "config.model.name is 'mlp', so these settings of 'resnet_cifar' are dropped: depth=8, width=4, zero_last_scale=True."
    ]
    assert dict(made.model) == {"name": "mlp", "hidden": (512,)}  # its default, of the type that the flag must have
    made.mesh.data = 1
    assemble(made)


def test_no_other_name_drops_nothing():
    made = config("digits_mlp")
    assert prepare(made, {"model.name": "mlp", "model.dropout": "0.1", "optimizer.name": "adam"}) == []
    assert made.model.hidden == (128,) and made.model.dropout == 0.0


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("model.depth", int),
        ("model.zero_last_scale", bool),
        ("model.stochastic_depth", float),
        ("optimizer.schedule.boundaries", object),
        ("augmentation.cutout.size", object),
        ("augmentation.flip.vertical", bool),
        ("dataset.random_crop.scale", tuple),
        ("task.loss", str),
    ],
)
def test_a_setting_keeps_its_type(key, kind):
    made = config("cifar10_resnet20")
    prepare(made, {key: "", "optimizer.schedule.name": "step"})
    holder = made
    for part in key.split(".")[:-1]:
        holder = holder[part]
    assert issubclass(holder.get_type(key.split(".")[-1]), kind) or kind is object


def test_another_optimizer_keeps_what_all_have():
    made = config("cifar10_resnet20")
    said = prepare(made, {"optimizer.name": "adam", "optimizer.b1": "0.5"})
    assert said == ["config.optimizer.name is 'adam', so these settings of 'momentum' are dropped: momentum=0.9."]
    assert made.optimizer.l2 == 1e-4 and made.optimizer.schedule.boundaries == (0.5, 0.75) and "b1" in made.optimizer


def test_another_schedule_keeps_the_warm_up_where_it_takes_one():
    made = config("imagenet_resnet50", "step")
    prepare(made, {"optimizer.schedule.name": "cosine", "optimizer.schedule.final": "0.1"})
    assert set(made.optimizer.schedule) == {"name", "warmup_steps", "final"}
    prepare(made, {"optimizer.schedule.name": "one_cycle"})
    assert set(made.optimizer.schedule) == {"name"}


def test_the_optimizer_of_a_task_too():
    made = config("mnist_dbn")
    said = prepare(made, {"task.pretraining.optimizer.name": "adam", "task.pretraining.optimizer.schedule.name": "cosine"})
    assert "momentum=0.5" in said[0]
    assert set(made.task.pretraining.optimizer) == {"name", "learning_rate", "l2", "schedule"}


def test_another_task_takes_its_own_settings():
    made = config("cifar10_fast")
    said = prepare(made, {"task.name": "reconstruction", "task.noise.amount": "0.3"})
    assert "smoothing=0.2, whitened='whiten'" in said[0]
    assert made.task.to_dict() == {"name": "reconstruction", "noise": {"name": "none", "amount": 0.0}}


def test_a_dataset_keeps_what_the_new_one_takes():
    """Words stay words in a text of one's own; the settings of windows are of the batches."""
    made = config("ptb_lstm_small")
    assert prepare(made, {"dataset.name": "text", "dataset.path": "x"}) == []
    assert made.dataset.level == "word" and made.dataset.window == 20
    said = prepare(made, {"dataset.name": "digits", "dataset.batches": "pairs", "dataset.ratio": "3"})
    assert {"level", "window", "shift"}.isdisjoint(made.dataset) and made.dataset.ratio == 1.0
    assert "level='word'" in said[0] and "window=20" in said[1]


WRONG = {
    "model": ({"model.name": "lenet"}, "unknown model 'lenet'. Did you mean 'lenet5'"),
    "setting": ({"model.name": "resnet_cifar", "model.dept": "3"}, 'no such key: model.dept. Did you mean "depth"'),
    "task": ({"task.name": "similar"}, "unknown task 'similar'. Did you mean 'similarity'"),
    "optimizer": ({"optimizer.name": "addam"}, "unknown optimizer 'addam'. Did you mean 'adam'"),
    "schedule": ({"optimizer.schedule.name": "cosin"}, "unknown schedule 'cosin'. Did you mean 'cosine'"),
    "batches": ({"dataset.batches": "pair"}, "unknown way to make batches 'pair'. Did you mean 'pairs'"),
    "augmentation": ({"augmentation.flop.vertical": "1"}, 'no such key: augmentation.flop.vertical. Did you mean "flip"'),
    "key of all": ({"batch_sice": "3"}, 'no such key: batch_sice. Did you mean "batch_size"'),
    "section": ({"modle.name": "mlp"}, 'no such key: modle.name. Did you mean "model"'),
    "value": ({"batch_size.name": "3"}, "no such key: batch_size.name, as config.batch_size is a value"),
    "dataset": ({"dataset.window": "3"}, "no such key: dataset.window"),
}


@pytest.mark.parametrize(("flags", "said"), WRONG.values(), ids=WRONG)
def test_what_does_not_exist_is_refused(flags, said):
    with pytest.raises(UserError) as caught:
        prepare(config("digits_mlp"), flags)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_every_task_and_every_config_is_in_the_tables():
    """What the configs set must be known, or another name's settings could not be told from it."""
    tables = registry.settings("dl.tasks")
    assert set(registry.public("dl.tasks")) == set(tables)
    for path in sorted((REPOSITORY / "configs").glob("*.py")):
        made = config(path.stem)
        unknown = set(made.task) - {"name"} - set(tables[made.task.name])
        assert not unknown, (path.stem, unknown)
        names = {f"{section}.name": made[section].name for section in ("model", "optimizer", "dataset")}
        flags = {**names, "dataset.batches": made.dataset.batches}
        flags |= {f"{s}.{key}": "" for s in ("model", "optimizer", "dataset") for key in made[s] if f"{s}.{key}" not in flags}
        prepare(base(), flags)


def test_a_split_is_added_by_flag_under_any_name():
    config = base()
    given = {"dataset.splits.train": "train[:90%]", "dataset.splits.validation": "train[90%:]"}
    assert prepare(config, given) == []
    config.update_from_flattened_dict(given)
    assert config.dataset.splits.to_dict() == {"train": "train[:90%]", "validation": "train[90%:]", "test": "test"}
