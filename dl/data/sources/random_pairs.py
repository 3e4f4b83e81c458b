"""Random sentences and as random translations of them, for benchmarks: nothing can be learned from them."""

import numpy as np
from ml_collections import ConfigDict

from dl.data.ragged import RaggedArrays, ragged
from dl.data.sentences import RESERVED, Sentences
from dl.dataset import Dataset, Feature, Info, Kind
from dl.errors import UserError


def load_random_pairs(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """`examples` pairs of sentences of `length` of `vocabulary_size` symbols, `<s>` and `</s>` not counted; always the same.

    Raises:
        UserError: a number that is none.
    """
    examples, length = settings.get("examples", 1024), settings.get("length", 15)
    size, least = settings.get("vocabulary_size", 6000), len(RESERVED) + 1
    if examples < 1 or length < 1 or size < least:
        raise UserError(
            f"dataset.examples={examples} and dataset.length={length} must be at least 1, "
            f"dataset.vocabulary_size={size} at least {least}."
        )
    vocabulary = Sentences((*RESERVED, *(f"word{n}" for n in range(size - len(RESERVED)))))
    random = np.random.default_rng(0)
    source, target = random.integers(len(RESERVED), size, (2, examples, length), dtype=np.int32)
    start, stop = (np.full((examples, 1), number, np.int32) for number in (vocabulary.start, vocabulary.stop))
    features = {"source": np.hstack([source, stop]), "target": np.hstack([start, target, stop])}
    token = Feature(Kind.TOKENS, (None,), vocabulary=vocabulary)
    train = RaggedArrays({name: ragged(list(values)) for name, values in features.items()})
    return Dataset(Info("random_pairs", {"source": token, "target": token}), {"train": train})


PUBLIC = {"random_pairs": load_random_pairs}
SETTINGS = {"random_pairs": {"examples": 1024, "length": 15, "vocabulary_size": 6000}}
