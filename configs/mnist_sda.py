"""Stacked denoising autoencoder, 784-1000-1000-1000-10, on MNIST: 1.30 % test error (lisa-lab, DeepLearningTutorials, "Stacked
denoising autoencoders"; Vincent et al. 2010, table 3: 1.28 %).

    python -m experiments.train --config=configs/mnist_sda.py --workdir=runs/mnist_sda
    python -m experiments.train --config=configs/mnist_sda.py:scratch --workdir=runs/mnist_sda_scratch
    python -m experiments.train --config=configs/mnist_sda.py:quick_labels100 --workdir=runs/mnist_sda_labels100

Reached: docs/results.md. As published: logistic units, tied weights, cross-entropy, masking noise of 10, 20 and 30 %, 15 passes
a layer, then backpropagation through all. Deviations: minibatches of 100 in place of single images, at as much larger a rate;
fine-tuning by Adam with a falling rate on all 60,000 images, 30 passes of which the last counts (there: gradient descent, and
the best by 10,000 validation images), with a fifth of the pixels dropped: `--config.task.dropout=0` is as published, and worse.

Variants, joined by `_`: `scratch` is the same net without pretraining; `labels100` and `labels1000` fine-tune on so many
images, but pretrain on all; `quick` takes minutes on two cores, `smoke` seconds on the embedded digits.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.errors import unknown

PARTS = ("quick", "smoke", "scratch", "labels100", "labels1000")


def get_config(variant: str = "") -> ConfigDict:
    """See above."""
    parts = set(variant.split("_")) - {""}
    for part in sorted(parts - set(PARTS)):
        raise unknown("variant", part, PARTS)
    config = base()
    config.update(epochs=30.0, batch_size=100, steps_per_dispatch=50, log_every=200, eval_every=6000, checkpoint_every=3000)
    config.dataset.update(name="mnist")
    config.model = ConfigDict(
        {
            "name": "dense_autoencoder",
            "hidden": (1000, 1000, 1000),
            "tied": True,
            "activation": "logistic",
            "kernel_init": "glorot_logistic",
        }
    )
    config.task = ConfigDict(
        {
            "name": "stacked_autoencoder",
            "loss": "cross_entropy",
            "noise": {"name": "masking", "amount": (0.1, 0.2, 0.3)},
            "dropout": 0.2,
            "pretraining": {
                "steps": 9000,  # a layer: 15 passes over 60,000 images
                "stream": "train",
                "optimizer": {"name": "sgd", "learning_rate": 0.1},
            },
        }
    )
    config.optimizer.update(name="adam", learning_rate=1e-3, schedule={"name": "cosine"})
    config.reference.update(
        metric="test/error", value=0.013, source="lisa-lab, DeepLearningTutorials, stacked denoising autoencoders"
    )
    if "quick" in parts:
        config.update(epochs=15.0, eval_every=3000, checkpoint_every=3000)
        config.model.hidden = (500, 500, 500)
        config.task.pretraining.update(steps=3000)
    if parts & {"labels100", "labels1000"}:
        few = 100 if "labels100" in parts else 1000
        config.dataset.splits = {"train": f"train[:{few}]", "unlabelled": "train", "test": "test"}
        config.task.pretraining.stream = "unlabelled"
        config.task.dropout = 0.0
        config.update(epochs=0.0, steps=3000 if few == 100 else 6000)
        config.reference.update(metric="", value=0.0, source="")
    if "smoke" in parts:
        config.update(
            epochs=0.0, steps=20, batch_size=32, steps_per_dispatch=5, log_every=10, eval_every=20, checkpoint_every=10
        )
        splits = {"train": "train[:200]", "unlabelled": "train", "test": "test"}
        config.dataset.update(name="digits", splits=splits)
        config.model.hidden = (32, 16)
        config.task.noise.amount = (0.1, 0.2)
        config.task.pretraining.update(steps=15, stream="unlabelled")
    if "scratch" in parts:
        config.task.pretraining.steps = 0
    return config
