"""A deep averaging network answers factoid questions (Iyyer, Manjunatha, Boyd-Graber & Daume 2015, section 4.2).

    python -m experiments.train --config=configs/factoid_averaging.py --workdir=runs/factoid
    python -m experiments.train --config=configs/factoid_averaging.py:own --config.dataset.path=questions.tsv --workdir=runs/own

The questions of the paper, of quiz bowl, are not public data: the default asks for 20 chemical elements (160 questions that are
made here, the test's in other words than the training's), `own` reads a table with the columns `question` and `answer`, and
perhaps `split` (`train`, `validation`, `test`). Every answer is a class. A question may be in several rows, a sentence each, as
in the paper.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """The paper's net: vectors of 300 numbers, three layers of 300 units, 30 % of the words dropped."""
    config = base()
    config.update(epochs=60.0, batch_size=20, log_every=30, eval_every=120, checkpoint_every=120)
    config.dataset.name = "elements"
    config.model = ConfigDict({"name": "deep_averaging", "embedding": 300, "hidden": (300, 300, 300), "word_dropout": 0.3})
    config.task = ConfigDict({"name": "text_classification", "text": "question"})
    config.optimizer.update(name="adagrad", learning_rate=0.05)
    return vary(config, VARIANTS, variant)


def own(config: ConfigDict) -> None:
    """A table of one's own, which may be long."""
    config.update(epochs=30.0, batch_size=128, log_every=100, eval_every=1000, checkpoint_every=1000)
    config.dataset.update(name="table", path="", texts=("question",), label="answer")


def quick(config: ConfigDict) -> None:
    """A third of the passes."""
    config.epochs /= 3


def smoke(config: ConfigDict) -> None:
    """Seconds, a small net."""
    config.update(epochs=0.0, steps=60, batch_size=16, steps_per_dispatch=5, log_every=10, eval_every=20, checkpoint_every=20)
    config.model.update(embedding=32, hidden=(32,))


VARIANTS = {"own": own, "quick": quick, "smoke": smoke}
