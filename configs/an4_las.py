"""Listen, Attend and Spell with CTC beside it, on AN4: 15.3 % character error (ESPnet, egs/an4, joint CTC and attention).

    python -m experiments.train --config=configs/an4_las.py --workdir=runs/an4_las --manual_dir=archives
    python -m experiments.train --config=configs/an4_las.py:attention --workdir=runs/an4_attention --manual_dir=archives

Reached: docs/results.md. A pyramid of three bidirectional LSTM layers of 256 units (Chan et al. 2016; time is four times
shorter, so that every text has an alignment), location-aware attention, half of the loss by CTC (Kim, Hori & Watanabe 2017).
The data and what is done to them are those of configs/an4_ctc.py.
"""

from ml_collections import ConfigDict

from configs import an4_ctc
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """The setting whose result is reported."""
    config = an4_ctc.get_config()
    config.model = ConfigDict(
        {"name": "listen_attend_spell", "encoder": "pyramid", "hidden": 256, "halvings": 2, "speller": 256, "speller_layers": 1}
    )
    config.model.update(layers=2, channels=(32, 64), attention="location", filters=10, filter_width=15, dropout=0.3)
    config.task = ConfigDict({"name": "attend_and_spell", "ctc": 0.5, "smoothing": 0.05, "beam": 8})
    config.reference.update(value=0.153, source="ESPnet, egs/an4, joint CTC and attention")
    return vary(config, VARIANTS, variant)


def attention(config: ConfigDict) -> None:
    """Without CTC."""
    config.task.ctc = 0.0


def convolutional(config: ConfigDict) -> None:
    """Convolutions and two recurrent layers listen (Hori et al. 2017)."""
    config.model.encoder = "convolutional"


def quick(config: ConfigDict) -> None:
    """Half as wide, fewer passes: minutes on two cores."""
    config.epochs = 30.0
    config.model.update(hidden=128, speller=128)


def smoke(config: ConfigDict) -> None:
    """Seconds, on tones of telephone keys."""
    an4_ctc.small_data(config)
    config.task.beam = 2
    config.model.update(hidden=16, speller=16, halvings=1, filter_width=5, channels=(4, 4))


VARIANTS = {"attention": attention, "convolutional": convolutional, "quick": quick, "smoke": smoke}
