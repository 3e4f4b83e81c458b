"""Random words as frequent as Zipf's law says, for benchmarks: nothing can be learned from them."""

import numpy as np
from ml_collections import ConfigDict

from dl.dataset import Arrays, Dataset, Feature, Info, Kind
from dl.errors import UserError
from dl.vocabulary import Vocabulary

LINE = 200  # words of a text


def load_random_words(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """`examples` (default 2,000,000) words of `kinds` (40,000) in texts of 200, as `dl.data.corpus` has them; always the same.

    Word number n, from 1, comes in proportion to 1 / n. One split, `train`.

    Raises:
        UserError: fewer than one word or kind.
    """
    examples, kinds = settings.get("examples", 2_000_000), settings.get("kinds", 40_000)
    if examples < 1 or kinds < 1:
        raise UserError(f"dataset.examples={examples} and dataset.kinds={kinds} must be at least 1.")
    below = np.cumsum(1 / np.arange(1, kinds + 1))
    drawn = np.random.default_rng(0).random(examples) * below[-1]
    tokens = np.minimum(np.searchsorted(below, drawn), kinds - 1).astype(np.min_scalar_type(kinds - 1))
    vocabulary = Vocabulary([f"w{number}" for number in range(kinds)], words=True)
    info = Info("random_words", {"token": Feature(Kind.TOKENS, (), vocabulary), "text": Feature(Kind.NUMBER)})
    return Dataset(info, {"train": Arrays({"token": tokens, "text": np.arange(examples, dtype=np.int32) // LINE})})


PUBLIC = {"random_words": load_random_words}
SETTINGS = {"random_words": {"examples": 2_000_000, "kinds": 40_000}}
