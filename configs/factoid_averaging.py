"""A deep averaging network answers factoid questions (Iyyer, Manjunatha, Boyd-Graber & Daume 2015, section 4.2), on a table of
one's own; the questions of the paper, of quiz bowl, are not public data.

    python -m experiments.train --config=configs/factoid_averaging.py --config.dataset.path=questions.tsv --workdir=runs/factoid

The table has the columns `question` and `answer`, and perhaps `split` (`train`, `validation`, `test`); every answer is a class.
A question may be in several rows, a sentence each, as in the paper.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """The paper's net: vectors of 300 numbers, three layers of 300 units, 30 % of the words dropped."""
    config = base()
    config.update(epochs=30.0, batch_size=128, log_every=100, eval_every=1000, checkpoint_every=1000)
    config.dataset.update(name="table", texts=("question",), label="answer")
    config.model = ConfigDict({"name": "deep_averaging", "embedding": 300, "hidden": (300, 300, 300), "word_dropout": 0.3})
    config.task = ConfigDict({"name": "text_classification", "text": "question"})
    config.optimizer.update(name="adagrad", learning_rate=0.05)
    return vary(config, VARIANTS, variant)


def quick(config: ConfigDict) -> None:
    """A third of the passes."""
    config.epochs = 10.0


def smoke(config: ConfigDict) -> None:
    """Seconds, on questions about the elements that are made here."""
    config.update(epochs=0.0, steps=60, batch_size=16, steps_per_dispatch=5, log_every=10, eval_every=20, checkpoint_every=20)
    config.dataset = ConfigDict({k: v for k, v in config.dataset.to_dict().items() if k not in ("texts", "label")})
    config.dataset.name = "elements"
    config.model.update(embedding=32, hidden=(32,))


VARIANTS = {"quick": quick, "smoke": smoke}
