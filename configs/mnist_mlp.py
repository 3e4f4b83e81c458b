"""Multilayer perceptron on MNIST: 1.65 % test error (deeplearning.net tutorial, lisa-lab, "Multilayer perceptron").

    python -m experiments.train --config=configs/mnist_mlp.py:quick --workdir=runs/mnist_mlp --config.replicas=3

Reached: docs/results.md. The published setting takes 2.5 million steps of 20 images at 0.01 (1,000 epochs), with tanh, 500
hidden units and an L2 penalty of 1e-4 on the sum of the squares. `quick` has the same size with what came later, ReLU, dropout
(Srivastava et al. 2014) and Adam: 40 epochs, three minutes on two cores.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """The published setting."""
    config = base()
    config.update(
        epochs=1000.0, batch_size=20, steps_per_dispatch=250, log_every=2500, eval_every=25000, checkpoint_every=25000
    )
    config.dataset.update(name="mnist", splits={"train": "train[:50000]", "validation": "train[50000:]", "test": "test"})
    config.model = ConfigDict(
        {"name": "mlp", "hidden": (500,), "activation": "tanh", "kernel_init": "glorot", "dropout": 0.0, "input_dropout": 0.0}
    )
    config.optimizer.update(name="sgd", learning_rate=0.01, l2=2e-4)
    config.best.metric = "validation/error"
    config.reference.update(metric="test/error", value=0.0165, source="lisa-lab, DeepLearningTutorials, multilayer perceptron")
    return vary(config, VARIANTS, variant)


def quick(config: ConfigDict) -> None:
    """40 passes with ReLU, dropout and Adam: three minutes on two cores."""
    config.update(epochs=40.0, batch_size=128, steps_per_dispatch=50, log_every=100, eval_every=2000, checkpoint_every=2000)
    config.model.update(activation="relu", input_dropout=0.2, dropout=0.5)
    config.optimizer.update(name="adam", learning_rate=1e-3, schedule={"name": "cosine"}, l2=0.0)


def smoke(config: ConfigDict) -> None:
    """Seconds, on the embedded digits."""
    config.update(epochs=0.0, steps=60, batch_size=50, steps_per_dispatch=5, log_every=10, eval_every=20, checkpoint_every=20)
    config.dataset.update(name="digits", splits={"train": "train[:1200]", "validation": "train[1200:]", "test": "test"})


VARIANTS = {"quick": quick, "smoke": smoke}
