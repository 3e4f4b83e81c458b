"""From MNIST to a few hundred USPS digits: handcrafted features, scratch, frozen features and fine-tuning, one command a row.

    python -m experiments.train --config=configs/mnist_lenet5_modern.py:quick --workdir=runs/mnist_lenet5_modern_quick
    python -m experiments.train --config=configs/usps_transfer.py --workdir=runs/usps_finetune
    python -m experiments.train --config=configs/usps_transfer.py:scratch --workdir=runs/usps_scratch
    python -m experiments.visual_words --config=configs/usps_transfer.py:words --workdir=runs/usps_words

The first makes the LeNet to start from; --config.task.weights names another run. `--config.dataset.splits.train='train[:1000]'`
takes more of the 7,291 labelled digits than the 200 here. Both sets are padded to 32x32, which leaves the digits of one at 20
pixels and those of the other at 16. No published figure: what is compared is the order of the rows, in docs/transfer.md. Two
cores: seconds a row.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.errors import unknown

HEAD = "model/dense3/.*"
BODY = {"pattern": "model/(?!dense3).*", "learning_rate_scale": 0.1}
RULES = {
    "finetune": ({"pattern": HEAD}, BODY),
    "last2": ({"pattern": HEAD}, {**BODY, "pattern": "model/dense[12]/.*"}, {"pattern": "model/conv.*", "frozen": True}),
    "linear": ({"pattern": HEAD}, {"pattern": "model/(?!dense3).*", "frozen": True}),
}
VARIANTS = (*RULES, "scratch", "words", "smoke")


def get_config(variant: str = "") -> ConfigDict:
    """`finetune` (the default): all layers move, those before the new head at a tenth of its rate; `last2`: of these the dense
    ones; `linear`: the head alone; `scratch`: all layers, reinitialised; `words`: bags of visual words, for
    experiments.visual_words. `smoke`, with any of them: seconds.
    """
    parts = variant.split("_") if variant else []
    for part in parts:
        if part not in VARIANTS:
            raise unknown("variant", part, VARIANTS)
    config = base()
    config.update(steps=1000, batch_size=50, steps_per_dispatch=20, log_every=100, eval_every=500, checkpoint_every=500)
    config.replicas = 5
    config.dataset.update(name="usps", splits={"train": "train[:200]", "test": "test"})
    config.dataset.update(size=(32, 32), mean=(0.1307,), std=(0.3081,))
    config.model = ConfigDict({"name": "lenet5_modern"})
    config.task.weights = "runs/mnist_lenet5_modern_quick"
    config.task.reinitialise = HEAD
    config.optimizer.update(name="adam", learning_rate=1e-3, schedule={"name": "cosine"})
    config.optimizer.rules = RULES[next((part for part in parts if part in RULES), "finetune")]
    if "scratch" in parts:
        config.task.update(weights="", reinitialise="")
        config.optimizer.rules = ()
    if "words" in parts:
        config.dataset.update(size=(0, 0))
        config.model = ConfigDict({"name": "visual_words"})
        config.task = ConfigDict({"name": "visual_words", "words": 200, "cells": (1, 2), "stride": 1})
    if "smoke" in parts:
        config.update(steps=20, batch_size=16, steps_per_dispatch=5, log_every=10, eval_every=20, checkpoint_every=10)
        config.dataset.update(name="digits")
        if "words" in parts:
            config.dataset.update(size=(16, 16), fit="resize")
            config.task.update(words=100, sample=10_000)
        else:
            config.task.update(weights="", reinitialise="")
    return config
