"""Contrastive embedding of the digits embedded in scikit-learn (Hadsell, Chopra & LeCun 2006, eq. 4): no data needed.

    python -m experiments.train --config=configs/digits_siamese.py --workdir=runs/digits_siamese

The paper maps two kinds of MNIST digits to the plane; here it is all ten, 8x8 pixels, to 16 dimensions.
The same for a folder of one's own images, one sub-folder a person, the people of the test set never seen in training:

    python -m experiments.train --config=configs/digits_siamese.py:folder --config.dataset.path=FOLDER --workdir=runs/people
    python -m experiments.search --workdir=runs/people --images=FOLDER IMAGE
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """A minute on two cores."""
    config = base()
    config.update(steps=2000, batch_size=64, steps_per_dispatch=10, log_every=100, eval_every=500, checkpoint_every=500)
    config.dataset.update(name="digits", batches="pairs", ratio=1.0, group="", mean=(0.3,), std=(0.35,))
    config.model = ConfigDict({"name": "small_tower", "features": 32, "blocks": 2})
    task = {"name": "similarity", "loss": "contrastive", "embedding": 16, "margin": 1.0}
    config.task = ConfigDict({**task, "few_shot": ((5, 1), (10, 1), (5, 5))})
    config.augmentation = ConfigDict({"affine": {"degrees": 10.0, "shift": 0.5, "scale": (0.9, 1.1), "shear": 5.0}})
    config.optimizer.update(name="adam", learning_rate=2e-3, schedule={"name": "cosine"})
    return vary(config, VARIANTS, variant)


def folder(config: ConfigDict) -> None:
    """For a folder of one's own images, --config.dataset.path=FOLDER, at 64x64."""
    config.update(steps=5000, batch_size=32, steps_per_dispatch=1)
    config.dataset.update(name="folder", size=(64, 64), fit="resize", split_by="class", mean=(0.5,), std=(0.25,))
    config.dataset.holdout = 20.0  # of 40 people, 8 are for test: enough for trials of 5
    config.model.blocks = 4
    config.task.update(embedding=64, few_shot=((5, 1),))


def quick(config: ConfigDict) -> None:
    """Half of the steps."""
    config.steps = 1000


def smoke(config: ConfigDict) -> None:
    """Seconds."""
    config.update(steps=40, batch_size=16, steps_per_dispatch=5, log_every=10, eval_every=20, checkpoint_every=20)
    config.replicas = 2
    config.model.features = 8


VARIANTS = {"folder": folder, "quick": quick, "smoke": smoke}
