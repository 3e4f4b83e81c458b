"""Retrieval with a trained run: the nearest images of a folder, and what can be wrong with it."""

import os

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from dl.data.sources.digits import load_digits
from dl.errors import UserError
from experiments.search import images_in
from tests.experiments.programs import REPOSITORY, end, start, train


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Test digits as PNG files, those of a class in one folder."""
    root = tmp_path_factory.mktemp("digits")
    features = load_digits(ConfigDict()).splits["test"].features
    for i in range(150):
        path = root / str(features["label"][i]) / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(features["image"][i, ..., 0]).save(path)
    return root


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "run"
    train(workdir, "--config.steps=150", "--config.batch_size=40", config="configs/omniglot_triplet.py:smoke")
    return workdir


def search(*arguments, **how):
    return end(start("search", *arguments, **how))


def test_the_nearest_are_of_the_same_class(trained, folder, tmp_path):
    queries = [sorted((folder / digit).iterdir())[0] for digit in "0123456789"]
    page = tmp_path / "nearest.html"
    relative = os.path.relpath(trained, REPOSITORY)
    done = search(f"--workdir={relative}", f"--images={folder}", "--top=3", f"--out={page}", *queries, fresh=True)
    assert done.returncode == 0, done.stderr
    blocks = done.stdout.split("nearest to ")[1:]
    assert len(blocks) == 10
    hits = []
    for query, block in zip(queries, blocks, strict=True):
        lines = [line.split() for line in block.splitlines()[1:4]]
        distances = [float(number) for number, _ in lines]
        assert distances == sorted(distances) and str(query) not in [path for _, path in lines]
        hits += [path.split("/")[-2] == query.parent.name for _, path in lines]
    assert np.mean(hits) >= 0.5  # by chance: 0.1
    assert page.read_text().count("<img") == 10 * 4


def test_bad_input(trained, folder, tmp_path):
    query = sorted((folder / "3").iterdir())[0]
    empty, broken = tmp_path / "empty", tmp_path / "broken"
    empty.mkdir()
    broken.mkdir()
    (broken / "a.png").write_bytes(b"no image")
    (broken / "b.png").write_bytes(query.read_bytes())
    with pytest.raises(UserError, match="empty holds no images"):
        images_in(empty)
    with pytest.raises(UserError, match="there is no folder"):
        images_in(tmp_path / "absent")
    for images, asked, message in (
        (broken, [query], f"error: {broken / 'a.png'} can't be decoded"),
        (folder, [broken / "a.png"], f"error: {broken / 'a.png'} can't be decoded"),
        (folder, [], "error: no image given"),
    ):
        done = search(f"--workdir={trained}", f"--images={images}", *asked)
        assert done.returncode == 1 and message in done.stderr and done.stderr.count("\n") == 1, done.stderr
