"""A restricted Boltzmann machine of 500 hidden units on MNIST, by persistent contrastive divergence with 15 sweeps: log
pseudo-likelihood near -60 (lisa-lab, DeepLearningTutorials, "Restricted Boltzmann machines").

    python -m experiments.train --config=configs/mnist_rbm.py --workdir=runs/mnist_rbm

Reached: docs/results.md. As published: 20 chains, minibatches of 20 at 0.1, 15 passes; 60,000 images in place of 50,000. `cd`
starts the chains at the data, one sweep a step (CD-1).
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """As published."""
    config = base()
    config.update(epochs=15.0, batch_size=20, steps_per_dispatch=100, log_every=1000, eval_every=9000, checkpoint_every=9000)
    config.dataset.update(name="mnist")
    config.model = ConfigDict({"name": "deep_belief_net", "hidden": (500,), "kernel_init": "glorot_logistic"})
    config.task = ConfigDict({"name": "restricted_boltzmann_machine", "k": 15, "chains": 20})
    config.optimizer.update(name="sgd", learning_rate=0.1)
    return vary(config, VARIANTS, variant)


def quick(config: ConfigDict) -> None:
    """Larger batches with fewer sweeps."""
    config.update(epochs=15.0, batch_size=100, steps_per_dispatch=50, log_every=200, eval_every=3000, checkpoint_every=3000)
    config.task.update(k=2, chains=100)
    config.optimizer.update(learning_rate=0.05, schedule={"name": "linear"})


def cd(config: ConfigDict) -> None:
    """The chains start at the data, one sweep a step (CD-1)."""
    config.task.update(k=1, chains=0)


def smoke(config: ConfigDict) -> None:
    """Seconds, on the embedded digits."""
    config.update(epochs=0.0, steps=40, batch_size=32, steps_per_dispatch=5, log_every=10, eval_every=20, checkpoint_every=20)
    config.dataset.update(name="digits")
    config.model.hidden = (32,)
    config.task.update(k=2, chains=16)


VARIANTS = {"quick": quick, "smoke": smoke, "cd": cd}
