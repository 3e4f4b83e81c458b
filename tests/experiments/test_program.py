"""What a program says of itself and of its config: `--help`, and files that are none."""

import json
import os

import pytest
from PIL import Image

from dl import config_file
from dl.config import base
from dl.errors import UserError
from experiments import program
from experiments.program import asks_for_help, overrides
from tests.experiments.programs import CONFIG, end, one_line, start

GOOD = "from dl.config import base\n\n\ndef get_config(variant=''):\n    config = base()\n"
FILES = {
    "syntax": (b"x = 1\ndef get_config(:\n", ":2: SyntaxError"),
    "import": (b"import nothing_of_that_name\n", ":1: ModuleNotFoundError: No module named 'nothing_of_that_name'"),
    "bytes": (bytes(range(256)), "SyntaxError"),
    "no utf-8": (b'"""\xff\xfe"""\n', "SyntaxError"),
    "empty": (b"", "has no function get_config"),
    "exit": (b"import sys\nsys.exit(3)\n", ":2: SystemExit: 3"),
    "dict": (b"def get_config(variant=''):\n    return {'seed': 0}\n", "returns dict, not a ConfigDict"),
    "nothing": (GOOD.encode(), "returns NoneType, not a ConfigDict"),
    "no argument": (b"def get_config():\n    return 1 / 0\n", "TypeError"),
    "error": (b"def get_config(variant=''):\n    x = 1\n    return 1 / 0\n", ":3: ZeroDivisionError: division by zero"),
    "key": (f"{GOOD}    config.lock()\n    config.batch_sice = 3\n".encode(), ":7: AttributeError: "),
    "section": (f"{GOOD}    del config.optimizer\n    return config\n".encode(), "lacks config.optimizer: start from"),
    "name": (f"{GOOD}    config.model = {{}}\n    return config\n".encode(), "lacks config.model.name: start from"),
    "inner": (f"{GOOD}    del config.best.metric\n    return config\n".encode(), "lacks config.best.metric: start from"),
    "value": (
        f"{GOOD}    del config.model\n    config.model = 'mlp'\n    return config\n".encode(),
        "gives config.model='mlp', which must be a section",
    ),
}


@pytest.mark.parametrize(("content", "said"), FILES.values(), ids=FILES)
def test_a_file_that_gives_no_configuration(content, said, tmp_path):
    path = tmp_path / "mine.py"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        config_file.load(str(path))
    message = " ".join(str(caught.value).split())
    assert message.startswith(str(path)) and said in message, message


def test_no_such_file(tmp_path):
    with pytest.raises(
        UserError, match=r"there is no such config file: .*Did you mean 'configs/digits_mlp.py'.*Choices: .*mnist"
    ):
        config_file.load("configs/digit_mlp.py")
    with pytest.raises(UserError, match="there is no such config file"):
        config_file.load(str(tmp_path))


def test_a_word_of_the_file_is_no_variant(tmp_path):
    for name in ("configs/mnist_lenet5.py:distortions", "configs/imagenet_resnet50.py:random", f"{CONFIG}:dropout"):
        with pytest.raises(UserError, match=r"unknown variant .*Choices: "):
            config_file.load(name)
    assert config_file.load("configs/mnist_lenet5.py:distorted").epochs == 40.0


def test_overrides_of_both_forms():
    argv = ["train", "--config.seed=1", "-config.model.name", "mlp", "--noconfig.task.relative", "--config.seed=2", "--x=3"]
    assert overrides(argv) == {"seed": "2", "model.name": "mlp", "task.relative": "--config.seed=2"}
    assert asks_for_help(["--seed=1", "--help"]) and not asks_for_help(["--", "--help"])


def test_a_missing_file_with_overrides_is_one_line():
    line = one_line(end(start("train", "--config=configs/nothing.py", "--config.seed=1", "--workdir=x")))
    assert line.startswith("there is no such config file: 'configs/nothing.py'.")


def test_help_shows_the_flags_of_the_program_and_the_variants_of_the_config():
    shown = end(start("train", "--config=configs/mnist_sda.py", "--help"))
    assert shown.returncode == 0 and not shown.stderr
    for flag in ("--config=FILE", "--workdir=", "--data_dir=", "--manual_dir=", "--override_config", "--process_id=N"):
        assert f"\n  {flag}" in shown.stdout
    assert "alsologtostderr" not in shown.stdout
    assert ":labels100        Fine-tuning on 100 images, pretraining on all." in shown.stdout


@pytest.mark.parametrize(
    ("name", "flags"), [("evaluate", ("--split=", "--workdir=", "--set=")), ("crash", ("--config=", "--workdir="))]
)
def test_help_of_other_programs(name, flags):
    shown = end(start(name, "--help", fresh=True))
    assert shown.returncode == 0
    for flag in flags:
        assert f"\n  {flag}" in shown.stdout


OTHER = ("--config.model.name=resnet_cifar", "--config.model.width=4")


def test_an_error_after_a_note_is_one_line(tmp_path):
    ended = end(start("train", "--config=configs/digits_mlp.py", *OTHER, "--config.model.depth=9", f"--workdir={tmp_path}"))
    assert "depth" in one_line(ended)
    assert ended.stdout.startswith("note: config.model.name is 'resnet_cifar', so these settings of 'mlp' are dropped: ")


def test_names_of_bytes_that_are_not_utf8(tmp_path):
    """They are printed with the bytes escaped; a run there is refused, as its checkpoints would be by TensorStore."""
    run, moved = tmp_path / "run", tmp_path / os.fsdecode(b"caf\xe9")
    ended = end(start("train", "--config=configs/digits_mlp.py:smoke", f"--workdir={run}"))
    assert ended.returncode == 0, ended.stderr
    picture = tmp_path / os.fsdecode(b"\xe9.png")
    Image.new("L", (8, 8)).save(picture, "PNG")
    ended = end(start("predict", f"--workdir={run}", picture))
    assert ended.returncode == 0 and ended.stdout.startswith(rf"{tmp_path}/\udce9.png"), ended.stderr
    run.rename(moved)
    ended = end(start("report", f"--workdir={moved}"))
    assert ended.returncode == 0 and ended.stdout.strip() == rf"{tmp_path}/caf\udce9/report/index.html", ended
    for command in (("evaluate",), ("train", "--config=configs/digits_mlp.py:smoke")):
        line = one_line(end(start(*command, f"--workdir={moved}")))
        assert line.startswith(rf"--workdir={tmp_path}/caf\udce9: the name is not UTF-8")


def test_a_process_beyond_their_number_does_not_wait_for_the_others(tmp_path):
    several = ("--coordinator=localhost:1", "--num_processes=2", "--process_id=2")
    line = one_line(end(start("train", "--config=configs/digits_mlp.py:smoke", f"--workdir={tmp_path}", *several)))
    assert line == "--process_id=2 must be below --num_processes=2."


@pytest.mark.parametrize(
    ("given", "deterministic", "flags"),
    [
        ("", True, "--xla_gpu_deterministic_ops=true"),
        ("", False, "--xla_gpu_deterministic_ops=false"),
        ("--xla_dump_to=x", True, "--xla_dump_to=x --xla_gpu_deterministic_ops=true"),
        ("--xla_gpu_deterministic_ops=false", True, "--xla_gpu_deterministic_ops=false"),
    ],
)
def test_deterministic_operations_unless_the_user_says_otherwise(given, deterministic, flags, monkeypatch):
    class Flags(dict):
        config = base()

        def find_module_defining_flag(self, name):
            return program.__name__

    Flags.config.deterministic = deterministic
    monkeypatch.setattr(program, "FLAGS", Flags())
    monkeypatch.setattr(program.importlib.util, "find_spec", lambda name: name == "jax_cuda12_plugin" or None)
    monkeypatch.setenv("XLA_FLAGS", given)
    program.start_jax()
    assert os.environ["XLA_FLAGS"] == flags
    monkeypatch.setattr(program.importlib.util, "find_spec", lambda name: None)  # on a CPU nothing is set
    monkeypatch.setenv("XLA_FLAGS", given)
    program.start_jax()
    assert os.environ["XLA_FLAGS"] == given


def test_another_model_by_flag(tmp_path):
    flags = (*OTHER, "--config.model.depth=8")
    explained = end(start("explain", "--config=configs/digits_mlp.py", *flags, "--json"))
    assert explained.returncode == 0, explained.stderr
    assert "settings of 'mlp' are dropped: activation='relu', hidden=(128,)." in explained.stderr
    assert {"model/layer3_0"} <= {layer["path"] for layer in json.loads(explained.stdout)["layers"]}
