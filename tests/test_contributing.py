"""The examples of CONTRIBUTING.md, with their files in place, do what the page says."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The project with the four files of the page."""
    root = tmp_path_factory.mktemp("project")
    for folder in ("dl", "configs", "experiments"):
        shutil.copytree(REPOSITORY / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    examples = re.findall(r"```python\n# (\S+\.py)\n(.*?)```", (REPOSITORY / "CONTRIBUTING.md").read_text(), re.DOTALL)
    assert len(examples) == 4
    for path, text in examples:
        (root / path).write_text(text)
    return root


COMMANDS = {
    "a model": (["explain", "--config=configs/digits_mlp.py", "--config.model.name=maxout"], "model/hidden2/kernel"),
    "an experiment": (
        ["train", "--config=configs/bars_maxout.py:denoise_smoke", "--workdir=runs/bars"],
        "578 parameters|20 steps",
    ),
}


@pytest.mark.parametrize(("command", "said"), COMMANDS.values(), ids=COMMANDS)
def test_the_examples_run(command, said, copy):
    program, *flags = command
    line = [sys.executable, "-m", f"experiments.{program}", *flags]
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "1"}
    ended = subprocess.run(line, cwd=copy, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert re.search(said, ended.stdout), ended.stdout
