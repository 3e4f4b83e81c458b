"""LeNet-5 in its modern form (convolution, ReLU, max-pooling, softmax; 61,706 parameters) on MNIST.

    python -m experiments.train --config=configs/mnist_lenet5_modern.py --workdir=runs/mnist_lenet5_modern --config.replicas=3

Measured against the 0.95 % of the original (LeCun et al. 1998, section III.B). Reached: docs/results.md.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """Twenty passes."""
    config = base()
    config.update(epochs=20.0, batch_size=128, steps_per_dispatch=16, log_every=96, eval_every=960, checkpoint_every=960)
    config.dataset.update(name="mnist", size=(32, 32), mean=(0.1307,), std=(0.3081,))
    config.model = ConfigDict({"name": "lenet5_modern"})
    config.optimizer.update(name="adam", learning_rate=2e-3, schedule={"name": "cosine"})
    config.reference.update(metric="test/error", value=0.0095, source="LeCun et al. 1998, section III.B, the original net")
    return vary(config, VARIANTS, variant)


def quick(config: ConfigDict) -> None:
    """Three passes."""
    config.epochs = 3.0


def smoke(config: ConfigDict) -> None:
    """Seconds, on the embedded digits."""
    config.update(epochs=0.0, steps=40, batch_size=32, steps_per_dispatch=4, log_every=8, eval_every=20, checkpoint_every=20)
    config.update(ema=0.9, microbatches=2)
    config.dataset.update(name="digits", fit="resize")
    config.augmentation = ConfigDict({"pad_and_crop": {"pad": 2}, "mixup": {"alpha": 0.2}})


VARIANTS = {"quick": quick, "smoke": smoke}
