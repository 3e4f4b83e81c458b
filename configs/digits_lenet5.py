"""LeNet-5 of 1998 on the digits embedded in scikit-learn: the quickstart, which needs neither network nor data.

    python -m experiments.train --config=configs/digits_lenet5.py:quick --workdir=runs/quickstart

1,797 digits of 8x8 pixels (Alpaydin & Kaynak 1998), enlarged to 32x32. Their authors' k-nearest neighbours errs on 2.00 % of
the original test set of other writers (UCI, optdigits.names); the split here is another one (docs/data.md), so that figure is
a landmark, no reference.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """150 passes with small shifts and turns."""
    config = base()
    config.update(epochs=150.0, batch_size=64, steps_per_dispatch=20, log_every=20, eval_every=100, checkpoint_every=100)
    config.dataset.update(name="digits", size=(32, 32), fit="resize", mean=(0.0784,), std=(0.7843,))
    config.augmentation = ConfigDict({"affine": {"degrees": 10.0, "shift": 2.0, "scale": (0.9, 1.1), "shear": 5.0}})
    config.model = ConfigDict({"name": "lenet5"})
    config.task.update(loss="map", rubbish=0.1)
    config.optimizer.update(name="adam", learning_rate=2e-3, schedule={"name": "cosine"})
    return vary(config, VARIANTS, variant)


def quick(config: ConfigDict) -> None:
    """40 passes: under a minute on two cores."""
    config.epochs = 40.0


def smoke(config: ConfigDict) -> None:
    """Seconds."""
    config.update(epochs=0.0, steps=40, steps_per_dispatch=5, log_every=10, eval_every=20, checkpoint_every=20, replicas=2)


VARIANTS = {"quick": quick, "smoke": smoke}
