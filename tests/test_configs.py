"""Every file in configs/, in its variant for tests: trained, killed, taken up again, evaluated and reported."""

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
from experiments import report
from tests.experiments.programs import CLOCK, REPOSITORY, end, kill_after_first_checkpoint, result, same_run, start, train

CONFIGS = sorted(path.stem for path in (REPOSITORY / "configs").glob("*.py"))


@pytest.fixture
def data() -> list[str]:
    """Where the archives lie, if they are here; the variants for tests are meant to do without."""
    folder = REPOSITORY.parent / "shared" / "data"
    return [f"--manual_dir={folder}"] if folder.is_dir() else []


@pytest.mark.parametrize("name", CONFIGS)
def test_trained_killed_taken_up_again_evaluated_and_reported(name, data, tmp_path):
    config = f"configs/{name}.py:smoke"
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    kill_after_first_checkpoint(killed, *data, config=config)
    train(killed, *data, config=config)
    train(undisturbed, *data, config=config)
    same_run(killed, undisturbed)

    reached = result(killed)
    split = "test" if "test" in reached["metrics"] else next(iter(reached["metrics"]))
    evaluated = end(start("evaluate", f"--workdir={killed}", f"--split={split}", "--json", *data))
    assert evaluated.returncode == 0, evaluated.stderr
    numbers = json.loads(evaluated.stdout)
    assert numbers["step"] == reached["steps"]
    for metric, expected in reached["metrics"][split].items():
        assert numbers[metric]["values"] == pytest.approx(expected["values"], rel=1e-6, abs=1e-9)

    page = Path(report.write([str(killed)])).read_text()
    assert killed.name in page and "<svg" in page


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
