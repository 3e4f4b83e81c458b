"""The first GAN, of fully connected layers with maxout in the discriminator, on MNIST: Parzen log-likelihood 225 +- 2 nats
(Goodfellow et al. 2014, table 1, with the settings of their mnist.yaml).

    python -m experiments.train --config=configs/mnist_gan.py:quick --workdir=runs/mnist_gan

With --config.task.classifier=DIR, a run of configs/mnist_lenet5_modern.py, the Frechet distance is in the features of that
classifier; without one, in fixed random features. `seen` are training images: samples that lie nearer to them than to the test
images were copied. Deviations: momentum is 0.5 throughout (theirs rises to 0.7), and the number of epochs is ours. Reached:
docs/results.md.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """300 passes."""
    config = base()
    config.update(epochs=300.0, batch_size=100, steps_per_dispatch=10, log_every=100, eval_every=12_000, checkpoint_every=3000)
    config.dataset.update(name="mnist", splits={"train": "train", "test": "test", "seen": "train[:10000]"})
    config.model = ConfigDict({"name": "gan_mlp", "latent": 100})
    config.task = ConfigDict(
        {"name": "adversarial", "loss": "non_saturating", "classifier": "", "parzen": True, "label_smoothing": 0.0}
    )
    config.optimizer.update(
        name="sgd", learning_rate=0.1, momentum=0.5, schedule={"name": "exponential", "decay": 0.999996, "every": 1}
    )
    config.reference.update(metric="test/parzen", value=225.0, source="Goodfellow et al. 2014, table 1")
    return vary(config, VARIANTS, variant)


def quick(config: ConfigDict) -> None:
    """12 passes with Adam: minutes on two cores."""
    config.update(epochs=12.0, ema=0.999, eval_every=0)
    config.optimizer = ConfigDict({"name": "adam", "learning_rate": 2e-4, "b1": 0.5, "schedule": {"name": "constant"}})


def smoke(config: ConfigDict) -> None:
    """Seconds, on the embedded digits."""
    config.update(epochs=0.0, steps=40, batch_size=32, steps_per_dispatch=5, log_every=10, eval_every=20, checkpoint_every=20)
    config.dataset.update(name="digits")
    config.dataset.splits = ConfigDict({"train": "train", "test": "test"})
    config.model.update(latent=8, generator=(32, 32), discriminator=(16, 16), pieces=2, discriminator_scale=0.1)
    config.task.update(loss="saturating")


VARIANTS = {"quick": quick, "smoke": smoke}
