"""Every command of the documentation works as it is written: settings are checked for all, one of each program runs, and
among the slow tests everything does (in the variant for tests, where it trains)."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from ml_collections import config_flags

from dl import config_file
from dl.interop import classifier, published
from dl.training.explain import assemble_known
from experiments import program
from experiments.train import train
from tests.conftest import REPOSITORY
from tests.documented import Command, documented, make_desk
from tests.interop.random_variables import random_variables

COMMANDS = documented()
# Programs that train as their command says, so that tests take another variant of the config.
TRAINS = {"train": "smoke", "sweep": "smoke", "launch": "smoke", "crash": "smoke"}
TRAINS |= {"visual_words": "words_smoke", "bag_of_words": "words_smoke"}
# Flags that make it quick; the last of a flag counts.
QUICK = {
    "stylize": ["--size=32", "--steps=2"],
    "crash": ["--config=configs/digits_mlp.py:smoke", "--workdir=runs/crash", "--kills=1"],
    "benchmark": ["--rounds=1", "--seconds=0.01", "--loop_steps=5"],
    "inspect": ["--ascent_steps=2", "--attacked=8", "--pgd_steps=2"],
}
NOT_RUN = {
    "python -m experiments.train --config=configs/set5_srresnet.py:quick --workdir=runs/own "
    "--config.dataset.name=folder_super_resolution --config.dataset.path=photographs "
    "--config.dataset.splits.set14=validation": "tests/data/test_super_resolution.py",
    "python -m experiments.train --config=configs/set5_srresnet.py:quick --workdir=runs/more --manual_dir=archives "
    "--config.dataset.images=photographs": "tests/data/test_super_resolution.py",
    "python -m experiments.reproduce --run=mnist_logistic,mnist_mlp:quick --manual_dir=archives": "trains for hours",
    "python -m experiments.reproduce --collect=runs/mnist_mlp --collect=runs/mnist_lenet5": "needs runs of a commit",
    "python -m experiments.hybrid_speech --workdir=runs/fsdd_hybrid": "tests/generation/test_speech.py",
    "python -m experiments.reproduce --check": "tests/test_docs.py; and git's history",
}
NOT_RUN |= {c.text: "tests/experiments/test_submit.py" for c in COMMANDS if c.program == "submit"}
HERE = [  # those that run in this process: the program, and what tells the command of a run
    ("explain", "configs/"),
    ("evaluate", "--workdir=runs/mnist"),
    ("generate", "--workdir=runs/shakespeare"),
    ("inspect", "--workdir=runs/"),
    ("predict", "--workdir=runs/"),
    ("convert", "--to=resnet20.safetensors"),
    ("convert", "--to=resnet20.pth"),
    ("search", "--workdir=runs/"),
    ("transcribe", "--workdir=runs/fsdd"),
    ("report", "--workdir=runs/"),
    ("similar", "--vectors="),
]
# What trained the runs that the commands name.
RUNS = {
    "runs/lenet5": "mnist_lenet5",
    "runs/mnist": "mnist_mlp",
    "runs/quickstart": "digits_lenet5",
    "runs/shakespeare": "tiny_shakespeare_lstm",
    "runs/faces": "celeba_dcgan",
    "runs/dcgan": "mnist_dcgan",
    "runs/srgan": "set5_srgan",
    "runs/conditional": "mnist_conditional_dcgan",
    "runs/people": "digits_siamese",
    "runs/triplet": "omniglot_triplet",
    "runs/cifar10_resnet20": "cifar10_resnet20",
    "runs/classifier": "mnist_lenet5_modern",
    "runs/imdb_lstm": "imdb_lstm",
    "runs/sst_rntn": "sst_rntn",
    "runs/vectors": "imdb_skipgram",
    "runs/multi30k": "multi30k_attention",
    "runs/fsdd_digits": "fsdd_digits",
    "runs/flickr8k": "flickr8k_captions",
    "runs/camvid_unet": "camvid_unet",
    "runs/bccd": "bccd_faster_rcnn",
    "runs/iiit5k": "iiit5k_crnn",
    "runs/iiit5k_crnn": "iiit5k_crnn",
    "runs/scenes": "scenes_east",
    "runs/scenes_east": "scenes_east",
}
# Flags alone are added to the command of the experiment that the page is about.
BASES = {"docs/data.md": "configs/digits_mlp.py", "docs/transfer.md": "configs/cifar10_transfer.py"}


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Path:
    """The folder where the commands are typed."""
    archives = Path(os.environ.get("DL_SHARED_DATA") or REPOSITORY.parent / "shared" / "data")
    folder = tmp_path_factory.mktemp("desk")
    make_desk(folder, archives if archives.is_dir() else None)
    return folder


@pytest.fixture
def typed(desk, monkeypatch):
    """We are there."""
    monkeypatch.chdir(desk)
    return desk


def test_every_command_is_of_a_kind_that_is_tested():
    for command in COMMANDS:
        first = command.words[0]
        if command.program:
            assert (REPOSITORY / "experiments" / f"{command.program}.py").exists(), command
        elif first == "./dev":
            assert f"\n{command.words[1]})" in (REPOSITORY / "dev").read_text(), command
        else:
            assert first.startswith("--config.") and command.where in BASES, f"no test knows what to do with {command}"
    assert {"train", "launch", *QUICK, *dict(HERE)} <= {command.program for command in COMMANDS}
    assert set(NOT_RUN) <= {command.text for command in COMMANDS}


def defined(name: str) -> set[str]:
    """The flags of a program."""
    sources = [(REPOSITORY / "experiments" / f"{name}.py").read_text()]
    shared = {"define_model()": "convert", "define_data()": "program", "define_processes()": "program"}
    for call, module in shared.items():
        if call in sources[0]:
            function = call.removesuffix("()")
            body = re.search(
                rf"^def {function}\(.*?(?=^\S(?!\n)|\Z)", (REPOSITORY / f"experiments/{module}.py").read_text(), re.M | re.S
            )
            sources.append(body[0])
    found = {flag for source in sources for flag in re.findall(r'flags\.DEFINE_\w+\(\s*"(\w+)"', source)}
    return found | ({"config"} if "define_config(" in sources[0] else set())


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.program], ids=str)
def test_its_flags_exist(command):
    known = defined(command.program)
    for word in command.flags:
        if word == "--":
            break
        if word.startswith("-"):
            name = word.lstrip("-").partition("=")[0].partition(".")[0]
            assert name in known or name.removeprefix("no") in known, (word, known)


def test_the_table_of_programs_names_flags_that_exist():
    rows = re.findall(r"^\| `experiments\.(\w+) ([^`]*)`", (REPOSITORY / "README.md").read_text(), re.MULTILINE)
    assert {name for name, _ in rows} == {
        path.stem
        for path in (REPOSITORY / "experiments").glob("*.py")
        if re.search(r"^if __name__", path.read_text(), re.MULTILINE)
    }
    for name, usage in rows:
        assert set(re.findall(r"--(\w+)", usage.partition(" -- ")[0])) <= defined(name), name


def configured(words: list[str]):
    """The configuration that flags give, read as the programs read it."""
    named, rest = program.named_config(["command", *words])
    config = config_file.load(named)
    given = program.overrides(rest)
    from dl.training.settings import prepare

    prepare(config, given)
    values = flags.FlagValues()
    config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=rest)
    values([word for word in rest if not word.startswith("-") or word.startswith("--config.")])
    assert set(given) <= set(config_flags.get_override_values(values["config"]))
    return config


@pytest.mark.parametrize(
    "command", [c for c in COMMANDS if c.program == "train" or c.text.startswith("--config.")], ids=lambda c: c.text[-110:]
)
def test_its_experiment_fits_together(command, typed):
    words = command.flags if command.program else [f"--config={BASES[command.where]}", *command.words]
    config = configured(words)
    if command.program and (not Path("archives").exists() or config.dataset.name != "omniglot"):
        assemble_known(config, None, "archives" if Path("archives").exists() else None)


def ready(command: Command) -> list[str]:
    """The words of a command, quick; what they name is made first where it is not there."""
    known = {"IMAGE": "FOLDER/p00/0.png", "--prompt=ROMEO:": "--prompt=The "}  # the sonnets of `smoke` have no capital E
    if "--workdir=runs/vectors" in command.words:  # nor kings
        known |= {"--nearest=film": "--nearest=love", "--nearest=terrible": "--nearest=time"}
        known |= {"--analogy=man king woman": "--analogy=love time eye", "--similarity=movie film": "--similarity=love time"}
        known |= {"--sum=king - man + woman": "--sum=love - time + eye"}
    words = [known.get(word, word) for word in command.words]
    variant = TRAINS.get(command.program)
    if variant:
        words = [re.sub(r"(configs/[\w*]+\.py)(:\w+)?", rf"\1:{variant}", word) for word in words]
    quick = QUICK.get(command.program, [])
    words += quick
    for run, name in RUNS.items():
        if any(re.search(rf"{run}(?!\w)", word) for word in words) and not Path(run).exists():
            config = config_file.load(f"configs/{name}.py:smoke")
            if "--checkpoint=best" in command.text:
                config.best.metric = "test/error"
            config.mesh.update(replica=1, data=1)
            train(config, Path(run).absolute(), None, None)
    for name in ("resnet50", "vgg16"):
        file = Path(f"{name}.pth")
        if any(word == f"--weights={file}" or word == f"--from={file}" for word in words) and not file.exists():
            write_weights(name, file)
    if "--weights=weights/resnet50" in words and not Path("weights/resnet50").exists():
        write_weights("resnet50", Path("weights/resnet50"))
    if any(word.startswith("--to=") for word in words):
        words.append("--overwrite")
    return words


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A desk with a classifier, a language model and a speech recogniser of two steps."""
    folder = tmp_path_factory.mktemp("trained")
    make_desk(folder, None)
    runs = {"quickstart": "digits_lenet5", "shakespeare": "tiny_shakespeare_lstm", "fsdd_digits": "fsdd_digits"}
    for run, name in runs.items():
        config = config_file.load(f"{folder}/configs/{name}.py:smoke")
        config.update(epochs=0.0, steps=2, steps_per_dispatch=2, log_every=2, eval_every=2, checkpoint_every=2)
        config.mesh.update(replica=1, data=1)
        train(config, folder / "runs" / run, None, None)
    return folder


def write_weights(name: str, path: Path) -> None:
    """Random weights of a published network."""
    usual = published.published(name, {})
    shape = (usual.side, usual.side, 3)
    model = published.build(name, {}, 1000)
    made = classifier.Classifier(
        name, {}, model, random_variables(model, usual.side), *np.float32([usual.mean, usual.std]), shape, usual.resize, ()
    )
    classifier.save(made, path)


def needs_archives(command: Command) -> bool:
    """Whether it asks for published weights."""
    return "squeezenet" in command.text or command.program == "stylize"


def skip_without_torch(command: Command) -> None:
    """The project does not depend on PyTorch, whose files it reads and writes where it is installed."""
    if command.program == "benchmark" or re.search(r"\.pth?\b", command.text):
        pytest.importorskip("torch", reason="needs PyTorch, by `./dev install torch`")


@pytest.mark.parametrize(("name", "tells"), HERE)
def test_a_command_of_each_program_runs(name, tells, trained, monkeypatch, capsys):
    """In this process, whose imports and compiled programs they share; runs that are not `trained` are its classifier."""
    monkeypatch.chdir(trained)
    command = next(c for c in COMMANDS if c.program == name and tells in c.text)
    skip_without_torch(command)
    (run,) = re.findall(r"runs/\w+", command.text) or [""]
    if run and not Path(run).exists():
        Path(run).symlink_to(Path("runs/quickstart").absolute())
    words = [*ready(command), *(["--methods=gradients"] if name == "inspect" else [])]
    monkeypatch.setattr(sys, "argv", words[2:])
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    with flagsaver.flagsaver(), pytest.raises(SystemExit) as ended:
        runpy.run_module(f"experiments.{name}", run_name="__main__", alter_sys=True)
    assert not ended.value.code, (str(command), capsys.readouterr().err)


@pytest.mark.slow
@pytest.mark.parametrize("command", [c for c in COMMANDS if c.program not in ("", "train")], ids=lambda c: c.text[-110:])
def test_it_runs_as_it_is_written(command, typed):
    if command.text in NOT_RUN:
        pytest.skip(NOT_RUN[command.text])
    if needs_archives(command) and not Path("archives").exists():
        pytest.skip("needs the archives of public data")
    skip_without_torch(command)
    words = ready(command)
    devices = str(jax.device_count() if "mesh" in command.text else 1)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "JAX_NUM_CPU_DEVICES": devices}
    words[0] = sys.executable
    words = [sys.executable if word == "python" else word for word in words]
    ended = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0 and "Traceback" not in ended.stderr + ended.stdout, ended.stderr
