"""A Siamese character LSTM finds the word that was meant: the Penn Treebank's vocabulary with typing errors (after Neculoiu,
Versteegh & Rotaru 2016, whose texts are job titles).

    python -m experiments.train --config=configs/ptb_typos.py --workdir=runs/ptb_typos --manual_dir=archives

The 9,412 words of at least three letters a to z, and nothing else, are looked for by what was typed in their place: one error
in words of up to five letters, two in those of up to ten, and so on (`dl/data/typing_errors.py`). Every step draws others;
those of the test are always the same, and never seen in training. `accuracy` is how often the nearest of all words is the right
one, `accuracy/edit_distance` the same by Levenshtein's distance.

`contrastive`: the paper's loss, where the default compares the words of a batch by a softmax. The words of a text of one's own:
--config.dataset.name=words --config.dataset.path=my.txt. `titles`: which title belongs to an article, in a table of one's own
with the columns `article` and `title`, and perhaps `split` (`train`, `validation`, `test`); the first 400 characters are read.

    python -m experiments.train --config=configs/ptb_typos.py:titles --config.dataset.path=articles.tsv --workdir=runs/titles
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """100 passes over the words."""
    config = base()
    config.update(epochs=100.0, batch_size=256, steps_per_dispatch=10, log_every=100, eval_every=1000, checkpoint_every=1000)
    config.dataset.update(name="ptb_words", least=3, batches="mistyped", splits={"train": "train", "test": "train"})
    config.model = ConfigDict(
        {"name": "text_tower", "cell": "lstm", "embedding": 32, "hidden": 64, "layers": 1, "dropout": 0.0}
    )
    config.task = ConfigDict({"name": "matching", "loss": "softmax", "embedding": 128, "margin": 0.5, "temperature": 0.05})
    config.task.edit_distance = True
    config.optimizer.update(name="adam", learning_rate=3e-3, schedule={"name": "cosine"}, clip_norm=1.0)
    return vary(config, VARIANTS, variant)


def contrastive(config: ConfigDict) -> None:
    """The paper's loss."""
    config.task.loss = "contrastive"


def titles(config: ConfigDict) -> None:
    """30 passes over a table of articles and their titles."""
    config.update(epochs=30.0, batch_size=64)
    config.dataset = base().dataset
    config.dataset.update(name="table", path="", texts=("article", "title"), label="", level="character", lengths=(400,))
    config.task.update(query="article", target="title", edit_distance=False)
    config.optimizer.learning_rate = 2e-3


def quick(config: ConfigDict) -> None:
    """20 passes."""
    config.epochs = 20.0


def smoke(config: ConfigDict) -> None:
    """Seconds, on the words of two sonnets."""
    config.update(epochs=0.0, steps=40, batch_size=16, steps_per_dispatch=5, log_every=10, eval_every=20, checkpoint_every=20)
    config.dataset.name = "sonnet_words"
    config.model.update(embedding=8, hidden=12)
    config.task.embedding = 16


VARIANTS = {"contrastive": contrastive, "titles": titles, "quick": quick, "smoke": smoke}
