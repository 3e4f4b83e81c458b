"""Deep belief net, 784-500-500-2000-10, on MNIST: 1.25 % test error (Hinton, Osindero & Teh 2006); fine-tuned by
backpropagation 1.2 % (Hinton & Salakhutdinov 2006) and, lisa-lab, 1.34 %.

    python -m experiments.train --config=configs/mnist_dbn.py --workdir=runs/mnist_dbn
    python -m experiments.train --config=configs/mnist_dbn.py:scratch --workdir=runs/mnist_dbn_scratch

Reached: docs/results.md. As published: the layers, each an RBM trained by CD-1 on the hidden probabilities of the one below,
minibatches of 100 (there of 10 a class), 60,000 images. Deviations: the top machine has no label units, and fine-tuning is
backpropagation by Adam with a falling rate, with a fifth of the pixels dropped (Hinton & Salakhutdinov 2006: conjugate
gradients, without dropping), in place of the up-down algorithm.

What it shares with the stacked autoencoder, most variants too, is in configs/mnist_sda.py.
"""

from ml_collections import ConfigDict

from configs import mnist_sda as sda
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """As published."""
    config = sda.base_config()
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
    config.reference.update(metric="test/error", value=0.0125, source="Hinton, Osindero & Teh 2006")
    return vary(config, VARIANTS, variant)


def scratch(config: ConfigDict) -> None:
    """The same net without pretraining, from larger initial weights."""
    sda.scratch(config)
    config.model.kernel_init = "glorot_logistic"  # N(0, 0.01^2) leaves three layers of logistic units where they are


VARIANTS = {**sda.VARIANTS, "smoke": sda.small, "scratch": scratch}
