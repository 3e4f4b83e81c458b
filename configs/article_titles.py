"""A Siamese character LSTM finds titles for articles, in a table of one's own (after Neculoiu, Versteegh & Rotaru 2016).

    python -m experiments.train --config=configs/article_titles.py --config.dataset.path=articles.tsv --workdir=runs/titles

The table has the columns `article` and `title`, and perhaps `split` (`train`, `validation`, `test`). Of an article the first
400 characters are read. `accuracy` is how often the nearest of all titles of the split is the right one.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """30 passes."""
    config = base()
    config.update(epochs=30.0, batch_size=64, log_every=100, eval_every=1000, checkpoint_every=1000, eval_batch_size=256)
    config.dataset.update(name="table", texts=("article", "title"), label="", level="character", lengths=(400,))
    config.model = ConfigDict(
        {"name": "text_tower", "cell": "lstm", "embedding": 32, "hidden": 64, "layers": 1, "dropout": 0.0}
    )
    config.task = ConfigDict({"name": "matching", "query": "article", "target": "title", "loss": "softmax"})
    config.task.update(embedding=128, margin=0.5, temperature=0.05, edit_distance=False)
    config.optimizer.update(name="adam", learning_rate=2e-3, schedule={"name": "cosine"}, clip_norm=1.0)
    return vary(config, VARIANTS, variant)


def quick(config: ConfigDict) -> None:
    """A third of the passes."""
    config.epochs = 10.0


def smoke(config: ConfigDict) -> None:
    """Seconds, on typing errors in place of articles."""
    config.update(epochs=0.0, steps=40, batch_size=16, steps_per_dispatch=5, log_every=10, eval_every=20, checkpoint_every=20)
    config.dataset = ConfigDict({k: v for k, v in config.dataset.to_dict().items() if k not in ("texts", "label", "level")})
    config.dataset.update(name="sonnet_words", batches="mistyped", lengths=(), splits={"train": "train", "test": "train"})
    config.model.update(embedding=8, hidden=12)
    config.task.update(query="query", target="target", embedding=16)


VARIANTS = {"quick": quick, "smoke": smoke}
