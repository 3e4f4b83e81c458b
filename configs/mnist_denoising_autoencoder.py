"""A denoising autoencoder of 500 units on MNIST, 30 % of the pixels masked (lisa-lab, DeepLearningTutorials, "Denoising
autoencoders"): its filters are strokes, those of the plain autoencoder noise.

    python -m experiments.train --config=configs/mnist_denoising_autoencoder.py --workdir=runs/mnist_denoising_autoencoder

Reached: docs/results.md. As published: tied weights, logistic units, cross-entropy, minibatches of 20 at 0.1, 15 passes, 60,000
images in place of 50,000. The variants are other kinds of noise and penalties; each also as `gaussian_quick`.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """As published."""
    config = base()
    config.update(epochs=15.0, batch_size=20, steps_per_dispatch=100, log_every=1000, eval_every=9000, checkpoint_every=9000)
    config.dataset.update(name="mnist")
    config.model = ConfigDict(
        {
            "name": "dense_autoencoder",
            "hidden": (500,),
            "tied": True,
            "activation": "logistic",
            "kernel_init": "glorot_logistic",
        }
    )
    config.task = ConfigDict({"name": "reconstruction", "loss": "cross_entropy", "noise": {"name": "masking", "amount": 0.3}})
    config.optimizer.update(name="sgd", learning_rate=0.1)
    return vary(config, VARIANTS, variant)


def plain(config: ConfigDict) -> None:
    """No noise."""
    config.task.noise = ConfigDict({"name": "none"})


def gaussian(config: ConfigDict) -> None:
    """Gaussian noise of 0.5."""
    config.task.noise = ConfigDict({"name": "gaussian", "amount": 0.5})


def salt(config: ConfigDict) -> None:
    """30 % of salt and pepper."""
    config.task.noise = ConfigDict({"name": "salt_and_pepper", "amount": 0.3})


def contractive(config: ConfigDict) -> None:
    """No noise, but the contractive penalty (Rifai et al. 2011) at 0.1."""
    plain(config)
    config.task.contraction = 0.1


def sparse(config: ConfigDict) -> None:
    """No noise, but 0.01 of the code's absolute values."""
    plain(config)
    config.task.sparsity = 0.01


def quick(config: ConfigDict) -> None:
    """Fewer and larger batches, 10 passes."""
    config.update(epochs=10.0, batch_size=100, steps_per_dispatch=50, log_every=200, eval_every=3000, checkpoint_every=3000)
    config.optimizer.update(name="nesterov", momentum=0.9)


def smoke(config: ConfigDict) -> None:
    """Seconds, on the embedded digits."""
    config.update(epochs=0.0, steps=40, batch_size=32, steps_per_dispatch=5, log_every=10, eval_every=20, checkpoint_every=20)
    config.dataset.update(name="digits")
    config.model.hidden = (32,)


VARIANTS = {
    "plain": plain,
    "gaussian": gaussian,
    "salt": salt,
    "contractive": contractive,
    "sparse": sparse,
    "quick": quick,
    "smoke": smoke,
}
