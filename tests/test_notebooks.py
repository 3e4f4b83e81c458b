"""The notebooks run, and show what they say."""

import re
import runpy
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

NOTEBOOKS = REPOSITORY / "docs" / "notebooks"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs a notebook in a folder of its own, from which the configs can be seen; gives its variables and what it printed."""
    (tmp_path / "configs").symlink_to(REPOSITORY / "configs")
    (tmp_path / "runs" / "notebooks").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "1")

    def run(name):
        variables = runpy.run_path(str(NOTEBOOKS / f"{name}.py"))
        return variables, capsys.readouterr().out

    return run


def test_every_notebook_is_tested_and_listed():
    names = {path.stem for path in NOTEBOOKS.glob("*.py")}
    assert names == set(re.findall(r'run\("(\w+)"\)', Path(__file__).read_text()))
    assert names == set(re.findall(r"\]\((\w+)\.py\)", (NOTEBOOKS / "README.md").read_text()))
    for name in names:
        assert (NOTEBOOKS / f"{name}.py").read_text().startswith("# %% [markdown]\n# # "), name


def test_lenet5(run):
    variables, said = run("lenet5")
    assert variables["wrong"].mean() < 0.15 and "60,000 parameters" in said


def test_engine(run):
    _, said = run("engine")
    first, second = re.findall(r"x ([+-][\d.]+), y ([+-][\d.]+)", said)
    assert float(first[0]) == pytest.approx(-0.5, abs=0.03) and float(first[1]) == 1.0
    assert abs(float(second[0])) < 0.01 and abs(float(second[1])) < 0.01


def test_own_images(run):
    variables, said = run("own_images")
    assert variables["run"].metrics["test"]["error"]["mean"] < 0.2 and "['circle', 'cross']" in said


def test_gan(run):
    variables, _ = run("gan")
    assert variables["run"].step == 400 and len(variables["names"]) == 2 and variables["made"]


def test_fine_tuning(run):
    variables, _ = run("fine_tuning")
    assert variables["tuned"].config.task.weights == str(variables["source"].workdir)
    assert all(variables[name].metrics["test"]["error"]["mean"] < 0.7 for name in ("scratch", "tuned"))


def test_reading_a_run(run):
    variables, said = run("reading_a_run")
    assert said.count("%, ") == 8 and len(variables["run"].metrics["test"]["error"]["values"]) == 2
