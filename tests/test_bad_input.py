"""What is wrong is said in one line, with what to do about it: the configuration, the mesh, the names.

Data that is wrong or missing: tests/data/test_sources*.py. Workdirs, checkpoints, disks, NaN: tests/experiments/test_train.py.
"""

import pytest

from dl.config import base
from dl.errors import UserError
from dl.training.assembly import assemble
from tests.experiments.programs import CONFIG, end, one_line, start

# In the order of the flags: what is given, and what the line must say.
FLAGS = {
    "key": (["--config.batch_sice=3"], ["no such key", "batch_sice", 'Did you mean "batch_size"']),
    "nested key": (["--config.optimizer.learning_rat=3"], ["no such key", 'Did you mean "learning_rate"']),
    "type": (["--config.batch_size=many"], ["--config.batch_size=many", "invalid literal for int()"]),
    "flag": (["--wrokdir=x"], ["Unknown command line flag 'wrokdir'", "Did you mean: workdir"]),
    "config file": (
        ["--config=configs/digits_lenet.py"],
        ["there is no such config file", "Did you mean 'configs/digits_lenet5.py'?", "Choices:"],
    ),
    "variant": (
        ["--config=configs/digits_lenet5.py:smoky"],
        ["digits_lenet5.py: unknown variant 'smoky'. Did you mean 'smoke'? Choices: quick, smoke."],
    ),
    "dataset": (["--config.dataset.name=diggits"], ["unknown dataset 'diggits'. Did you mean 'digits'?", "mnist"]),
    "mesh": (["--config.mesh.data=3"], ["needs 3 devices, there are 1", "JAX_NUM_CPU_DEVICES=3"]),
    "activation": (["--config.model.activation=rellu"], ["unknown activation 'rellu'. Did you mean 'relu'?", "tanh"]),
}


@pytest.mark.parametrize(("flags", "said"), FLAGS.values(), ids=FLAGS)
def test_a_program_ends_with_one_line(flags, said, workdir):
    given = [f"--workdir={workdir}", *flags]
    if not any(flag.startswith("--config=") for flag in flags):
        given = [f"--config={CONFIG}", *given]
    line = one_line(end(start("train", *given)))
    for part in said:
        assert part in line
    assert not list(workdir.glob("checkpoints/*"))


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("reproduce", "--run=nope"), "there is no such config file: "),
        (("launch", "--processes=1", "--", "/"), "the program '/' cannot be launched: "),
    ],
)
def test_what_cannot_be_started_is_one_line(command, said):
    assert one_line(end(start(*command))).startswith(said)


def test_the_workdir_must_be_given():
    assert "workdir" in one_line(end(start("train", f"--config={CONFIG}")))
    assert "--workdir is empty" in one_line(end(start("train", f"--config={CONFIG}", "--workdir=")))


def config(**changes):
    made = base()
    made.update(steps=1, batch_size=8)
    made.update(model={"name": "mlp", "hidden": (8,), "dropout": 0.0})
    made.mesh.update(data=1)
    with made.ignore_type():  # as a config file may
        for key, value in changes.items():
            made.update_from_flattened_dict({key.replace("__", "."): value})
    return made


NAMES = {
    "model": ({"model__name": "lenet"}, r"unknown model 'lenet'. Did you mean 'lenet5'\? Choices: .*\bmlp\b"),
    "optimizer": ({"optimizer__name": "addam"}, r"unknown optimizer 'addam'. Did you mean 'adam'\? Choices: .*\bsgd\b"),
    "task": ({"task__name": "clasification"}, r"unknown task 'clasification'. Did you mean 'classification'\?"),
    "activation": ({"model__activation": "ReLU"}, r"unknown activation 'ReLU'.*Choices: .*\btanh\b"),
    "dataset": ({"dataset__name": "mnits"}, r"unknown dataset 'mnits'. Did you mean 'mnist'\?"),
    "dtype": ({"dtype": "float16"}, r"config.dtype must be float32 or bfloat16, got 'float16'"),
    "replicate": ({"replicate": "map"}, r"unknown way to replicate 'map'"),
}
NUMBERS = {
    "batch_size": ({"batch_size": 0}, r"config.batch_size must be at least 1, got 0"),
    "seed": ({"seed": -1}, r"config.seed must not be negative, got -1"),
    "ema": ({"ema": 1.0}, r"config.ema must be in \[0, 1\), got 1.0"),
    "steps and epochs": ({"epochs": 1.0}, r"give steps or epochs, one of them"),
    "replicas": ({"replicas": 3, "mesh__replica": 2}, r"3 replicas do not divide over mesh.replica=2"),
    "devices": ({"mesh__data": 4, "mesh__model": 4}, r"needs 16 devices, there are 8"),
    "batch over mesh": ({"batch_size": 12, "mesh__data": 8}, r"batch_size=12 does not divide into 8 parts.*multiple of 8"),
    "microbatches": (
        {"batch_size": 8, "microbatches": 3},
        r"batch_size=8 does not divide.*3 microbatches: make it a multiple of 3",
    ),
    "float for int": ({"batch_size": 1.5}, r"config.batch_size must be a whole number, got 1.5"),
    "bool for int": ({"steps": True}, r"config.steps must be a whole number, got True"),
    "text for int": ({"seed": "x"}, r"config.seed must be a whole number, got 'x'"),
    "large seed": ({"seed": 99999999999}, r"config.seed must be at most 4,294,967,295, got 99999999999"),
    "last seed": ({"seed": 2**32 - 1, "replicas": 2}, r"config.seed=4294967295 leaves no room for 2 replicas"),
    "many replicas": ({"replicas": 10**11}, r"config.replicas must be at most 10,000"),
    "many steps": ({"steps": 10**11}, r"config.steps must be at most 2,147,483,647"),
    "epochs nan": ({"steps": 0, "epochs": float("nan")}, r"config.epochs must be a finite number, got nan"),
    "epochs inf": ({"steps": 0, "epochs": float("inf")}, r"config.epochs must be a finite number, got inf"),
    "many epochs": ({"steps": 0, "epochs": 1e300}, r"the run would take 1.8e\+302 steps, more than 2,147,483,647"),
    "ema nan": ({"ema": float("nan")}, r"config.ema must be a finite number"),
    "test-time samples": ({"test_time__samples": 0}, r"config.test_time.samples must be at least 1, got 0"),
    "patience": ({"early_stopping__patience": -1}, r"config.early_stopping.patience must not be negative"),
    "mesh": ({"mesh__model": 10**11}, r"config.mesh.model must be at most"),
    "mesh type": ({"mesh__fsdp": "x"}, r"config.mesh.fsdp must be a whole number"),
    "large batch": ({"batch_size": 10**11}, r"config.batch_size must be at most 2,147,483,647"),
    "batch beyond memory": (
        {"batch_size": 2**30},
        r"the batches of a dispatch take \d+ GB.*lower config.batch_size=1073741824",
    ),
    "hidden text": ({"model__hidden": "abc"}, r"the setting 'hidden' of the model mlp must be tuple\[int, ...\], not 'abc'"),
    "hidden float": (
        {"model__hidden": (1.5,)},
        r"the setting 'hidden' of the model mlp must be tuple\[int, ...\], not \(1.5,\)",
    ),
    "hidden zero": ({"model__hidden": (0,)}, r"the model mlp cannot be made with config.model.hidden=\(0,\)"),
    "hidden negative": ({"model__hidden": (-4,)}, r"config.model.hidden=\(-4,\): a size of the model mlp cannot be negative"),
    "hidden huge": ({"model__hidden": (10**9,)}, r"the gradients take [\d,e+]+ GB a device.*make the model smaller"),
    "hidden beyond": ({"model__hidden": (10**30,)}, r"the model mlp can have 2,147,483,647 at most"),
    "dropout": ({"model__dropout": 2.0}, r"config.model.dropout=2.0: what is dropped must be at least 0 and below 1"),
    "dropout nan": ({"model__dropout": float("nan")}, r"must be a finite number"),
    "clip": ({"optimizer__clip_norm": float("nan")}, r"optimizer.clip_norm"),
    "learning rate": ({"optimizer__learning_rate": -0.1}, r"optimizer.learning_rate"),
}


@pytest.mark.parametrize(("changes", "message"), [*NAMES.values(), *NUMBERS.values()], ids=[*NAMES, *NUMBERS])
def test_a_configuration_that_cannot_be_is_refused(changes, message):
    with pytest.raises(UserError, match=message) as caught:
        made = assemble(config(**changes))
        made.streams()
        made.initial_state()
    assert "\n" not in str(caught.value)


def test_an_image_size_that_the_model_cannot_take_is_refused():
    made = config()
    made.model = {"name": "lenet5"}  # the digits have 8x8 pixels
    with pytest.raises(UserError, match=r"lenet5 takes 32x32x1 images, got .*8.*--config.dataset.size=\(32,32\)"):
        assemble(made).target()


def test_a_setting_that_the_model_does_not_take_is_refused():
    made = config()
    made.model = {"name": "mlp", "hiden": (3,)}
    with pytest.raises(
        UserError, match=r"unknown setting of the model mlp 'hiden'. Did you mean 'hidden'\? Choices: .*activation"
    ):
        assemble(made)


def test_a_phase_needs_its_stream():
    made = config()
    made.dataset.splits = {"test": "test"}
    with pytest.raises(UserError, match=r"trains on the split 'train': name it in config.dataset.splits"):
        assemble(made)
