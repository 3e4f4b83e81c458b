"""A run as a training program would leave it."""

import html.parser
import json
import re

import numpy as np
import pytest

from dl.artifacts import Images, Matrix, Table
from dl.config import base
from dl.report import artifacts

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(html.parser.HTMLParser):
    """Parses a page; fails on tags that do not match; collects the text and all that it would load."""

    def __init__(self, source):
        super().__init__()
        self.open, self.texts, self.loads, self.tags = [], [], [], []
        self.feed(source)
        self.close()
        assert self.open == []
        self.text = re.sub(r"\s+", " ", " ".join(self.texts))

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.loads += [value for name, value in attributes if name in ("src", "srcset", "href", "data", "action", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.texts.append(data)


@pytest.fixture
def parse():
    """HTML -> Page."""
    return Page


def _metric(values):
    return {
        "mean": float(np.mean(values)),
        "std": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0,
        "values": list(values),
    }


@pytest.fixture
def make_run(tmp_path):
    """Makes a workdir: `make_run(name, finished=True, reference=..., **config)`."""

    def make(name="run", finished=True, reference=("test/error", 0.0095, "LeCun et al. 1998, section III.B"), **settings):
        folder = tmp_path / name
        folder.mkdir()
        config = json.loads(json.dumps(base().to_dict())) | {"replicas": 3, "steps": 400} | settings
        config["reference"] = dict(zip(("metric", "value", "source"), reference, strict=True)) if reference else {}
        (folder / "config.json").write_text(json.dumps(config))
        lines = []
        for step in (100, 200, 300, 400):
            error = [0.02 / step * r * 100 for r in (0.9, 1.0, 1.1)]
            extra = {"learning_rate/classify": _metric([0.1] * 3), "gradient_norm/classify": _metric([1.0, 2.0, 3.0])}
            train = {"error": _metric(error), "examples_per_second": 9000.5, "seconds": step / 10, **extra}
            lines += [{"step": step, "split": "train", **train}, {"step": step, "split": "test", "error": _metric(error)}]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        images = Images(np.random.default_rng(0).random((2, 8, 8, 1)), ("3 as 5, 0.99", "<b> as c & d, 0.75"))
        confusion = Matrix(np.array([[8, 2], [1, 9]]), ("zero", "one"), ("zero", "one"), "actual", "predicted")
        classes = Table(("class", "recall"), (("zero", 0.8), ("one", 0.9)))
        artifacts.save(folder, "test", {"worst mistakes": images, "confusion matrix": confusion, "classes": classes})
        if finished:
            values = [0.0090, 0.0088, 0.0092]
            result = {
                "config": config,
                "config_hash": "c0ffee",
                "command": "python -m experiments.train --config=configs/x.py",
                "versions": {"jax": "0.10.2"},
                "devices": {"platform": "cpu", "count": 2},
                "replicas": 3,
                "parameters": 60000,
                "wall_seconds": 83.2,
                "steps": 400,
                "params_sha256": ["ab12", "cd34", "ef56"],
                "metrics": {"test": {"error": _metric(values)}},
                "reference": config["reference"],
            }
            (folder / "result.json").write_text(json.dumps(result))
        return folder

    return make
