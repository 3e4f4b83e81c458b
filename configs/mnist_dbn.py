"""Deep belief net, 784-500-500-2000-10, on MNIST: 1.25 % test error (Hinton, Osindero & Teh 2006); fine-tuned by
backpropagation 1.2 % (Hinton & Salakhutdinov 2006) and, lisa-lab, 1.34 %.

    python -m experiments.train --config=configs/mnist_dbn.py --workdir=runs/mnist_dbn
    python -m experiments.train --config=configs/mnist_dbn.py:scratch --workdir=runs/mnist_dbn_scratch

Reached: docs/results.md. As published: the layers, each an RBM trained by CD-1 on the hidden probabilities of the one below,
minibatches of 100 (there of 10 a class), 60,000 images. Deviations: the top machine has no label units, and fine-tuning is
backpropagation by Adam with a falling rate, with a fifth of the pixels dropped (Hinton & Salakhutdinov 2006: conjugate
gradients, without dropping), in place of the up-down algorithm.

Variants, joined by `_`: as of configs/mnist_sda.py.
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
    config.model = ConfigDict({"name": "deep_belief_net", "hidden": (500, 500, 2000), "kernel_init": "small"})
    config.task = ConfigDict(
        {
            "name": "deep_belief_net",
            "k": 1,
            "dropout": 0.2,
            "pretraining": {
                "steps": 18000,  # a layer: 30 passes over 60,000 images
                "stream": "train",
                "optimizer": {"name": "momentum", "learning_rate": 0.05, "momentum": 0.5, "l2": 2e-4},
            },
        }
    )
    config.optimizer.update(name="adam", learning_rate=1e-3, schedule={"name": "cosine"})
    config.reference.update(metric="test/error", value=0.0125, source="Hinton, Osindero & Teh 2006")
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
        config.task.pretraining.update(steps=15, stream="unlabelled")
    if "scratch" in parts:  # zeros apart from N(0, 0.01^2) leave three layers of logistic units where they are
        config.task.pretraining.steps = 0
        config.model.kernel_init = "glorot_logistic"
    return config
