"""Domain adaptation from MNIST to USPS digits with a stacked denoising autoencoder that sees both domains without labels.

    python -m experiments.train --config=configs/usps_adaptation.py --workdir=runs/usps_adaptation
    python -m experiments.train --config=configs/usps_adaptation.py:source --workdir=runs/usps_source_only

Reached: docs/results.md. The method is that of Glorot, Bordes & Bengio 2011 (there for reviews of several kinds of goods): the
autoencoder is trained on both domains, then a classifier on the labels of the source alone is tested on the target. `source`
pretrains on MNIST alone; `scratch` does not pretrain. Images of both at 16x16; MNIST's margin of 4
pixels is cut off before, as USPS has none. A landmark with other nets on another protocol: LeNet trained on MNIST errs on
24.8 % of USPS, adapted by ADDA on 10.6 % (Tzeng et al. 2017, table 2).
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """As above."""
    config = base()
    config.update(epochs=30.0, batch_size=100, steps_per_dispatch=50, log_every=200, eval_every=3000, checkpoint_every=3000)
    both = "mnist_train+usps_train"
    config.dataset = ConfigDict(
        {
            **config.dataset.to_dict(),
            "name": "join",
            "parts": {"mnist": {"name": "mnist", "margin": 4}, "usps": {"name": "usps"}},
            "splits": {"train": "mnist_train", "unlabelled": both, "test": "usps_test", "source_test": "mnist_test"},
            "size": (16, 16),
            "fit": "resize",
        }
    )
    config.model = ConfigDict(
        {
            "name": "dense_autoencoder",
            "hidden": (500, 500),
            "tied": True,
            "activation": "logistic",
            "kernel_init": "glorot_logistic",
        }
    )
    config.task = ConfigDict(
        {
            "name": "stacked_autoencoder",
            "loss": "cross_entropy",
            "noise": {"name": "masking", "amount": 0.3},
            "finetune": "all",
            "pretraining": {
                "steps": 12000,
                "stream": "unlabelled",
                "optimizer": {"name": "sgd", "learning_rate": 0.1},
            },
        }
    )
    config.optimizer.update(name="adam", learning_rate=1e-3, schedule={"name": "cosine"})
    return vary(config, VARIANTS, variant)


def quick(config: ConfigDict) -> None:
    """5 passes: minutes on two cores."""
    config.update(epochs=5.0)
    config.task.pretraining.update(steps=3000)


def smoke(config: ConfigDict) -> None:
    """Seconds, on halves of the embedded digits."""
    config.update(epochs=0.0, steps=20, batch_size=32, steps_per_dispatch=5, log_every=10, eval_every=20, checkpoint_every=10)
    config.dataset.parts = ConfigDict({"a": {"name": "digits"}, "b": {"name": "digits"}})
    config.dataset.splits = {"train": "a_train", "unlabelled": "a_train+b_train", "test": "b_test", "source_test": "a_test"}
    config.model.hidden = (32, 16)
    config.task.pretraining.update(steps=15)


def source(config: ConfigDict) -> None:
    """Pretraining on MNIST alone."""
    config.dataset.splits.unlabelled = config.dataset.splits.train


def scratch(config: ConfigDict) -> None:
    """No pretraining."""
    config.task.pretraining.steps = 0


VARIANTS = {"quick": quick, "smoke": smoke, "source": source, "scratch": scratch}
