"""Every file in configs/, in its variant for tests: trained, stopped or killed, resumed, evaluated and reported."""

import json
import runpy
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from dl.config import base, flatten
from dl.training import loop
from dl.training.assembly import assemble
from dl.training.progress import Progress
from dl.training.workdir import read_metrics
from tests.experiments.programs import CLOCK, REPOSITORY, end, kill_after_first_checkpoint, result, same_run, start, train

CONFIGS = sorted(path.stem for path in (REPOSITORY / "configs").glob("*.py"))
KILLED = {  # also by the fast tests: one of every kind of state
    "cifar10_resnet20",  # running statistics
    "mnist_gan",  # two networks in turn
    "tiny_shakespeare_lstm",  # a carry from batch to batch
    "mnist_sda",  # phases of pretraining
    "style_transfer",  # an image is what is trained
    "omniglot_siamese_mlp",  # pairs
    "digits_lenet5",  # replicas
}


def slow_unless(fast: bool, name: str):
    """A parameter of tests that is left to `-m slow` unless it is one of the fast ones."""
    return pytest.param(name, marks=() if fast else pytest.mark.slow)


@pytest.fixture
def data() -> list[str]:
    """Where the archives lie, if they are here; the variants for tests are meant to do without."""
    folder = REPOSITORY.parent / "shared" / "data"
    return [f"--manual_dir={folder}"] if folder.is_dir() else []


def check_the_end(killed: Path, undisturbed: Path, evaluated: dict) -> None:
    """Asserts that two runs are one, that the evaluation found what the run did, and that there is a page."""
    same_run(killed, undisturbed)
    reached = result(killed)
    assert evaluated["step"] == reached["steps"]
    expected = reached["metrics"][evaluated["split"]]
    assert expected
    for metric in expected:
        assert evaluated[metric]["values"] == pytest.approx(expected[metric]["values"], rel=1e-6, abs=1e-9)
    page = (killed / "report" / "index.html").read_text()
    assert killed.name in page and "<svg" in page


@pytest.mark.parametrize("name", [slow_unless(name in KILLED, name) for name in CONFIGS])
def test_trained_killed_resumed_evaluated_and_reported(name, data, tmp_path):
    config = f"configs/{name}.py:smoke"
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    kill_after_first_checkpoint(killed, *data, config=config)
    train(killed, *data, config=config)
    train(undisturbed, *data, config=config)

    metrics = result(killed)["metrics"]
    split = "test" if "test" in metrics else next(iter(metrics))
    evaluated = end(start("evaluate", f"--workdir={killed}", f"--split={split}", "--json", *data))
    assert evaluated.returncode == 0, evaluated.stderr
    check_the_end(killed, undisturbed, json.loads(evaluated.stdout))


@pytest.mark.parametrize("name", [name for name in CONFIGS if name not in KILLED])
def test_trained_stopped_resumed_evaluated_and_reported(name, data, tmp_path):
    """Both runs and the evaluation in one process, which costs a quarter; `-m slow` kills processes of all configs."""
    ended = end(start("tests.experiments.interrupted", f"--config=configs/{name}.py:smoke", f"--workdir={tmp_path}", *data))
    assert ended.returncode == 0, ended.stderr
    assert "stopped by SIGTERM" in ended.stdout and "resumed at step" in ended.stdout
    check_the_end(tmp_path / "stopped", tmp_path / "undisturbed", json.loads(ended.stdout.splitlines()[-1]))


def first_steps(name: str, devices: int, workdir: Path, manual_dir: str | None) -> list[dict]:
    """The lines of the first three steps of a phase, on so many devices."""
    config = runpy.run_path(str(REPOSITORY / "configs" / f"{name}.py"))["get_config"]("smoke")
    config.update(epochs=0.0, steps=3, steps_per_dispatch=1, log_every=1, eval_every=0, checkpoint_every=0, microbatches=1)
    config.dtype = "float32"
    config.optimizer.schedule = {"name": "constant"}  # others have no room in three steps
    if config.mesh.data != 1:  # a picture can't be divided, nor the rows of a text that are read one after another
        config.batch_size = -(-config.batch_size // 8) * 8
        config.mesh.data = devices
    if "pretraining" in config.task:
        config.task.pretraining.steps = 3
    workdir.mkdir()
    loop.train(assemble(config, manual_dir=manual_dir), workdir, Progress(3, enabled=False))
    return [line for line in read_metrics(workdir) if line["split"] == "train"]


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_eight_devices_do_what_one_does(name, tmp_path):
    folder = REPOSITORY.parent / "shared" / "data"
    one, eight = (first_steps(name, d, tmp_path / str(d), str(folder) if folder.is_dir() else None) for d in (1, 8))
    assert len(one) == len(eight) >= 3
    for ours, theirs in zip(one, eight, strict=True):
        assert ours.keys() == theirs.keys()
        for metric in ours.keys() - {"step", "split", "error", *CLOCK}:  # rounding may decide which of two classes is likeliest
            assert ours[metric]["mean"] == pytest.approx(theirs[metric]["mean"], rel=2e-3, abs=2e-4), (ours["step"], metric)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_published_setting_says_what_all_share(name):
    path = REPOSITORY / "configs" / f"{name}.py"
    made = runpy.run_path(str(path))["get_config"]()
    assert isinstance(made, ConfigDict)
    assert set(base()) <= set(made)
    assert {"optimizer.name", "optimizer.learning_rate", "task.name", "dataset.name", "model.name"} <= set(flatten(made)), name
    docstring = path.read_text().split('"""')[1]
    assert f"python -m experiments.train --config=configs/{name}.py" in docstring
