"""The gallery shows finished runs of commits, and stays small."""

import importlib.util
import json
import re

import numpy as np
import pytest
from PIL import Image

from dl.artifacts import Images, Text
from dl.report import artifacts
from tests.conftest import REPOSITORY

spec = importlib.util.spec_from_file_location("gallery_of_docs", REPOSITORY / "docs" / "gallery.py")
gallery = importlib.util.module_from_spec(spec)
spec.loader.exec_module(gallery)


def run(folder, shown, commit="a" * 40, config="mnist_lenet5", variant=""):
    folder.mkdir(parents=True)
    command = f"python -m experiments.train --config=configs/{config}.py{variant} --workdir=runs/x"
    metrics = {"test": {"error": {"mean": 0.0095, "std": 0.0, "values": [0.0095]}}}
    result = {"command": command, "commit": commit, "steps": 1200, "metrics": metrics, "config": {}, "reference": {}}
    (folder / "result.json").write_text(json.dumps(result))
    artifacts.save(folder, "test", shown)


def test_it_shows_what_finished_runs_made(tmp_path, capsys):
    pixels = np.zeros((50, 8, 8, 1), np.float32)
    pixels[0] = 1.0
    run(tmp_path / "runs" / "gan", {"other": Images(1 - pixels), "samples": Images(pixels)})
    run(tmp_path / "runs" / "text", {"sample": Text("to be" * 200)}, config="tiny_shakespeare_lstm")
    run(tmp_path / "runs" / "changed", {"samples": Images(pixels)}, commit="a" * 40 + "+changes")
    run(tmp_path / "runs" / "tried", {"samples": Images(pixels)}, config="mnist_lenet5", variant=":smoke")
    assert gallery.gallery(tmp_path / "runs", tmp_path / "docs") == ["gan", "text"]
    page = (tmp_path / "docs" / "gallery.md").read_text()
    assert "changed is left out: nobody could repeat it" in capsys.readouterr().out
    assert "## LeNet-5 on MNIST" in page and "test error 0.95 %" in page and "1,200 steps" in page
    picture = np.asarray(Image.open(tmp_path / "docs" / "gallery" / "gan.png"))
    assert picture.shape == (52 * 7, 82 * 7)  # 40 images in 8 columns, with margins, enlarged
    assert picture[5 * 7, 5 * 7] == 255 and picture[5 * 7, 15 * 7] == 0  # of `samples`, whose first image is white
    assert page.count("to be") == gallery.LETTERS // 5


def test_it_refuses_to_grow(tmp_path, monkeypatch):
    run(tmp_path / "runs" / "gan", {"samples": Images(np.random.default_rng(0).random((40, 8, 8, 3)))})
    monkeypatch.setattr(gallery, "TOTAL", 1000)
    with pytest.raises(gallery.UserError, match="take pictures out"):
        gallery.gallery(tmp_path / "runs", tmp_path / "docs")


def test_the_page_of_the_documentation_is_that_of_its_folder():
    folder = REPOSITORY / "docs" / "gallery"
    if folder.exists():
        page = (REPOSITORY / "docs" / "gallery.md").read_text()
        assert page == gallery.page(folder)
        pictures = {path.name for path in folder.iterdir() if path.suffix != ".json"}
        assert pictures == set(re.findall(r"\(gallery/([^)]+)\)", page))
        assert sum(path.stat().st_size for path in folder.iterdir()) < gallery.TOTAL
