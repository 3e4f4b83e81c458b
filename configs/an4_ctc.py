"""Bidirectional LSTM and CTC on AN4: 12.6 % character error (ESPnet, egs/an4, CTC with a BLSTM encoder).

    python -m experiments.train --config=configs/an4_ctc.py --workdir=runs/an4_ctc --manual_dir=archives

Reached: docs/results.md. The network is that of Graves, Mohamed & Hinton 2013 (three layers of 250 units in each direction)
without peepholes, on 13 cepstra with their first and second slopes, three frames side by side; bands and runs of them
are masked in training (Park et al. 2019). ESPnet's is trained on 83 filter-bank and pitch features.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """The setting whose result is reported."""
    config = base()
    config.update(epochs=80.0, batch_size=16, steps_per_dispatch=4, intervals="epochs", eval_batch_size=64)
    config.update(log_every=1, eval_every=4, checkpoint_every=4)
    config.dataset.update(name="an4", splits={"train": "train[100:]", "validation": "train[:100]", "test": "test"})
    config.dataset.update(batches="buckets", level="character", buckets=4)
    config.dataset.sound = ConfigDict({"deltas": 2, "normalise": True})
    config.augmentation = ConfigDict(
        {"spec_augment": {"frequency_masks": 2, "frequency_width": 6, "time_masks": 2, "time_width": 30, "time_part": 0.1}}
    )
    config.model = ConfigDict({"name": "deep_blstm", "hidden": 250, "layers": 3, "cell": "lstm", "join": 3, "dropout": 0.3})
    config.task = ConfigDict({"name": "transcription", "beam": 16})
    config.optimizer.update(name="adam", learning_rate=1e-3, clip_norm=5.0)
    config.optimizer.schedule = ConfigDict({"name": "cosine"})
    config.best.metric = "validation/character_error"
    config.mesh.data = 1
    config.reference.update(metric="test/character_error", value=0.126, source="ESPnet, egs/an4, CTC BLSTM")
    return vary(config, VARIANTS, variant)


def quick(config: ConfigDict) -> None:
    """A layer less, half as wide, fewer passes: minutes on two cores."""
    config.epochs = 30.0
    config.model.update(hidden=128, layers=2)


def small_data(config: ConfigDict) -> None:
    """Tones of telephone keys, 24 steps."""
    config.update(epochs=0.0, steps=24, batch_size=8, steps_per_dispatch=3, intervals="steps")
    config.update(log_every=6, eval_every=12, checkpoint_every=12)
    config.dataset.update(name="dial_tones", splits={"train": "train[:75%]", "validation": "train[75%:]", "test": "test"})
    config.dataset.update(examples=60, buckets=1)
    config.dataset.sound = ConfigDict({"features": "mfcc", "deltas": 1, "normalise": True})


def smoke(config: ConfigDict) -> None:
    """Seconds, on tones of telephone keys."""
    small_data(config)
    config.model.update(hidden=16, layers=1)
    config.task.beam = 4


VARIANTS = {"quick": quick, "smoke": smoke}
