"""Multinomial logistic regression on MNIST: 7.49 % test error (deeplearning.net tutorial, lisa-lab, "Classifying MNIST
digits").

    python -m experiments.train --config=configs/mnist_logistic.py --workdir=runs/mnist_logistic --config.replicas=3

Reached: docs/results.md. Two cores: a minute. As published: 50,000 images to train and 10,000 to validate, minibatches of
600, gradient descent at 0.13, stopped when the validation error no longer falls (there by a patience in iterations, here of 20
epochs).
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """The published setting."""
    config = base()
    config.update(epochs=500.0, batch_size=600, steps_per_dispatch=50, log_every=83, eval_every=83, checkpoint_every=830)
    config.dataset.update(name="mnist", splits={"train": "train[:50000]", "validation": "train[50000:]", "test": "test"})
    config.model = ConfigDict({"name": "logistic_regression", "kernel_init": "zeros"})
    config.optimizer.update(name="sgd", learning_rate=0.13)
    config.early_stopping.update(metric="validation/error", patience=50)
    config.best.metric = "validation/error"
    config.reference.update(metric="test/error", value=0.0749, source="lisa-lab, DeepLearningTutorials, logistic regression")
    return vary(config, VARIANTS, variant)


def smoke(config: ConfigDict) -> None:
    """Seconds, on the embedded digits."""
    config.update(epochs=0.0, steps=60, batch_size=50, steps_per_dispatch=5, log_every=10, eval_every=20, checkpoint_every=20)
    config.dataset.update(name="digits", splits={"train": "train[:1200]", "validation": "train[1200:]", "test": "test"})


VARIANTS = {"smoke": smoke}
