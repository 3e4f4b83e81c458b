r"""A multilayer perceptron on the digits embedded in scikit-learn: the smallest experiment, and a start for your own data.

    python -m experiments.train --config=configs/digits_mlp.py --workdir=runs/digits_mlp
    python -m experiments.train --config=configs/digits_mlp.py --workdir=runs/mine --config.dataset.name=folder \
        --config.dataset.path=FOLDER --config.dataset.size='(32,32)' --config.dataset.channels=1

Nothing published is claimed for it. Two cores: seconds.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """60 passes."""
    config = base()
    config.update(epochs=60.0, batch_size=64, steps_per_dispatch=23, log_every=46, eval_every=230, checkpoint_every=230)
    config.model = ConfigDict({"name": "mlp", "hidden": (128,), "activation": "relu"})
    config.optimizer.update(name="adam", learning_rate=1e-3)
    return vary(config, VARIANTS, variant)


def smoke(config: ConfigDict) -> None:
    """Two passes."""
    config.update(epochs=2.0, steps_per_dispatch=5, log_every=10, eval_every=20, checkpoint_every=20)


VARIANTS = {"smoke": smoke}
