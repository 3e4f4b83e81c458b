"""LeNet-5 on MNIST: 0.95 % test error, 0.8 % with distortions (LeCun, Bottou, Bengio & Haffner 1998, section III.B).

    python -m experiments.train --config=configs/mnist_lenet5.py --workdir=runs/mnist_lenet5 --config.replicas=3
    python -m experiments.train --config=configs/mnist_lenet5.py:distorted --workdir=runs/distorted --config.replicas=3

Reached: docs/results.md. As published: the net with its 60,000 parameters and radial basis outputs, the criterion of eq. 9,
pixels from -0.1 to 1.175, all 60,000 images, 20 passes. Deviation: Adam on minibatches of 64 with a falling rate, in place of
the stochastic diagonal Levenberg-Marquardt method on single images. `distorted` adds random planar affine maps and takes more
passes, where the paper trains on 540,000 distorted copies made beforehand.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """The published setting."""
    config = base()
    config.update(epochs=20.0, batch_size=64, steps_per_dispatch=20, log_every=100, eval_every=1000, checkpoint_every=1000)
    config.dataset.update(name="mnist", splits={"train": "train", "test": "test"}, size=(32, 32), mean=(0.0784,), std=(0.7843,))
    config.model = ConfigDict({"name": "lenet5"})
    config.task.update(loss="map", rubbish=0.1)
    config.optimizer.update(name="adamw", learning_rate=2e-3, weight_decay=0.05, schedule={"name": "cosine"})
    config.reference.update(metric="test/error", value=0.0095, source="LeCun et al. 1998, section III.B")
    return vary(config, VARIANTS, variant)


def distorted(config: ConfigDict) -> None:
    """Random planar affine maps, and 40 passes."""
    config.epochs = 40.0
    config.augmentation = ConfigDict(
        {"affine": {"degrees": 7.5, "shift": 1.5, "scale": (0.9, 1.1), "squeeze": 1.1, "shear": 7.5}}
    )
    config.reference.update(value=0.008, source="LeCun et al. 1998, section III.B, with distortions")


def quick(config: ConfigDict) -> None:
    """Five passes."""
    config.epochs = 5.0


def smoke(config: ConfigDict) -> None:
    """Seconds, on the embedded digits."""
    config.update(epochs=0.0, steps=40, batch_size=32, steps_per_dispatch=5, log_every=10, eval_every=20, checkpoint_every=20)
    config.dataset.update(name="digits", fit="resize")
    config.augmentation = ConfigDict({"affine": {"degrees": 7.5}})


VARIANTS = {"distorted": distorted, "quick": quick, "smoke": smoke}
