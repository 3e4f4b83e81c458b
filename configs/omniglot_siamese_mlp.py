"""A fully connected Siamese net on Omniglot: 58.3 % in 20-way one-shot trials (Koch, Zemel & Salakhutdinov 2015, table 3).

    python -m experiments.train --config=configs/omniglot_siamese_mlp.py --manual_dir=archives --workdir=runs/siamese_mlp

Reached: docs/results.md. The paper says of this baseline only that it is a Siamese net of fully connected layers. Here: 28x28
pixels, two hidden layers of 512 logistic units, 256 outputs, the weighted L1 comparison, Adam, distortions as in omniglot_koch.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """Minutes on two cores."""
    config = base()
    config.update(steps=30_000, batch_size=128, steps_per_dispatch=50, log_every=500, eval_every=2500, checkpoint_every=2500)
    config.dataset.update(name="omniglot", batches="pairs", ratio=1.0, group="alphabet", size=(28, 28), fit="resize")
    config.dataset.update(mean=(1.0,), std=(-1.0,))  # ink is 1 and paper 0
    splits = {"validation": "validation_trials", "test": "runs", "trials": "test_trials", "few_shot": "test_alphabets"}
    config.dataset.splits = ConfigDict({"train": "koch_train", **splits})
    affine = {"degrees": 10.0, "shift": 1.5, "scale": (0.8, 1.2), "shear": 16.7, "fill": 1.0}
    config.augmentation = ConfigDict({"affine": affine})
    config.model = ConfigDict({"name": "mlp", "hidden": (512, 512), "activation": "logistic"})
    few_shot = ((20, 1), (20, 5), (5, 1), (5, 5))
    config.task = ConfigDict({"name": "similarity", "loss": "weighted_l1", "embedding": 256, "few_shot": few_shot})
    config.optimizer.update(name="adam", learning_rate=1e-3, schedule={"name": "cosine"})
    config.best.metric = "validation/error"
    config.reference.update(metric="test/error", value=0.417, source="Koch, Zemel & Salakhutdinov 2015, table 3")
    return vary(config, VARIANTS, variant)


def quick(config: ConfigDict) -> None:
    """A third of the steps."""
    config.steps = 10_000


def smoke(config: ConfigDict) -> None:
    """Seconds, on the embedded digits."""
    config.update(steps=40, batch_size=16, steps_per_dispatch=5, log_every=10, eval_every=20, checkpoint_every=20)
    config.dataset.update(name="digits", size=(8, 8), group="", mean=(0.0,), std=(1.0,))
    config.dataset.splits = ConfigDict({"train": "train[:1200]", "validation": "train[1200:]", "test": "test"})
    config.augmentation.affine.update(shift=0.5, fill=0.0)
    config.model.hidden = (32,)
    config.task.update(embedding=16, few_shot=((5, 1),), trials=200, pairs=1000)
    config.reference.update(metric="", value=0.0, source="")


VARIANTS = {"quick": quick, "smoke": smoke}
