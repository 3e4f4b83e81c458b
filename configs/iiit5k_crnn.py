"""A convolutional recurrent network reads words in photographs: 80.5 % of IIIT5K's test words without a lexicon (CRNN, MMOCR).

    python -m experiments.train --config=configs/iiit5k_crnn.py --workdir=runs/iiit5k_crnn --manual_dir=archives
    python -m experiments.train --config=configs/iiit5k_crnn.py:quick --workdir=runs/iiit5k_quick --manual_dir=archives

Reached: docs/results.md. Shi, Bai & Yao 2015 report 78.2 %; both were trained on the 8.9 million words of Jaderberg et al.
2014, rendered from a list of 90,000 words with 1,400 fonts. Here words are rendered while the network learns, with the fonts
of the machine or of --config.dataset.fonts=DIR, and in the last quarter of the steps each batch of them has as many of
IIIT5K's 2,000 training words beside it. `synthetic` sees rendered words alone. `attention` reads by attention in place of CTC.
All images are squeezed or stretched to 32 x 100, in tests too, where the paper keeps the proportions. On a GPU,
--config.dataset.workers=14 renders in 14 processes.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """The published network, 6.4 million rendered words."""
    config = base()
    config.update(steps=100_000, batch_size=64, steps_per_dispatch=4, eval_batch_size=200)
    config.update(log_every=200, eval_every=10_000, checkpoint_every=5_000)
    config.dataset.update(name="iiit5k", splits={"train": "train", "rendered": "rendered", "test": "test"})
    config.dataset.update(mean=(0.5,), std=(0.25,), words="imdb/imdb_train.tsv.xz")
    config.augmentation = ConfigDict(
        {
            "affine": {"degrees": 3.0, "shift": 2.0, "scale": (0.9, 1.1), "shear": 8.0, "fill": "edge"},
            "brightness": {"delta": 0.1},
            "contrast": {"factor": (0.7, 1.2)},
            "gaussian_noise": {"std": 0.02},
        }
    )
    config.model = ConfigDict({"name": "crnn"})
    config.task = ConfigDict({"name": "reading", "rendered": "rendered", "before": 0.75, "beam": 16})
    config.optimizer.update(name="adam", learning_rate=1e-3, clip_norm=5.0)
    config.optimizer.schedule = ConfigDict({"name": "cosine"})
    config.reference.update(metric="test/word_accuracy", value=0.805, source="MMOCR, CRNN, IIIT5K without a lexicon")
    return vary(config, VARIANTS, variant)


def attention(config: ConfigDict) -> None:
    """A speller that looks at the columns, in place of CTC."""
    config.model = ConfigDict({"name": "crnn_attention"})
    task = {"name": "reading_by_attention", "rendered": config.task.rendered, "before": config.task.before, "beam": 5}
    config.task = ConfigDict(task)


def quick(config: ConfigDict) -> None:
    """A network of an eighth of the size, 1.2 million words: less than two hours on two cores."""
    config.update(steps=16_000, eval_every=4_000, checkpoint_every=1_000)
    config.model.update(channels=(24, 48, 96, 96, 128, 128, 128), normalised=(2, 3, 4, 5, 6, 7), hidden=128)
    config.optimizer.learning_rate = 2e-3


def synthetic(config: ConfigDict) -> None:
    """Rendered words alone."""
    config.dataset.splits = ConfigDict({"rendered": "rendered", "test": "test"})
    config.task.update(stream="rendered", rendered="")


def smoke(config: ConfigDict) -> None:
    """Seconds, on made-up words in Pillow's own font."""
    config.update(
        steps=12, batch_size=8, steps_per_dispatch=3, eval_batch_size=16, log_every=3, eval_every=6, checkpoint_every=6
    )
    config.dataset.update(name="rendered_words", fonts="embedded", words="", examples=64, width=48)
    splits = {name: "test[:16]" if name == "test" else "train" for name in config.dataset.splits}
    config.dataset.splits = ConfigDict(splits)
    config.augmentation = ConfigDict({"brightness": {"delta": 0.1}})
    config.model.update(channels=(4, 4, 8, 8, 8, 8, 8), normalised=(5, 6), hidden=8)
    if config.model.name == "crnn_attention":
        config.model.speller = 8
    config.task.update(before=0.0, beam=0)  # one program of each kind: compiling is what takes the time


VARIANTS = {"attention": attention, "quick": quick, "synthetic": synthetic, "smoke": smoke}
