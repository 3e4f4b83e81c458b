"""From ImageNet to 2,000 images of CIFAR-10: handcrafted features, scratch, frozen features and fine-tuning, one command a row.

    python -m experiments.train --config=configs/cifar10_transfer.py --workdir=runs/cifar10_finetune
    python -m experiments.train --config=configs/cifar10_transfer.py:scratch --workdir=runs/cifar10_scratch
    python -m experiments.visual_words --config=configs/cifar10_transfer.py:words --workdir=runs/cifar10_words

SqueezeNet 1.0 with the authors' weights (`squeezenet_imagenet/` in --manual_dir) on `cifar10_subset`, enlarged to 64x64. No
published figure: what is compared is the order of the rows, in docs/transfer.md. Two cores: 1 to 30 minutes a row.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary

HEAD = "model/conv10/.*"


def transfer(weights: str, reinitialise: str, replicas: int) -> ConfigDict:
    """What this experiment and configs/usps_transfer.py share: batches of 50, and Adam with a falling rate, from weights."""
    config = base()
    config.update(batch_size=50, replicas=replicas)
    config.task.update(weights=weights, reinitialise=reinitialise)
    config.optimizer.update(name="adam", learning_rate=1e-3, schedule={"name": "cosine"})
    return config


def get_config(variant: str = "") -> ConfigDict:
    """All layers move."""
    config = transfer("squeezenet_imagenet/squeezenet_v1.0_oihw_float32.npz", "", replicas=3)
    config.update(epochs=8.0, log_every=40, eval_every=200, checkpoint_every=200, eval_batch_size=250)
    config.dataset.update(name="cifar10_subset", size=(64, 64), fit="resize")
    # What the published network takes: RGB in 0..255 less the mean colour.
    config.dataset.update(mean=(123 / 255, 117 / 255, 104 / 255), std=(1 / 255, 1 / 255, 1 / 255))
    config.augmentation = ConfigDict({"flip": {}})
    config.model = ConfigDict({"name": "squeezenet", "version": "1.0", "padding": 0})
    config.optimizer.rules = rules(".*")
    return vary(config, VARIANTS, variant)


def rules(moved: str) -> tuple[dict[str, object], ...]:
    """The new head at the full learning rate, the layers that are `moved` at a tenth of it, the others frozen."""
    body = rf"(?!{HEAD})model/({moved})/.*"
    groups = [{"pattern": HEAD}]
    groups += [{"pattern": body, "learning_rate_scale": 0.1}] if moved else []
    groups += [{"pattern": rf"(?!{HEAD}|{body}).*" if moved else rf"(?!{HEAD}).*", "frozen": True}] if moved != ".*" else []
    return tuple(groups)


def last1(config: ConfigDict) -> None:
    """Fine-tuning of the last fire module and the head."""
    config.optimizer.rules = rules("fire9")


def last3(config: ConfigDict) -> None:
    """Fine-tuning of the last three fire modules and the head."""
    config.optimizer.rules = rules("fire[7-9]")


def linear(config: ConfigDict) -> None:
    """The head alone, on frozen features."""
    config.optimizer.rules = rules("")


def scratch(config: ConfigDict) -> None:
    """All layers, reinitialised."""
    without_weights(config)
    config.epochs = 12.0
    config.dataset.update(mean=(0.494, 0.484, 0.448), std=(0.25, 0.25, 0.25))


def without_weights(config: ConfigDict) -> None:
    """All layers start at random and move at the full rate."""
    config.task.update(weights="", reinitialise="")
    config.optimizer.rules = ()


def visual_words(config: ConfigDict, count: int, cells: tuple[int, ...], stride: int) -> None:
    """Bags of `count` visual words in so many cells to a side, for experiments.visual_words, of images at their own size."""
    config.dataset.update(size=(0, 0))
    config.model = ConfigDict({"name": "visual_words"})
    config.task = ConfigDict({"name": "visual_words", "words": count, "cells": cells, "stride": stride})


def words(config: ConfigDict) -> None:
    """Bags of visual words, for experiments.visual_words."""
    visual_words(config, 500, (2, 4), 2)


def smoke(config: ConfigDict) -> None:
    """Seconds, on the embedded digits, which the network sees as they are; no weights that it needs lie at hand."""
    config.update(epochs=0.0, steps=4, batch_size=4, replicas=1, log_every=2, eval_every=4, checkpoint_every=2)
    config.dataset.update(name="digits", size=(32, 32), mean=(0.0784,), std=(0.7843,))
    if config.task.name == "classification":
        config.task.weights = ""


VARIANTS = {"last1": last1, "last3": last3, "linear": linear, "scratch": scratch, "words": words, "smoke": smoke}
