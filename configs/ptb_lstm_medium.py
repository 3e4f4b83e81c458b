"""Word LSTM on the Penn Treebank, medium: test perplexity 82.7 (Zaremba, Sutskever & Vinyals 2014, table 1).

    python -m experiments.train --config=configs/ptb_lstm_medium.py --workdir=runs/ptb_medium --manual_dir=archives

Reached: docs/results.md. As published: two layers of 650 units, all parameters from U(-0.05, 0.05), half of all that is not
recurrent dropped, 20 rows, 35 words a window, plain gradient descent at 1, divided by 1.2 at the end of every epoch from the
seventh on, 39 epochs, clipping at 5. `quick` is as wide as the small net, drops a quarter and takes 4 epochs.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary

EPOCH = 1327  # steps


def get_config(variant: str = "") -> ConfigDict:
    """The published setting."""
    config = base()
    config.update(epochs=39.0, batch_size=20, steps_per_dispatch=20, log_every=200, eval_every=1400, checkpoint_every=1400)
    config.dataset.update(name="ptb", splits={"train": "train", "validation": "validation", "test": "test"}, level="word")
    config.dataset.update(batches="windows", window=35, shift=False, eval_rows=1, eval_context=0)
    config.task = ConfigDict({"name": "language_model", "summed": True, "compare_cells": False})
    config.model = ConfigDict(
        {"name": "recurrent_lm", "cell": "lstm", "hidden": 650, "layers": 2, "embedding": 0, "dropout": 0.5}
    )
    config.model.update(activation="", variational=False, recurrent_dropout=0.0, tied=False, forget_bias=0.0, init_scale=0.05)
    config.optimizer.update(name="sgd", learning_rate=1.0, clip_norm=5.0)
    boundaries = tuple(EPOCH * n for n in range(7, 39))
    config.optimizer.schedule = ConfigDict({"name": "step", "boundaries": boundaries, "factor": 1 / 1.2})
    config.mesh.data = 1
    config.reference.update(metric="test/perplexity", value=82.7, source="Zaremba, Sutskever & Vinyals 2014, table 1")
    return vary(config, VARIANTS, variant)


def quick(config: ConfigDict) -> None:
    """As wide as the small net, 4 passes: minutes on two cores."""
    config.epochs = 4.0
    config.dataset.update(eval_rows=20, eval_context=100)
    config.model.update(hidden=200, dropout=0.25, init_scale=0.1)
    config.optimizer.schedule.update(boundaries=(2 * EPOCH, 3 * EPOCH), factor=0.5)
    config.reference.update(metric="", value=0.0, source="")  # of a net three times as wide


def smoke(config: ConfigDict) -> None:
    """Seconds, on the words of two sonnets."""
    config.update(epochs=0.0, steps=40, batch_size=4, steps_per_dispatch=5, log_every=10, eval_every=20, checkpoint_every=20)
    config.dataset.update(name="sonnets", window=8)
    config.dataset.splits = ConfigDict({"train": "train[:80%]", "test": "train[80%:]"})
    config.model.update(hidden=24, variational=True, recurrent_dropout=0.1, tied=True)
    config.optimizer.schedule.boundaries = (20, 30)


VARIANTS = {"quick": quick, "smoke": smoke}
