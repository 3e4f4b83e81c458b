"""Film reviews of IMDB by a bidirectional LSTM: 13.5 % of the test reviews wrong by an LSTM from random values (Dai & Le 2015,
table 2); 8.8 % by counts of words and pairs of them (Wang & Manning 2012, NBSVM), 11.2 % by a deep averaging network with words
learned (Iyyer et al. 2015).

    python -m experiments.train --config=configs/imdb_lstm.py --workdir=runs/imdb_lstm --manual_dir=archives
    python -m experiments.train --config=configs/imdb_lstm.py:averaging --workdir=runs/imdb_averaging --manual_dir=archives
    python -m experiments.train --config=configs/imdb_lstm.py:cnn --workdir=runs/imdb_cnn --manual_dir=archives
    python -m experiments.bag_of_words --config=configs/imdb_lstm.py:words --workdir=runs/imdb_words --manual_dir=archives

Your own table of label and text: --config.dataset.name=table --config.dataset.path=my.tsv.

Reached: docs/results.md. Of the 25,000 published training reviews 5,000 are for validation. A review is cut to its first 400
words and marks.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """A setting for two cores."""
    config = base()
    config.update(epochs=6.0, batch_size=64, steps_per_dispatch=1, log_every=50)
    config.update(eval_every=320, checkpoint_every=320, eval_batch_size=250)
    config.dataset.update(name="imdb", splits={"train": "train", "validation": "validation", "test": "test"})
    config.dataset.update(level="word", lower=True, minimum=1, most=20_000, batches="buckets", lengths=(130, 200, 280, 400))
    config.dataset.update(bucket_by="", tokens_per_batch=0)
    config.task = ConfigDict({"name": "text_classification", "text": "text", "smoothing": 0.0, "sentiment": True})
    config.model = ConfigDict({"name": "text_lstm", "cell": "lstm", "embedding": 64, "hidden": 64, "layers": 1})
    config.model.update(bidirectional=True, pooling="max", dropout=0.5, word_scale=0.0)
    config.optimizer.update(name="adam", learning_rate=2e-3, clip_norm=1.0)
    config.best.metric = "validation/error"
    config.reference.update(metric="test/error", value=0.135, source="Dai & Le 2015, table 2 (LSTM from random values)")
    return vary(config, VARIANTS, variant)


def averaging(config: ConfigDict) -> None:
    """A deep averaging network: 11.2 % wrong as published."""
    config.model = ConfigDict({"name": "deep_averaging", "embedding": 100, "hidden": (100, 100), "word_dropout": 0.3})
    config.model.update(dropout=0.0, word_scale=0.05)
    config.optimizer.update(learning_rate=1e-3)
    config.reference.update(value=0.112, source="Iyyer et al. 2015, table 1 (DAN-RAND)")


def cnn(config: ConfigDict) -> None:
    """Kim's convolutions."""
    config.model = ConfigDict({"name": "text_cnn", "embedding": 64, "widths": (3, 4, 5), "maps": 64, "dropout": 0.5})
    config.model.update(max_norm=3.0, word_scale=0.15)
    config.optimizer.update(learning_rate=1e-3)


def words(config: ConfigDict) -> None:
    """Bags of words and pairs of them, NBSVM, by experiments.bag_of_words: 8.8 % wrong as published."""
    config.task = ConfigDict({"name": "bag_of_words", "classifier": "nbsvm", "ngrams": 2, "text": "text"})
    config.dataset.update(batches="examples", most=0, lengths=())
    config.model = ConfigDict({"name": "bag_of_words"})
    config.best.metric = ""
    config.reference.update(value=0.088, source="Wang & Manning 2012, table 2 (NBSVM, pairs)")


def quick(config: ConfigDict) -> None:
    """Half of the words, two passes: minutes on two cores."""
    config.epochs = 2.0
    config.dataset.lengths = (100, 200)


def smoke(config: ConfigDict) -> None:
    """Seconds, on made-up opinions."""
    config.update(epochs=0.0, steps=40, batch_size=8, steps_per_dispatch=5, log_every=10, eval_every=20, checkpoint_every=20)
    config.dataset.update(name="opinions", labels="binary", form="sentences", lengths=(32,), most=0)
    if config.model.name != "bag_of_words":
        config.model.embedding = 8
    if config.model.name == "text_lstm":
        config.model.hidden = 6


VARIANTS = {"averaging": averaging, "cnn": cnn, "words": words, "quick": quick, "smoke": smoke}
