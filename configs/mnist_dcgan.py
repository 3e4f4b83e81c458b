"""DCGAN of 28x28 images on MNIST (Radford, Metz & Chintala 2016).

    python -m experiments.train --config=configs/mnist_dcgan.py:quick --workdir=runs/mnist_dcgan

Measured: the Frechet distance in the features of the classifier in --config.task.classifier=DIR (a run of
configs/mnist_lenet5_modern.py; without one, in fixed random features), how many samples it is sure of, the classes covered, and
the distance of samples to the nearest test image and training image (`seen`). Spectral normalisation of the discriminator
(Miyato et al. 2018) by --config.model.spectral_norm, label smoothing by --config.task.label_smoothing. Reached:
docs/results.md.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """25 passes."""
    config = base()
    config.update(epochs=25.0, batch_size=128, steps_per_dispatch=4, log_every=40, eval_every=2000, checkpoint_every=1000)
    splits = {"train": "train", "test": "test", "seen": "train[:10000]"}
    config.dataset.update(name="mnist", splits=splits, mean=(0.5,), std=(0.5,))  # pixels in -1 .. 1, as tanh gives them
    config.model = ConfigDict({"name": "dcgan", "width": 64, "latent": 100, "prior": "normal", "spectral_norm": False})
    config.task = ConfigDict({"name": "adversarial", "classifier": "", "label_smoothing": 0.0, "discriminator_steps": 1})
    config.optimizer.update(name="adam", learning_rate=2e-4, b1=0.5)
    return vary(config, VARIANTS, variant)


def quick(config: ConfigDict) -> None:
    """Six passes with half as many channels: minutes on two cores."""
    config.update(epochs=6.0, batch_size=64, eval_every=0, ema=0.99)
    config.model.width = 32


def smoke(config: ConfigDict) -> None:
    """Seconds, on the embedded digits."""
    config.update(epochs=0.0, steps=30, batch_size=16, steps_per_dispatch=5, log_every=5, eval_every=15, checkpoint_every=15)
    config.ema = 0.9
    config.dataset.update(name="digits", size=(28, 28), fit="resize")
    config.dataset.splits = ConfigDict({"train": "train", "test": "test[:100]", "seen": "train[:100]"})
    config.model.update(width=4, latent=8)


VARIANTS = {"quick": quick, "smoke": smoke}
