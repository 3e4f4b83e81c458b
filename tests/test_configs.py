"""Every file in configs/, in its variant for tests: trained, stopped or killed, resumed, evaluated and reported."""

import json
import runpy
import shutil
from pathlib import Path

import jax
import pytest
from ml_collections import ConfigDict

from dl import config_file, mesh, report
from dl.config import base, flatten
from dl.data import pipeline
from dl.layers.backend import stock_operations
from dl.training import checkpoint, loop, progress, render
from dl.training import evaluate as evaluation
from dl.training.assembly import assemble
from dl.training.workdir import read_config, read_metrics, statistics
from experiments.evaluate import evaluate
from experiments.train import train
from tests.experiments.programs import CLOCK, REPOSITORY, checkpoints, end, kill_after_first_checkpoint, result, same_run, start
from tests.experiments.programs import train as train_in_a_process

CONFIGS = sorted(path.stem for path in (REPOSITORY / "configs").glob("*.py"))
KILLED = {  # by the fast tests too, in processes of their own
    "mnist_gan",  # two networks in turn
    "digits_lenet5",  # replicas
}
LONG = {  # half a minute where two programs share a core, of kinds that others have too: left to `-m slow`
    "an4_ctc",
    "an4_las",
    "bccd_faster_rcnn",
    "cifar10_fast",
    "cifar10_transfer",
    "imagenet_vgg16",
    "usps_adaptation",
}
ACCELERATED = {"cifar10_resnet20", "mnist_dcgan", "tiny_shakespeare_lstm"}  # compared by the fast tests with an accelerator

SPLITLESS = {"style_transfer", "multi30k_attention"}  # no split lies on the device: there is none, or batches are of buckets


def slow_unless(fast: bool, name: str):
    """A parameter of tests that is left to `-m slow` unless it is one of the fast ones."""
    return pytest.param(name, marks=() if fast else pytest.mark.slow)


@pytest.fixture
def manual_dir() -> str | None:
    """Where the archives lie, if they are here; the variants for tests are meant to do without."""
    folder = REPOSITORY.parent / "shared" / "data"
    return str(folder) if folder.is_dir() else None


@pytest.fixture
def data(manual_dir) -> list[str]:
    return [f"--manual_dir={manual_dir}"] if manual_dir else []


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
    train_in_a_process(killed, *data, config=config)
    train_in_a_process(undisturbed, *data, config=config)

    metrics = result(killed)["metrics"]
    split = "test" if "test" in metrics else next(iter(metrics))
    evaluated = end(start("evaluate", f"--workdir={killed}", f"--split={split}", "--json", *data))
    assert evaluated.returncode == 0, evaluated.stderr
    check_the_end(killed, undisturbed, json.loads(evaluated.stdout))


def as_killed(monkeypatch, killed: Path) -> None:
    """From now on a run leaves a copy of its workdir half-way, which is what is there if it is killed then.

    Programs are compiled once: a run that follows, and an evaluation, take those of the first.
    """

    class Copying(progress.Progress):
        def advance(self, step: int) -> None:
            super().advance(step)
            if self.total // 2 < step and not killed.exists() and checkpoints(killed.with_name("undisturbed")):
                shutil.copytree(killed.with_name("undisturbed"), killed)

    def save(self, *args, save=checkpoint.Writer.save) -> None:
        save(self, *args)
        self.manager.wait_until_finished()

    def dispatches(*args, made=[], compile=loop.compile_dispatches):  # noqa: B006  # those of this test
        made += [] if made else compile(*args)
        return made

    def program(self, evaluator, made={}, compile=evaluation.Evaluations._program):  # noqa: B006
        name = next(n for n, e in self.experiment.task.evaluators.items() if e is evaluator)
        return made[name] if name in made else made.setdefault(name, compile(self, evaluator))

    monkeypatch.setattr(progress, "Progress", Copying)
    monkeypatch.setattr(checkpoint.Writer, "save", save)
    monkeypatch.setattr(loop, "compile_dispatches", dispatches)
    monkeypatch.setattr(evaluation.Evaluations, "_program", program)


@pytest.mark.parametrize("name", [slow_unless(name not in LONG, name) for name in CONFIGS if name not in KILLED])
def test_trained_resumed_evaluated_and_reported(name, manual_dir, tmp_path, monkeypatch, capsys):
    """In this process, and compiled once, which costs a tenth of a kill; `-m slow` kills processes of all configs."""
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    as_killed(monkeypatch, killed)
    config = config_file.load(f"configs/{name}.py:smoke")
    config.mesh.update(replica=1, data=1)
    with monkeypatch.context() as only_trained:  # the other run makes the page
        only_trained.setattr(render, "render_splits", lambda *_: None)
        only_trained.setattr(report, "write", lambda *_: None)
        train(config.copy_and_resolve_references(), undisturbed, None, manual_dir)
    train(config, killed, None, manual_dir)
    assert "resumed at step" in capsys.readouterr().out

    reached = result(killed)["metrics"]
    split = "test" if "test" in reached else next(iter(reached))
    step, metrics = evaluate(read_config(killed), killed, split, "latest", True, None, manual_dir)
    found = {name: statistics(values) for name, values in metrics.items()}
    check_the_end(killed, undisturbed, {"step": step, "split": split, **found})


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
    loop.train(assemble(config, manual_dir=manual_dir), workdir, progress.Progress(3, enabled=False))
    return read_metrics(workdir)


def check_agreement(ours: list[dict], theirs: list[dict], rtol: float) -> None:
    """Asserts that the lines of training of two runs are the same up to rounding."""
    ours, theirs = ([line for line in lines if line["split"] == "train"] for lines in (ours, theirs))
    assert len(ours) == len(theirs) >= 3
    for a, b in zip(ours, theirs, strict=True):
        assert a.keys() == b.keys()
        for metric in a.keys() - {"step", "split", "error", *CLOCK}:  # rounding may decide which of two classes is likeliest
            assert a[metric]["mean"] == pytest.approx(b[metric]["mean"], rel=rtol, abs=rtol / 10), (a["step"], metric)


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
