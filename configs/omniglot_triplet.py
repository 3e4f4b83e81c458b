"""Triplets with semi-hard negatives (Schroff, Kalenichenko & Philbin 2015) on Omniglot, as Koch et al. 2015 split and test it.

    python -m experiments.train --config=configs/omniglot_triplet.py:quick --manual_dir=archives --workdir=runs/omniglot_triplet

Reached: docs/results.md, beside the 92.0 % of the convolutional Siamese net. Batches hold 4 drawings each of 32 characters,
28x28; the tower is that of Vinyals et al. 2016, its outputs of length 1. `test` is the 20 published runs, `trials` Koch's
own 400.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """20,000 steps."""
    config = base()
    config.update(steps=20_000, batch_size=128, steps_per_dispatch=4, log_every=100, eval_every=1000, checkpoint_every=1000)
    config.eval_batch_size = 400
    config.dataset.update(name="omniglot", batches="classes", per_class=4, size=(28, 28), fit="resize")
    config.dataset.update(mean=(1.0,), std=(-1.0,))  # ink is 1 and paper 0
    splits = {"validation": "validation_trials", "test": "runs", "trials": "test_trials", "few_shot": "test_alphabets"}
    config.dataset.splits = ConfigDict({"train": "koch_train", **splits})
    affine = {"degrees": 10.0, "shift": 1.5, "scale": (0.8, 1.2), "shear": 16.7, "fill": 1.0}
    config.augmentation = ConfigDict({"affine": affine})
    config.model = ConfigDict({"name": "small_tower"})
    task = {"name": "similarity", "loss": "triplet", "embedding": 64, "margin": 0.2, "normalise": True}
    config.task = ConfigDict({**task, "few_shot": ((20, 1), (20, 5), (5, 1), (5, 5))})
    config.optimizer.update(name="adam", learning_rate=1e-3, schedule={"name": "cosine"})
    config.best.metric = "validation/error"
    config.reference.update(metric="test/error", value=0.08, source="Koch, Zemel & Salakhutdinov 2015, table 3")
    return vary(config, VARIANTS, variant)


def quick(config: ConfigDict) -> None:
    """1,600 steps: minutes on two cores."""
    config.update(steps=1600, eval_every=400, checkpoint_every=400)


def smoke(config: ConfigDict) -> None:
    """Seconds, on the embedded digits."""
    config.update(steps=30, batch_size=20, steps_per_dispatch=5, log_every=10, eval_every=15, checkpoint_every=15)
    config.dataset.update(name="digits", size=(8, 8), mean=(0.0,), std=(1.0,))
    config.dataset.splits = ConfigDict({"train": "train[:1200]", "validation": "train[1200:]", "test": "test"})
    config.augmentation.affine.update(shift=0.5, fill=0.0)
    config.model.update(features=8, blocks=2)
    config.task.update(embedding=16, few_shot=((5, 1),), trials=200, pairs=1000)
    config.reference.update(metric="", value=0.0, source="")


VARIANTS = {"quick": quick, "smoke": smoke}
