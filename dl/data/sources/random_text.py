"""Random characters, for benchmarks: nothing can be learned from them."""

import numpy as np
from ml_collections import ConfigDict

from dl.dataset import Arrays, Dataset, Feature, Info, Kind
from dl.errors import UserError
from dl.vocabulary import Vocabulary

SYMBOLS = "".join(map(chr, range(32, 97)))  # 65, as many as tiny Shakespeare has


def load_random_text(settings: ConfigDict, data_dir: str | None, manual_dir: str | None) -> Dataset:
    """`examples` (default 100,000) characters a split, of 65 kinds; always the same ones.

    Args:
        settings: `examples`.
        data_dir: not used.
        manual_dir: not used.

    Raises:
        UserError: a number of examples that is none.
    """
    examples = settings.get("examples", 100_000)
    if examples < 1:
        raise UserError(f"dataset.examples={examples} must be at least 1.")

    def split(seed: int) -> Arrays:
        drawn = np.random.default_rng(seed).integers(0, len(SYMBOLS), examples, dtype=np.uint8)
        return Arrays({"token": drawn})

    info = Info("random_text", {"token": Feature(Kind.TOKENS, vocabulary=Vocabulary(SYMBOLS, words=False))})
    return Dataset(info, {"train": split(0), "test": split(1)})


PUBLIC = {"random_text": load_random_text}
SETTINGS = {"random_text": {"examples": 100_000, "level": ""}}
