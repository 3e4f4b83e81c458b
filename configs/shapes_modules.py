"""Neural module networks on SHAPES: 90.8 % of the test questions, where an LSTM and a CNN answer 65.3 % (Andreas, Rohrbach,
Darrell & Klein 2016, table 1).

    python -m experiments.train --config=configs/shapes_modules.py --workdir=runs/shapes --manual_dir=archives
    python -m experiments.train --config=configs/shapes_modules.py:generated --workdir=runs/modules --manual_dir=archives
    python -m experiments.train --config=configs/shapes_modules.py:generated_lstm_cnn --workdir=runs/lstm --manual_dir=archives

Every question comes with the layout of the modules that answer it. The published large training set is not to be had here: this
learns from the small one, 640 examples of 10 questions, in which not all words and relations occur; `generated` from as many
scenes as the large one had, 13,568, which never ask a question of the validation or test set. Tests are the published ones:
1,024 scenes, 16 questions. Two cores: a minute or two each.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """Modules, from the published small training set."""
    config = base()
    config.update(steps=3000, batch_size=64, steps_per_dispatch=20, log_every=100, eval_every=500, checkpoint_every=500)
    config.dataset.update(name="shapes", generated=13_568, seed=0)
    config.dataset.splits = ConfigDict({"train": "train", "validation": "validation", "test": "test"})
    config.task = ConfigDict({"name": "visual_questions"})
    config.model = ConfigDict({"name": "module_network", "channels": 64, "hidden": 32})
    config.optimizer.update(name="adam", learning_rate=3e-3, clip_norm=10.0)
    config.optimizer.schedule = ConfigDict({"name": "warmup_cosine", "warmup_steps": 0.03})
    config.reference.update(
        metric="test/accuracy", value=0.908, source="Andreas et al. 2016, table 1, of the large training set"
    )
    return vary(config, VARIANTS, variant)


def generated(config: ConfigDict) -> None:
    """From generated scenes, as many as the published large training set has; validation and test ask other questions."""
    config.update(steps=6000, eval_every=1000, checkpoint_every=1000)
    config.dataset.splits.train = "generated"


def lstm_cnn(config: ConfigDict) -> None:
    """An LSTM reads the question and a CNN sees the image; no layout."""
    config.model = ConfigDict({"name": "lstm_cnn", "channels": 64, "hidden": 64})
    config.optimizer.learning_rate = 1e-3
    config.reference.update(value=0.653, source="Andreas et al. 2016, table 1, VIS+LSTM")


def relation(config: ConfigDict) -> None:
    """A relation network (Santoro et al. 2017); no layout."""
    config.model = ConfigDict({"name": "relation_network", "channels": 64, "hidden": 64})
    config.optimizer.learning_rate = 1e-3
    config.reference.update(value=0.653, source="Andreas et al. 2016, table 1, VIS+LSTM; none of relation networks")


def quick(config: ConfigDict) -> None:
    """A third of the steps."""
    config.update(steps=config.steps // 3, eval_every=config.eval_every // 2)


def smoke(config: ConfigDict) -> None:
    """Seconds, on generated scenes alone."""
    config.update(steps=40, batch_size=16, steps_per_dispatch=4, log_every=10, eval_every=20, checkpoint_every=8)
    config.eval_batch_size = 64
    config.dataset.update(name="shape_scenes", generated=256)
    config.dataset.splits = ConfigDict({"train": "train", "validation": "validation[:64]", "test": "test[:64]"})
    config.model.update(channels=16, hidden=16)


VARIANTS = {"generated": generated, "lstm_cnn": lstm_cnn, "relation": relation, "quick": quick, "smoke": smoke}
