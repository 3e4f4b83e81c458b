"""A deep autoencoder of MNIST, 784-1000-500-250-30: squared error of a test image 3.00, PCA's 13.87 (Hinton & Salakhutdinov
2006, figure 2 B).

    python -m experiments.train --config=configs/mnist_autoencoder.py --workdir=runs/mnist_autoencoder
    python -m experiments.train --config=configs/mnist_autoencoder.py:plane --workdir=runs/mnist_autoencoder_plane

Reached: docs/results.md. As published: the layers, a linear code, logistic output and cross-entropy, 60,000 images. Deviation:
rectified units and Adam, so that no pretraining is needed (there: RBMs, then conjugate gradients). `plane` has a code of two
numbers (there figure 3), to be looked at; `conv` is convolutional, with a code of 30.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """As published."""
    config = base()
    config.update(epochs=200.0, batch_size=100, steps_per_dispatch=50, log_every=200, eval_every=6000, checkpoint_every=6000)
    config.dataset.update(name="mnist")
    config.model = ConfigDict(
        {
            "name": "dense_autoencoder",
            "hidden": (1000, 500, 250, 30),
            "activation": "relu",
            "output": "logistic",
            "kernel_init": "he",
            "linear_code": True,
        }
    )
    config.task = ConfigDict({"name": "reconstruction", "loss": "cross_entropy"})
    config.optimizer.update(name="adam", learning_rate=1e-3, schedule={"name": "cosine"})
    config.reference.update(metric="test/squared_error", value=3.0, source="Hinton & Salakhutdinov 2006, figure 2 B")
    return vary(config, VARIANTS, variant)


def conv(config: ConfigDict) -> None:
    """A convolutional net with a code of 30."""
    config.model = ConfigDict({"name": "conv_autoencoder", "features": (16, 32), "code": 30})
    config.update(steps_per_dispatch=4)


def plane(config: ConfigDict) -> None:
    """A code of two numbers, to be looked at."""
    config.model.update({"code": 2} if config.model.name == "conv_autoencoder" else {"hidden": (1000, 500, 250, 2)})
    config.reference.update(metric="", value=0.0, source="")


def quick(config: ConfigDict) -> None:
    """15 passes: minutes on two cores."""
    config.update(epochs=15.0, eval_every=3000, checkpoint_every=3000)


def smoke(config: ConfigDict) -> None:
    """Seconds, on the embedded digits."""
    config.update(epochs=0.0, steps=40, batch_size=32, steps_per_dispatch=5, log_every=10, eval_every=20, checkpoint_every=20)
    config.dataset.update(name="digits")
    config.model.update({"features": (4, 8), "code": 2} if config.model.name == "conv_autoencoder" else {"hidden": (32, 2)})


VARIANTS = {"conv": conv, "plane": plane, "quick": quick, "smoke": smoke}
