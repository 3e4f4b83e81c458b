r"""PilotNet (Bojarski et al. 2016, "End to end learning for self-driving cars") steers on rendered roads.

    python -m experiments.train --config=configs/roads_pilotnet.py --workdir=runs/roads_pilotnet
    python -m experiments.train --config=configs/roads_pilotnet.py --workdir=runs/mine --config.dataset.name=numbers \
        --config.dataset.path=drive.csv --config.dataset.target=steering --config.dataset.images=FRAMES \
        --config.dataset.size='(66,200)'

The paper drives 98 % of the time without help on real roads, and gives no error of the angle: nothing here is to be compared
with it. Roads are made as they are needed, each a function of (seed, position), so none is seen twice (docs/regression.md).
Two cores: about 25 minutes.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """The published network; the recipe, which the paper does not give, is Adam with a falling rate."""
    config = base()
    config.update(steps=4000, batch_size=64, steps_per_dispatch=10, log_every=100, eval_every=1000, checkpoint_every=500)
    config.eval_batch_size = 250
    config.dataset.update(name="rendered_roads", splits={"train": "train", "validation": "validation", "test": "test"})
    config.dataset.update(mean=(0.5,), std=(0.5,), fit="resize")
    config.model = ConfigDict({"name": "pilotnet"})
    config.task = ConfigDict({"name": "regression", "loss": "mse"})
    config.optimizer.update(name="adam", learning_rate=1e-3, schedule={"name": "cosine"})
    config.best.metric = "validation/rmse"
    return vary(config, VARIANTS, variant)


def quick(config: ConfigDict) -> None:
    """600 steps: four minutes on two cores."""
    config.update(steps=600, eval_every=300, checkpoint_every=200)


def smoke(config: ConfigDict) -> None:
    """Seconds."""
    config.update(steps=8, batch_size=8, steps_per_dispatch=2, log_every=4, eval_every=4, checkpoint_every=4)
    config.eval_batch_size = 16
    config.dataset.examples = 16


VARIANTS = {"quick": quick, "smoke": smoke}
