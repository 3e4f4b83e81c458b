"""GloVe (Pennington, Socher & Manning 2014) on 50,000 film reviews.

    python -m experiments.train --config=configs/imdb_glove.py --workdir=runs/glove --manual_dir=archives

Nothing is published for this text. Settings of the paper: windows of 10, pairs weighted by 1/distance, x_max 100, a 3/4,
AdaGrad at 0.05, the sum of both vectors; 100 dimensions. Deviations: batches of pairs in place of one pair at a time.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """GloVe."""
    config = base()
    config.update(epochs=50.0, batch_size=64, steps_per_dispatch=4, log_every=40, eval_every=0, checkpoint_every=400)
    splits = {"train": "train+validation+test", "test": "train+validation+test"}  # the test is on the words of the text
    config.dataset.update(name="imdb_text", splits=splits, minimum=5, batches="cooccurrences", window=10, pairs=1024)
    config.task = ConfigDict({"name": "glove", "most": 100.0, "power": 0.75, "mapped": 200})
    config.task.benchmarks = ("analogies", "wordsim353", "simlex999", "men", "rare_words")
    config.task.shown = ("film", "good", "terrible", "actor", "king", "two", "paris", "science", "laugh", "slowly", "robot")
    config.model = ConfigDict({"name": "glove", "dimensions": 100})
    # The authors' sums of squares begin at 1, and are of the gradients of single pairs; ours are of a batch's mean.
    first = (config.batch_size * config.dataset.pairs) ** -2.0
    config.optimizer.update(name="adagrad", learning_rate=0.05, initial_accumulator_value=first, eps=1e-20)
    return vary(config, VARIANTS, variant)


def quick(config: ConfigDict) -> None:
    """10 passes."""
    config.epochs = 10.0


def smoke(config: ConfigDict) -> None:
    """Seconds, on the words of two sonnets."""
    config.update(epochs=0.0, steps=40, batch_size=2, log_every=10, eval_every=20, checkpoint_every=20)
    config.dataset.update(name="sonnets", splits=ConfigDict({"train": "train", "test": "train"}), level="line", minimum=1)
    config.dataset.update(pairs=64)
    config.task.update(benchmarks=(), mapped=20, shown=())
    config.model.dimensions = 8


VARIANTS = {"quick": quick, "smoke": smoke}
