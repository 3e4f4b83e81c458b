"""A denoising autoencoder of 500 units on MNIST, 30 % of the pixels masked (lisa-lab, DeepLearningTutorials, "Denoising
autoencoders"): its filters are strokes, those of the plain autoencoder noise.

    python -m experiments.train --config=configs/mnist_denoising_autoencoder.py --workdir=runs/mnist_denoising_autoencoder

Reached: docs/results.md. As published: tied weights, logistic units, cross-entropy, minibatches of 20 at 0.1, 15 passes, 60,000
images in place of 50,000. Variants: `plain` (no noise), `gaussian` (0.5), `salt` (30 % of salt and pepper), `contractive`
(Rifai et al. 2011: no noise, weight 0.1), `sparse` (0.01 of the code's absolute values); each also as `gaussian_quick`.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.errors import unknown

KINDS = {
    "plain": {"noise": {"name": "none"}},
    "gaussian": {"noise": {"name": "gaussian", "amount": 0.5}},
    "salt": {"noise": {"name": "salt_and_pepper", "amount": 0.3}},
    "contractive": {"noise": {"name": "none"}, "contraction": 0.1},
    "sparse": {"noise": {"name": "none"}, "sparsity": 0.01},
}


def get_config(variant: str = "") -> ConfigDict:
    """As published; `quick` takes fewer and larger batches, `smoke` seconds on the embedded digits."""
    parts = set(variant.split("_")) - {""}
    for part in sorted(parts - {*KINDS, "quick", "smoke"}):
        raise unknown("variant", part, [*KINDS, "quick", "smoke"])
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
    for part in parts & set(KINDS):
        config.task = ConfigDict({"name": "reconstruction", "loss": "cross_entropy", **KINDS[part]})
    if "quick" in parts:
        config.update(epochs=10.0, batch_size=100, steps_per_dispatch=50, log_every=200, eval_every=3000, checkpoint_every=3000)
        config.optimizer.update(name="nesterov", momentum=0.9)
    if "smoke" in parts:
        config.update(
            epochs=0.0, steps=40, batch_size=32, steps_per_dispatch=5, log_every=10, eval_every=20, checkpoint_every=20
        )
        config.dataset.update(name="digits")
        config.model.hidden = (32,)
    return config
