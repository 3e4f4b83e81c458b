"""Deep averaging network, words learned (DAN-RAND), on the Stanford Sentiment Treebank: of five classes 45.4 % of the test
sentences right, of two 83.2 % (Iyyer et al. 2015, table 1). Before it: bags of words, 41.0 and 81.8 % by naive Bayes.

    python -m experiments.train --config=configs/sst_averaging.py --workdir=runs/sst_averaging --manual_dir=archives
    python -m experiments.train --config=configs/sst_averaging.py:binary --workdir=runs/sst_averaging2 --manual_dir=archives
    python -m experiments.bag_of_words --config=configs/sst_averaging.py:words --workdir=runs/sst_words --manual_dir=archives

Reached: docs/results.md. As published: vectors of 300, three layers of 300, three words in ten dropped, trained on all phrases.
Deviation: Adam in place of AdaGrad. `words` counts words and pairs of them (Socher et al. 2013, table 1; Wang & Manning 2012).
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """The published setting but for the optimizer."""
    config = base()
    config.update(epochs=5.0, batch_size=100, steps_per_dispatch=1, log_every=200)
    config.update(eval_every=800, checkpoint_every=800, eval_batch_size=256)
    config.dataset.update(name="sst", splits={"train": "train", "validation": "validation", "test": "test"}, form="phrases")
    config.dataset.update(labels="fine", lower=True, minimum=1, most=0, batches="buckets", lengths=(4, 10, 20, 32, 56))
    config.dataset.update(bucket_by="", tokens_per_batch=0)
    config.task = ConfigDict({"name": "text_classification", "text": "text", "smoothing": 0.0, "sentiment": True})
    config.model = ConfigDict({"name": "deep_averaging", "embedding": 300, "hidden": (300, 300, 300), "word_dropout": 0.3})
    config.model.update(dropout=0.0, word_scale=0.05)
    config.optimizer.update(name="adam", learning_rate=5e-4)
    config.best.metric = "validation/error"
    config.reference.update(metric="test/error", value=0.546, source="Iyyer et al. 2015, table 1 (DAN-RAND)")
    return vary(config, VARIANTS, variant)


def words(config: ConfigDict) -> None:
    """Bags of words and naive Bayes, by experiments.bag_of_words."""
    config.task = ConfigDict({"name": "bag_of_words", "classifier": "naive_bayes", "ngrams": 1, "text": "text"})
    config.dataset.update(form="sentences", batches="examples")
    config.model = ConfigDict({"name": "bag_of_words"})
    config.best.metric = ""
    config.reference.update(value=0.59, source="Socher et al. 2013, table 1 (naive Bayes)")


def binary(config: ConfigDict) -> None:
    """Negative or positive, without neutral sentences and phrases: 83.2 % right."""
    config.dataset.labels = "binary"
    config.reference.value = 0.182 if config.task.name == "bag_of_words" else 0.168


def quick(config: ConfigDict) -> None:
    """One pass: a minute on two cores."""
    config.epochs = 1.0


def smoke(config: ConfigDict) -> None:
    """Seconds, on made-up opinions."""
    config.update(epochs=0.0, steps=40, batch_size=8, steps_per_dispatch=5, log_every=10, eval_every=20, checkpoint_every=20)
    config.dataset.update(name="opinions", lengths=(32,))
    if config.model.name == "deep_averaging":
        config.model.update(embedding=8, hidden=(6,))


VARIANTS = {"words": words, "binary": binary, "quick": quick, "smoke": smoke}
