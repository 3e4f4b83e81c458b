"""ResNet-20 on CIFAR-10: 8.75 % test error (He, Zhang, Ren & Sun 2016, section 4.2 and table 6).

    python -m experiments.train --config=configs/cifar10_resnet20.py --workdir=runs/cifar10_resnet20
    python -m experiments.train --config=configs/cifar10_resnet20.py:quick --manual_dir=archives --workdir=runs/resnet20_quick

As published: 64,000 steps of 128 images, the rate 0.1 divided by 10 after 32,000 and 48,000 of them, momentum 0.9, weight
decay 1e-4, 4 pixels of zeros around the standardised image, a random crop of 32x32 and a random flip. Other depths:
--config.model.depth=32 (7.51 %), 44 (7.17), 56 (6.97), 110 (6.43, of which the paper warms up the rate).

Deviations: the mean and deviation of each channel for the mean of each pixel; weight decay not on the biases and scales.

`quick` is 400 steps, on 2,000 images (cifar10_subset): minutes on two cores. There the reference is not the paper's.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)  # of the 50,000 training images


def get_config(variant: str = "") -> ConfigDict:
    """The published setting."""
    config = base()
    config.update(steps=64_000, batch_size=128, steps_per_dispatch=20, log_every=100, eval_every=2000, checkpoint_every=2000)
    config.dataset.update(name="cifar10", mean=MEAN, std=STD)
    config.augmentation = ConfigDict({"pad_and_crop": {"pad": 4, "fill": MEAN}, "flip": {}})
    config.model = ConfigDict({"name": "resnet_cifar", "depth": 20})
    config.optimizer.update(name="momentum", learning_rate=0.1, momentum=0.9, l2=1e-4)
    config.optimizer.schedule = ConfigDict({"name": "step", "boundaries": (0.5, 0.75), "factor": 0.1})
    config.reference.update(metric="test/error", value=0.0875, source="He et al. 2016, table 6")
    return vary(config, VARIANTS, variant)


def quick(config: ConfigDict) -> None:
    """400 steps on 2,000 images (cifar10_subset): minutes on two cores."""
    config.update(steps=400, steps_per_dispatch=4, log_every=40, eval_every=200, checkpoint_every=200)
    config.dataset.name = "cifar10_subset"
    config.reference.update(metric="", value=0.0, source="")


def smoke(config: ConfigDict) -> None:
    """Seconds, on the embedded digits."""
    config.update(steps=20, batch_size=16, steps_per_dispatch=5, log_every=5, eval_every=10, checkpoint_every=5)
    config.dataset.update(name="digits", mean=(0.0,), std=(1.0,))
    config.augmentation = ConfigDict({"pad_and_crop": {"pad": 1}, "flip": {}})
    config.model.update(depth=8, width=4)
    config.reference.update(metric="", value=0.0, source="")


VARIANTS = {"quick": quick, "smoke": smoke}
