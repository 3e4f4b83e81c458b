"""Stacked denoising autoencoder, 784-1000-1000-1000-10, on MNIST: 1.30 % test error (lisa-lab, DeepLearningTutorials, "Stacked
denoising autoencoders"; Vincent et al. 2010, table 3: 1.28 %).

    python -m experiments.train --config=configs/mnist_sda.py --workdir=runs/mnist_sda
    python -m experiments.train --config=configs/mnist_sda.py:scratch --workdir=runs/mnist_sda_scratch
    python -m experiments.train --config=configs/mnist_sda.py:quick_labels100 --workdir=runs/mnist_sda_labels100

Reached: docs/results.md. As published: logistic units, tied weights, cross-entropy, masking noise of 10, 20 and 30 %, 15 passes
a layer, then backpropagation through all. Deviations: minibatches of 100 in place of single images, at as much larger a rate;
fine-tuning by Adam with a falling rate on all 60,000 images, 30 passes of which the last counts (there: gradient descent, and
the best by 10,000 validation images), with a fifth of the pixels dropped: `--config.task.dropout=0` is as published, and worse.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def base_config() -> ConfigDict:
    """What this net and the deep belief net (configs/mnist_dbn.py) share: the data, and fine-tuning by Adam."""
    config = base()
    config.update(epochs=30.0, batch_size=100, steps_per_dispatch=50, log_every=200, eval_every=6000, checkpoint_every=3000)
    config.dataset.update(name="mnist")
    config.optimizer.update(name="adam", learning_rate=1e-3, schedule={"name": "cosine"})
    return config


def get_config(variant: str = "") -> ConfigDict:
    """As published."""
    config = base_config()
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
    config.reference.update(
        metric="test/error", value=0.013, source="lisa-lab, DeepLearningTutorials, stacked denoising autoencoders"
    )
    return vary(config, VARIANTS, variant)


def quick(config: ConfigDict) -> None:
    """Three layers of 500 units, 15 passes: minutes on two cores."""
    config.update(epochs=15.0, eval_every=3000, checkpoint_every=3000)
    config.model.hidden = (500, 500, 500)
    config.task.pretraining.update(steps=3000)


def few_labels(config: ConfigDict, count: int, steps: int) -> None:
    """Fine-tuning on the first `count` images, pretraining on all."""
    config.dataset.splits = {"train": f"train[:{count}]", "unlabelled": "train", "test": "test"}
    config.task.pretraining.stream = "unlabelled"
    config.task.dropout = 0.0
    config.update(epochs=0.0, steps=steps)
    config.reference.update(metric="", value=0.0, source="")


def labels100(config: ConfigDict) -> None:
    """Fine-tuning on 100 images, pretraining on all."""
    few_labels(config, 100, 3000)


def labels1000(config: ConfigDict) -> None:
    """Fine-tuning on 1,000 images, pretraining on all."""
    few_labels(config, 1000, 6000)


def small(config: ConfigDict) -> None:
    """Seconds, two layers on the embedded digits."""
    config.update(epochs=0.0, steps=20, batch_size=32, steps_per_dispatch=5, log_every=10, eval_every=20, checkpoint_every=10)
    splits = {"train": "train[:200]", "unlabelled": "train", "test": "test"}
    config.dataset.update(name="digits", splits=splits)
    config.model.hidden = (32, 16)
    config.task.pretraining.update(steps=15, stream="unlabelled")


def smoke(config: ConfigDict) -> None:
    """Seconds, two layers on the embedded digits."""
    small(config)
    config.task.noise.amount = (0.1, 0.2)


def scratch(config: ConfigDict) -> None:
    """The same net without pretraining."""
    config.task.pretraining.steps = 0


VARIANTS = {"quick": quick, "labels100": labels100, "labels1000": labels1000, "smoke": smoke, "scratch": scratch}
