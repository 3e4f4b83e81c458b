"""Every file in configs/, in its variant for tests: trained, stopped or killed, resumed, evaluated and reported."""

import json
import runpy
from pathlib import Path

import jax
import pytest
from ml_collections import ConfigDict

from dl import mesh
from dl.config import base, flatten
from dl.data import pipeline
from dl.layers.backend import stock_operations
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
LONG = {  # half a minute and more, of kinds of state that others have: left to `-m slow`, which kills them too
    "an4_las",
    "fsdd_digits",
    "fsdd_hybrid",
    "imagenet_vgg16",
    "mnist_conditional_dcgan",
    "penn_fudan_mask_rcnn",
    "sst_kim_cnn",
    "sst_tree_lstm",
}
ACCELERATED = {"cifar10_resnet20", "mnist_dcgan", "tiny_shakespeare_lstm"}  # compared by the fast tests with an accelerator

SPLITLESS = {"style_transfer", "multi30k_attention"}  # no split lies on the device: there is none, or batches are of buckets


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


@pytest.mark.parametrize("name", [slow_unless(name not in LONG, name) for name in CONFIGS if name not in KILLED])
def test_trained_stopped_resumed_evaluated_and_reported(name, data, tmp_path):
    """Both runs and the evaluation in one process, which costs a quarter; `-m slow` kills processes of all configs."""
    ended = end(start("tests.experiments.interrupted", f"--config=configs/{name}.py:smoke", f"--workdir={tmp_path}", *data))
    assert ended.returncode == 0, ended.stderr
    assert "stopped by SIGTERM" in ended.stdout and "resumed at step" in ended.stdout
    check_the_end(tmp_path / "stopped", tmp_path / "undisturbed", json.loads(ended.stdout.splitlines()[-1]))


def first_steps(name: str, devices: int, workdir: Path, manual_dir: str | None) -> list[dict]:
    """The lines of the first three steps of a phase, on so many devices, and of the evaluation after them."""
    config = runpy.run_path(str(REPOSITORY / "configs" / f"{name}.py"))["get_config"]("smoke")
    config.update(epochs=0.0, steps=3, steps_per_dispatch=1, log_every=1, eval_every=0, checkpoint_every=0, microbatches=1)
    config.dtype = "float32"
    config.optimizer.schedule = {"name": "constant"}  # others have no room in three steps
    if config.mesh.data != 1:  # an image can't be divided, nor the rows of a text that are read one after another
        config.batch_size = -(-config.batch_size // 8) * 8
        config.mesh.data = devices
    if "pretraining" in config.task:
        config.task.pretraining.steps = 3
    workdir.mkdir()
    loop.train(assemble(config, manual_dir=manual_dir), workdir, Progress(3, enabled=False))
    return read_metrics(workdir)


def check_agreement(ours: list[dict], theirs: list[dict], rtol: float) -> None:
    """Asserts that the lines of training of two runs are the same up to rounding."""
    ours, theirs = ([line for line in lines if line["split"] == "train"] for lines in (ours, theirs))
    assert len(ours) == len(theirs) >= 3
    for a, b in zip(ours, theirs, strict=True):
        assert a.keys() == b.keys()
        for metric in a.keys() - {"step", "split", "error", *CLOCK}:  # rounding may decide which of two classes is likeliest
            assert a[metric]["mean"] == pytest.approx(b[metric]["mean"], rel=rtol, abs=rtol / 10), (a["step"], metric)


@pytest.fixture
def manual_dir() -> str | None:
    folder = REPOSITORY.parent / "shared" / "data"
    return str(folder) if folder.is_dir() else None


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_eight_devices_do_what_one_does(name, manual_dir, tmp_path):
    one, eight = (first_steps(name, d, tmp_path / str(d), manual_dir) for d in (1, 8))
    check_agreement(one, eight, 2e-3)


@pytest.mark.parametrize("name", [slow_unless(name in ACCELERATED, name) for name in CONFIGS])
def test_an_accelerator_does_what_the_cpu_does(name, manual_dir, tmp_path, monkeypatch):
    """The branches that only an accelerator takes: stock operations, and splits that lie whole on the device."""
    on_cpu = first_steps(name, 1, tmp_path / "cpu", manual_dir)
    jax.clear_caches()
    splits = []
    monkeypatch.setattr(mesh, "on_accelerator", lambda: True)
    monkeypatch.setattr(pipeline, "_put_whole", lambda *args, put=pipeline._put_whole: splits.append(args) or put(*args))
    with stock_operations():
        on_accelerator = first_steps(name, 1, tmp_path / "accelerator", manual_dir)
    assert splits
    check_agreement(on_cpu, on_accelerator, 2e-3)
    assert [line.keys() for line in on_cpu] == [line.keys() for line in on_accelerator]


@pytest.mark.parametrize("name", CONFIGS)
def test_the_published_setting_says_what_all_share(name):
    path = REPOSITORY / "configs" / f"{name}.py"
    made = runpy.run_path(str(path))["get_config"]()
    assert isinstance(made, ConfigDict)
    assert set(base()) <= set(made)
    assert {"optimizer.name", "optimizer.learning_rate", "task.name", "dataset.name", "model.name"} <= set(flatten(made)), name
    docstring = path.read_text().split('"""')[1]
    assert f"python -m experiments.train --config=configs/{name}.py" in docstring
