"""Skip-gram word vectors with negative sampling (Mikolov, Sutskever, Chen, Corrado & Dean 2013) on 50,000 film reviews.

    python -m experiments.train --config=configs/imdb_skipgram.py --workdir=runs/vectors --manual_dir=archives
    python -m experiments.similar --workdir=runs/vectors --nearest=film --analogy="man king woman"

Nothing is published for this text; it is set beside gensim with the same dimensions, window, negatives, subsampling and passes
(docs/word_vectors.md). Settings of the paper's program: 100 dimensions, windows of 5, 5 negatives, words that come 5 times,
frequent ones thinned out at 1e-3, 5 passes. Deviations: a batch of rows at a time with AdaGrad in place of gradient descent
word by word, and words of noise that a block of 16 words shares.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """Skip-gram with negative sampling."""
    config = base()
    config.update(epochs=5.0, batch_size=8, steps_per_dispatch=4, log_every=40, eval_every=0, checkpoint_every=400)
    splits = {"train": "train+validation+test", "test": "train+validation+test"}  # the test is on the words of the text
    config.dataset.update(name="imdb_text", splits=splits, minimum=5, batches="contexts")
    config.dataset.update(length=4096, window=5, sample=1e-3, block=16, noise=16)
    config.task = ConfigDict({"name": "word_vectors", "architecture": "skip_gram", "loss": "negative_sampling", "negatives": 5})
    config.task.update(benchmarks=("analogies", "wordsim353", "simlex999", "men", "rare_words"), mapped=200)
    config.task.shown = ("film", "good", "terrible", "actor", "king", "two", "paris", "science", "laugh", "slowly", "robot")
    config.model = ConfigDict({"name": "word_vectors", "dimensions": 100})
    config.optimizer.update(name="adagrad", learning_rate=0.1, initial_accumulator_value=0.0, eps=1e-20)
    config.optimizer.schedule = ConfigDict({"name": "linear", "final": 0.01})
    return vary(config, VARIANTS, variant)


def cbow(config: ConfigDict) -> None:
    """Continuous bag of words: the word in the middle from the mean of those around it."""
    config.task.architecture = "cbow"


def hierarchical(config: ConfigDict) -> None:
    """Hierarchical softmax in place of negative sampling."""
    config.task.loss = "hierarchical_softmax"
    config.update(batch_size=4)
    config.dataset.length = 1024  # the vectors on the way to every word take room


def quick(config: ConfigDict) -> None:
    """One pass: a minute or two on two cores."""
    config.epochs = 1.0


def smoke(config: ConfigDict) -> None:
    """Seconds, on the words of two sonnets."""
    config.update(epochs=0.0, steps=40, batch_size=2, log_every=10, eval_every=20, checkpoint_every=20)
    config.dataset.update(name="sonnets", splits=ConfigDict({"train": "train", "test": "train"}), level="line", minimum=1)
    config.dataset.update(length=64)
    config.task.update(benchmarks=(), mapped=20, shown=())
    config.model.dimensions = 8


VARIANTS = {"cbow": cbow, "hierarchical": hierarchical, "quick": quick, "smoke": smoke}
