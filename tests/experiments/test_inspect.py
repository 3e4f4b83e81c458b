import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dl.errors import UserError
from experiments import inspect
from tests.experiments.programs import REPOSITORY, end, one_line, start, train
from tests.inspection.nets import Linear, network

FLAGS = ("--methods=gradients,occlusion,adversarial", "--attacked=20", "--pgd_steps=2")


def test_a_run_is_looked_into(workdir, tmp_path):
    train(workdir, "--config.steps=20")
    pixels = np.full((40, 30), 255, np.uint8)
    pixels[8:32, 12:18] = 0
    Image.fromarray(pixels).save(tmp_path / "one.png")
    relative = Path(os.path.relpath(workdir, REPOSITORY))
    ended = end(start("inspect", f"--workdir={relative}", *FLAGS, tmp_path / "one.png"))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == str(relative / "report" / "inspection.html")
    html = (workdir / "report" / "inspection.html").read_text()
    assert "one.png" in html and "guided backpropagation" in html and "the first 20 of test" in html
    assert "one.png: occlusion" in ended.stderr
    assert "unknown split of the run 'tset'" in one_line(end(start("inspect", f"--workdir={workdir}", "--split=tset")))


def test_bad_flags_are_a_line():
    assert "give --workdir=DIR of a run, or --model" in one_line(end(start("inspect", "china")))


def test_classes_by_name():
    net = network(Linear())._replace(class_names=("sea urchin", "tiger cat", "tiger, Panthera tigris"))
    assert [inspect.class_number(net, name) for name in ("1", "urchin", "Tiger", "tiger cat")] == [1, 0, 2, 1]
    for name, message in {
        "3": "no class 3: the network has 3",
        "dog": "no class is named 'dog'",
        "t": "any of 2 classes",
    }.items():
        with pytest.raises(UserError, match=message):
            inspect.class_number(net, name)


def test_epsilons():
    assert inspect.epsilons(["0.5", "51/255"]) == [0.5, 0.2]
    with pytest.raises(UserError, match="give numbers such as"):
        inspect.epsilons(["a"])
