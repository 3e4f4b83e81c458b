"""Kim's convolutions over a sentence, words learned (CNN-rand), on the Stanford Sentiment Treebank: of five classes 45.0 % of
the test sentences right, of two 82.7 % (Kim 2014, table 2).

    python -m experiments.train --config=configs/sst_kim_cnn.py --workdir=runs/sst_cnn --manual_dir=archives
    python -m experiments.train --config=configs/sst_kim_cnn.py:binary --workdir=runs/sst_cnn_binary --manual_dir=archives

Reached: docs/results.md. As published: windows of 3, 4 and 5 words, 100 maps each, vectors of 300, dropout of a half, norms of
at most 3, trained on all phrases, batches of 50. Deviation: Adam in place of Adadelta.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """The published setting but for the optimizer."""
    config = base()
    config.update(epochs=4.0, batch_size=50, steps_per_dispatch=1, log_every=200)
    config.update(eval_every=800, checkpoint_every=800, eval_batch_size=256)
    config.dataset.update(name="sst", splits={"train": "train", "validation": "validation", "test": "test"}, form="phrases")
    config.dataset.update(labels="fine", lower=True, minimum=1, most=0, batches="buckets", lengths=(4, 10, 20, 32, 56))
    config.dataset.update(bucket_by="", tokens_per_batch=0)
    config.task = ConfigDict({"name": "text_classification", "text": "text", "smoothing": 0.0, "sentiment": True})
    config.model = ConfigDict({"name": "text_cnn", "embedding": 300, "widths": (3, 4, 5), "maps": 100, "dropout": 0.5})
    config.model.update(max_norm=3.0, word_scale=0.15)
    config.optimizer.update(name="adam", learning_rate=5e-4)
    config.best.metric = "validation/error"
    config.reference.update(metric="test/error", value=0.55, source="Kim 2014, table 2 (CNN-rand)")
    return vary(config, VARIANTS, variant)


def binary(config: ConfigDict) -> None:
    """Negative or positive, without neutral sentences and phrases: 82.7 % right."""
    config.dataset.labels = "binary"
    config.reference.value = 0.173


def quick(config: ConfigDict) -> None:
    """Smaller, one pass: minutes on two cores."""
    config.epochs = 1.0
    config.model.update(embedding=100, maps=50)


def smoke(config: ConfigDict) -> None:
    """Seconds, on made-up opinions."""
    config.update(epochs=0.0, steps=40, batch_size=8, steps_per_dispatch=5, log_every=10, eval_every=20, checkpoint_every=20)
    config.dataset.update(name="opinions", lengths=(8, 32))
    config.model.update(embedding=8, maps=4)


VARIANTS = {"binary": binary, "quick": quick, "smoke": smoke}
