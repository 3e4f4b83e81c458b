"""Spoken digits from their waveforms: below 2 % word error on the Free Spoken Digit Dataset, takes 0 to 4 (our own aim).

    python -m experiments.train --config=configs/fsdd_digits.py --workdir=runs/fsdd_digits --manual_dir=archives
    python -m experiments.train --config=configs/fsdd_digits.py:connected --workdir=runs/fsdd_connected --manual_dir=archives

Reached: docs/results.md. Words are the symbols: an utterance is transcribed by CTC, one digit or, `connected`, a string of one
to seven that were spliced. 40 log-mel bands at 8 kHz, two neighbouring frames side by side, two bidirectional layers of 128.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """Isolated digits, by the official split."""
    config = base()
    config.update(epochs=40.0, batch_size=32, steps_per_dispatch=8, intervals="epochs", eval_batch_size=128)
    config.update(log_every=1, eval_every=4, checkpoint_every=4)
    config.dataset.update(name="fsdd", splits={"train": "train[250:]", "validation": "train[:250]", "test": "test"})
    config.dataset.update(batches="buckets", level="word", buckets=3, strings=0, strings_seed=0)
    config.dataset.sound = ConfigDict({"features": "log_mel", "bands": 40, "low": 60.0, "deltas": 0, "normalise": True})
    config.augmentation = ConfigDict(
        {"spec_augment": {"frequency_masks": 2, "frequency_width": 8, "time_masks": 1, "time_width": 8, "time_part": 0.2}}
    )
    config.model = ConfigDict({"name": "deep_blstm", "hidden": 128, "layers": 2, "cell": "lstm", "join": 2, "dropout": 0.3})
    config.task = ConfigDict({"name": "transcription", "beam": 8})
    config.optimizer.update(name="adam", learning_rate=2e-3, clip_norm=5.0)
    config.optimizer.schedule = ConfigDict({"name": "cosine"})
    config.best.metric = "validation/word_error"
    config.mesh.data = 1
    config.reference.update(metric="test/word_error", value=0.02, source="our own aim")
    return vary(config, VARIANTS, variant)


def connected(config: ConfigDict) -> None:
    """Strings of 1 to 7 digits of one speaker, 3,000 to train on and 300 to test."""
    config.update(epochs=20.0)
    config.dataset.update(strings=3000, splits={"train": "train[300:]", "validation": "train[:300]", "test": "test"})


def quick(config: ConfigDict) -> None:
    """One layer, 12 passes: a minute on two cores."""
    config.epochs = 12.0
    config.model.layers = 1


def smoke(config: ConfigDict) -> None:
    """Seconds, on tones of telephone keys."""
    config.update(epochs=0.0, steps=24, batch_size=8, steps_per_dispatch=3, intervals="steps")
    config.update(log_every=6, eval_every=12, checkpoint_every=12)
    for key in ("strings", "strings_seed"):
        del config.dataset[key]
    config.dataset.update(name="dial_tones", splits={"train": "train[:75%]", "validation": "train[75%:]", "test": "test"})
    config.dataset.update(examples=60, buckets=1)
    config.model.update(hidden=16, layers=1)
    config.task.beam = 2


VARIANTS = {"connected": connected, "quick": quick, "smoke": smoke}
