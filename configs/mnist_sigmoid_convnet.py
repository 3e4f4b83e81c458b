"""The lectures' sigmoid ConvNet on MNIST: two 5x5 convolutions (32, 64 maps), pooling, a hidden layer of 100, all logistic.

    python -m experiments.train --config=configs/mnist_sigmoid_convnet.py --workdir=runs/mnist_sigmoid_convnet

Measured against LeNet-5's 0.95 % (LeCun et al. 1998). Reached: docs/results.md.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """Twenty passes."""
    config = base()
    config.update(epochs=20.0, batch_size=128, steps_per_dispatch=4, log_every=100, eval_every=1000, checkpoint_every=1000)
    config.dataset.update(name="mnist", mean=(0.1307,), std=(0.3081,))
    config.model = ConfigDict({"name": "sigmoid_convnet"})
    config.optimizer.update(name="adam", learning_rate=1e-3, schedule={"name": "cosine"})
    config.reference.update(metric="test/error", value=0.0095, source="LeCun et al. 1998, section III.B, LeNet-5")
    return vary(config, VARIANTS, variant)


def quick(config: ConfigDict) -> None:
    """Three passes."""
    config.epochs = 3.0


def smoke(config: ConfigDict) -> None:
    """Seconds, on the embedded digits."""
    config.update(epochs=0.0, steps=30, batch_size=32, steps_per_dispatch=5, log_every=10, eval_every=15, checkpoint_every=15)
    config.dataset.update(name="digits", size=(8, 8), fit="resize")


VARIANTS = {"quick": quick, "smoke": smoke}
